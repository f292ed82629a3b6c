//! `longtail data split`

use longtail_data::{
    Losses,
    curation::{Groups, SplitOptions, split},
};

use super::rewrite::{Target, print_report};
use crate::{Outcome, args::DataSplit, printer::Printer};

/// Classes named in the message; the JSON report has all.
const NAMED: usize = 10;

/// Splits and writes every part.
pub fn run(arguments: &DataSplit, printer: &Printer) -> anyhow::Result<Outcome> {
    let DataSplit { input, output, shares, every_class, seed, reading, writing, .. } = arguments;
    let document = reading.open(input)?;
    let groups = if let Some(pattern) = &arguments.group_by {
        Groups::by_pattern(&document, pattern)?
    } else if let Some(field) = &arguments.group_field {
        Groups::by_field(&document, field)?
    } else if let Some(file) = &arguments.group_file {
        Groups::from_table(&document, file)?
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
    print_report(&report, &losses, &heading, &rows, target.report_format(), printer)?;
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
