//! `longtail data split`

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use longtail_curate::curation::{Groups, SplitOptions, split};
use longtail_data::ImageFolder;
use longtail_formats::{Document, Losses};

use super::rewrite::{Target, print_report};
use crate::{Outcome, args::DataSplit, printer::Printer};

/// Classes named in the message; the JSON report has all.
const NAMED: usize = 10;

/// Splits and writes every part.
pub fn run(arguments: &DataSplit, printer: &Printer) -> anyhow::Result<Outcome> {
    let DataSplit {
        input, output, shares, every_class, group_near_duplicates, seed, reading, writing, ..
    } = arguments;
    let (document, remarks) = reading.open(input)?;
    let groups = if let Some(pattern) = &arguments.group_by {
        Groups::by_pattern(&document, pattern)?
    } else if let Some(field) = &arguments.group_field {
        Groups::by_field(&document, field)?
    } else if let Some(file) = &arguments.group_file {
        Groups::from_table(&document, file)?
    } else if *group_near_duplicates {
        by_picture(&document, reading.images.as_deref())?
    } else {
        Groups::single(&document)
    };
    let target = Target::parts(output, &document, reading, writing)?;
    let targets = shares.iter().map(|(name, _)| target.of_part(name)).collect::<Result<Vec<_>, _>>()?;
    let options = SplitOptions { parts: shares.clone(), seed: *seed, every_class: *every_class };
    let (parts, report) = split(&document, &groups, &options)?;
    let mut losses = Losses::default();
    for (target, part) in targets.iter().zip(&parts) {
        losses.extend(&target.write(part, printer)?);
    }
    let rows: Vec<Vec<String>> = report
        .parts
        .iter()
        .map(|part| {
            vec![part.name.clone(), part.images.to_string(), part.boxes.to_string(), part.classes.to_string()]
        })
        .collect();
    let heading = ["part", "images", "boxes", "classes with boxes"];
    print_report(&report, &losses, &remarks, &heading, &rows, target.report_format(), printer)?;
    if groups.count < groups.of_image.len() {
        printer.note(&format!("{} images in {} groups", groups.of_image.len(), groups.count));
    }
    if !report.lacking.is_empty() {
        let named: Vec<String> = report
            .lacking
            .iter()
            .take(NAMED)
            .map(|class| {
                format!("{} ({} images, not in {})", class.name, class.images, class.parts.join(" and "))
            })
            .collect();
        let more = if report.lacking.len() > NAMED { ", …" } else { "" };
        let hint = if *every_class || report.lacking_by_choice == 0 {
            ""
        } else {
            "; --every-class forces those that can"
        };
        printer.note(&format!(
            "{} classes are not in every part, {} of them in enough groups for it{hint}: {}{more}",
            report.lacking.len(),
            report.lacking_by_choice,
            named.join(", ")
        ));
    }
    Ok(Outcome::Done)
}

fn by_picture(document: &Document, folder: Option<&Path>) -> anyhow::Result<Groups> {
    let folder =
        folder.context("--group-near-duplicates looks at the images; say where they are with --images")?;
    let bar = ProgressBar::new(document.set.images.len() as u64);
    bar.set_style(ProgressStyle::with_template("looking at images {bar:24} {pos}/{len}  {eta} left")?);
    let done = AtomicU64::new(0);
    let progress = || bar.set_position(done.fetch_add(1, Ordering::Relaxed) + 1);
    let groups = Groups::by_picture(document, &ImageFolder::new(folder), &progress)?;
    bar.finish_and_clear();
    Ok(groups)
}
