//! `longtail data subset`

use std::path::Path;

use anyhow::{Context, bail};
use longtail_curate::curation::{CountUnit, Selection, subset};

use super::rewrite::{Target, print_report};
use crate::{
    Outcome,
    args::{DataSubset, Unit},
    printer::Printer,
};

/// Cuts down and writes; the table has every class.
pub fn run(arguments: &DataSubset, printer: &Printer) -> anyhow::Result<Outcome> {
    let DataSubset { input, output, as_part, reading, writing, .. } = arguments;
    let selection = if let Some(images) = arguments.images_left {
        Selection::Images(images)
    } else if let Some(ratio) = arguments.long_tail {
        Selection::LongTail { ratio, largest: arguments.largest }
    } else if let Some(file) = &arguments.counts {
        Selection::Counts(read_counts(file)?)
    } else {
        Selection::Classes(arguments.classes.clone())
    };
    let unit = match arguments.unit {
        Unit::Boxes => CountUnit::Boxes,
        Unit::Images => CountUnit::Images,
    };
    let (document, remarks) = reading.open(input)?;
    let part = as_part.as_deref().or(reading.part.as_deref());
    let target = Target::new(output, &document, part, reading, writing)?;
    let (result, report) = subset(&document, &selection, unit, arguments.seed)?;
    let losses = target.write(&result, printer)?;
    let rows: Vec<Vec<String>> = report
        .classes
        .iter()
        .map(|class| {
            let asked = class.asked.map_or("–".to_owned(), |asked| asked.to_string());
            vec![class.name.clone(), class.available.to_string(), asked, class.got.to_string()]
        })
        .collect();
    let heading = ["class", "before", "asked", "after"];
    print_report(&report, &losses, &remarks, &heading, &rows, target.report_format(), printer)?;
    let [images, images_left] = report.images;
    let [boxes, boxes_left] = report.boxes;
    printer.note(&format!("{images_left} of {images} images and {boxes_left} of {boxes} boxes are left"));
    if let Some(deviation) = report.mean_deviation {
        let [met, wishes] = report.met;
        printer.note(&format!(
            "{met} of {wishes} classes have exactly the count that was asked for; the mean deviation is {:.1} %",
            100.0 * deviation
        ));
    }
    Ok(Outcome::Done)
}

/// A table with the columns class and count.
fn read_counts(path: &Path) -> anyhow::Result<Vec<(String, u64)>> {
    let mut rows = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let heading = rows.headers()?.clone();
    let column = |names: &[&str]| {
        heading.iter().position(|h| {
            names.iter().any(|name| h.trim_start_matches('\u{feff}').eq_ignore_ascii_case(name))
        })
    };
    let (Some(class), Some(count)) = (column(&["class", "name"]), column(&["count", "boxes", "images"]))
    else {
        bail!("{}: the first row needs the headings `class` and `count`", path.display());
    };
    let mut counts = Vec::new();
    for (line, row) in (2..).zip(rows.records()) {
        let row = row.with_context(|| format!("{}, row {line}", path.display()))?;
        let (name, text) = (&row[class], &row[count]);
        let count = text
            .parse()
            .with_context(|| format!("{}, row {line}: `{text}` is not a count", path.display()))?;
        counts.push((name.to_owned(), count));
    }
    Ok(counts)
}
