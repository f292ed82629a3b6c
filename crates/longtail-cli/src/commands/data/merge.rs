//! `longtail data merge`

use std::path::Path;

use longtail_curate::curation::{Duplicates, MergeOptions, merge};
use longtail_formats::Remarks;

use super::rewrite::{Target, print_report};
use crate::{
    Outcome,
    args::{DataMerge, Duplicated},
    printer::Printer,
};

/// Joins and writes.
pub fn run(arguments: &DataMerge, printer: &Printer) -> anyhow::Result<Outcome> {
    let DataMerge { inputs, out, duplicates, federated, reading, writing } = arguments;
    let (mut documents, mut remarks) = (Vec::new(), Remarks::default());
    for (number, path) in (1..).zip(inputs) {
        let name = stem(path).unwrap_or_else(|| number.to_string());
        // Folders are prefixes of image names, so that sets of one name stay apart.
        let taken = documents.iter().any(|(other, _)| *other == name);
        let (document, more) = reading.open(path)?;
        remarks.extend(more);
        documents.push((if taken { format!("{name}-{number}") } else { name }, document));
    }
    let duplicates = match duplicates {
        Duplicated::Refuse => Duplicates::Refuse,
        Duplicated::Join => Duplicates::Join,
        Duplicated::Prefix => Duplicates::Prefix,
    };
    let (document, mut report) = merge(documents, MergeOptions { duplicates, federated: *federated })?;
    let target = Target::new(out, &document, reading.part.as_deref(), reading, writing)?;
    let mut losses = target.write(&document, printer)?;
    losses.extend(&report.losses);
    report.losses = Default::default();
    let rows = [
        ("images", report.images),
        ("boxes", report.boxes),
        ("classes", report.classes),
        ("images that several sets had", report.joined_images),
        ("boxes that came twice", report.repeated_boxes),
        ("image ids renumbered", report.renumbered_images),
        ("annotation ids renumbered", report.renumbered_annotations),
        ("category ids renumbered", report.renumbered_categories),
    ];
    let rows: Vec<Vec<String>> =
        rows.iter().map(|(what, count)| vec![(*what).into(), count.to_string()]).collect();
    print_report(&report, &losses, &remarks, &["result", "count"], &rows, target.report_format(), printer)?;
    if let Some(first) = report.classes_not_in_every_set.first() {
        printer.note(&format!(
            "{} classes, such as {first:?}, are not in every set, but the result says that all images are annotated with \
             them; --federated writes what is known",
            report.classes_not_in_every_set.len()
        ));
    }
    for field in &report.differing_fields {
        printer.note(&format!("field {field} differs from the first file's, which was kept"));
    }
    Ok(Outcome::Done)
}

fn stem(path: &Path) -> Option<String> {
    let stem = path.file_stem()?.to_str()?;
    Some(stem.to_owned()).filter(|stem| !stem.is_empty() && stem != "..")
}
