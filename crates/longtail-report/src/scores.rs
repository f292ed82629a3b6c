//! The numbers of one evaluation, for people and for spreadsheets.

use longtail_eval::{CategoryResult, EvalReport};

use crate::ReportError;

/// Lays out a heading and rows: for a terminal, or for a document.
pub type PrintTable = fn(&[&str], &[Vec<String>]) -> String;

/// Classes shown at each end of the table of classes.
const ENDS: usize = 10;

fn percent(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |v| format!("{:.2}", 100.0 * v))
}

/// Metrics in the order in which the protocols list them.
pub fn metrics(report: &EvalReport, table: PrintTable) -> String {
    let rows: Vec<Vec<String>> =
        report.metrics.iter().map(|(metric, value)| vec![metric.to_string(), percent(*value)]).collect();
    table(&["metric", "%"], &rows)
}

/// How many detections took part, and why the others did not; one sentence.
pub fn detections(report: &EvalReport) -> String {
    let counts = &report.detections;
    let mut sentence = format!("{} of {} detections took part", counts.scored, counts.read);
    for (index, (count, kind)) in counts.left_out().into_iter().enumerate() {
        sentence.push_str(if index == 0 { "; left out: " } else { ", " });
        sentence.push_str(&format!("{count} {kind}"));
    }
    sentence
}

/// The classes that do best and worst at IoU 0.5.
pub fn extreme_classes(report: &EvalReport, table: PrintTable) -> String {
    let mut classes: Vec<_> = report.per_category.iter().filter(|c| c.ap50.is_some()).collect();
    classes.sort_by(|a, b| b.ap50.partial_cmp(&a.ap50).unwrap_or(std::cmp::Ordering::Equal));
    let of = classes.len();
    let title = if of > 2 * ENDS {
        classes.drain(ENDS..of - ENDS);
        format!("best and worst {ENDS} of {of} classes with boxes")
    } else {
        format!("{of} classes with boxes")
    };
    let row = |c: &&CategoryResult| {
        vec![c.name.clone(), percent(c.ap50), c.ground_truth.to_string(), c.detections.to_string()]
    };
    let rows: Vec<Vec<String>> = classes.iter().map(row).collect();
    format!("{title}\n\n{}", table(&["class", "AP50 %", "boxes", "predictions"], &rows))
}

/// One row a class, full precision; an empty cell is an undefined value. Classes of Open Images have their
/// `LabelName`.
///
/// # Errors
/// If a row cannot be written.
pub fn classes_csv(report: &EvalReport) -> Result<String, ReportError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let labelled = report.per_category.iter().any(|c| c.label.is_some());
    if labelled {
        writer.write_record([
            "id",
            "LabelName",
            "name",
            "frequency",
            "AP50",
            "ground_truth",
            "detections",
        ])?;
    } else {
        let names =
            ["category_id", "name", "frequency", "AP", "AP50", "AP75", "AR", "ground_truth", "detections"];
        writer.write_record(names)?;
    }
    for c in &report.per_category {
        let CategoryResult { category_id, name, ap, ap50, ap75, ar, ground_truth, detections, .. } = c;
        let group = c.frequency.map_or("", |f| f.letter());
        if labelled {
            writer.serialize((category_id, &c.label, name, group, ap50, ground_truth, detections))?;
        } else {
            writer.serialize((category_id, name, group, ap, ap50, ap75, ar, ground_truth, detections))?;
        }
    }
    text_of(writer)
}

/// What was written.
pub(crate) fn text_of(writer: csv::Writer<Vec<u8>>) -> Result<String, ReportError> {
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
