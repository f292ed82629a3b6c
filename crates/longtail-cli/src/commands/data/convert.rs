//! `longtail data convert`

use serde::Serialize;

use super::rewrite::{Target, print_report};
use crate::{Outcome, args::DataConvert, printer::Printer};

#[derive(Serialize)]
struct Converted {
    images: usize,
    boxes: usize,
    classes: usize,
}

/// Reads, writes, and prints what was converted and lost.
pub fn run(arguments: &DataConvert, printer: &Printer) -> anyhow::Result<Outcome> {
    let DataConvert { input, output, as_part, reading, writing } = arguments;
    let (document, remarks) = reading.open(input)?;
    let part = as_part.as_deref().or(reading.part.as_deref());
    let target = Target::new(output, &document, part, reading, writing)?;
    let losses = target.write(&document, printer)?;
    let set = &document.set;
    let report =
        Converted { images: set.images.len(), boxes: set.annotations.len(), classes: set.categories.len() };
    let rows = [("images", report.images), ("boxes", report.boxes), ("classes", report.classes)];
    let rows: Vec<Vec<String>> =
        rows.iter().map(|(what, count)| vec![(*what).into(), count.to_string()]).collect();
    print_report(&report, &losses, &remarks, &["read", "count"], &rows, target.report_format(), printer)?;
    Ok(Outcome::Done)
}
