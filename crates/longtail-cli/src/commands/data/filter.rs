//! `longtail data filter`

use longtail_curate::curation::{Filter, filter};

use super::rewrite::{Target, before_and_after, print_report};
use crate::{Outcome, args::DataFilter, printer::Printer};

/// Filters and writes.
pub fn run(arguments: &DataFilter, printer: &Printer) -> anyhow::Result<Outcome> {
    let DataFilter { input, output, as_part, reading, writing, .. } = arguments;
    let wanted = Filter {
        min_side: arguments.min_side,
        max_side: arguments.max_side,
        min_area: arguments.min_area,
        max_area: arguments.max_area,
        max_aspect: arguments.max_aspect,
        classes: arguments.classes.clone(),
        except_classes: arguments.except_classes.clone(),
        no_crowd: arguments.no_crowd,
        no_empty_images: arguments.no_empty_images,
        as_crowd: arguments.as_crowd,
    };
    let (document, remarks) = reading.open(input)?;
    let part = as_part.as_deref().or(reading.part.as_deref());
    let target = Target::new(output, &document, part, reading, writing)?;
    let (result, report) = filter(&document, &wanted)?;
    let losses = target.write(&result, printer)?;
    let mut rows =
        before_and_after(&[("images", report.images), ("boxes", report.boxes), ("classes", report.classes)]);
    let word = if wanted.as_crowd { "crowd now, or left out" } else { "left out" };
    rows.extend(
        report
            .boxes_by_reason
            .iter()
            .map(|(why, count)| vec![format!("boxes {word}: {why}"), count.to_string(), String::new()]),
    );
    print_report(
        &report,
        &losses,
        &remarks,
        &["", "before", "after"],
        &rows,
        target.report_format(),
        printer,
    )?;
    Ok(Outcome::Done)
}
