//! Detectors against each other, for people and for spreadsheets.

use longtail_eval::{ClassDifference, Comparison, Difference, EvalReport, Metric};

use crate::{
    ReportError,
    scores::{PrintTable, text_of},
};

/// Differences of the metrics, then the `classes` that win and lose most, each a table. `first` names the
/// baseline.
pub fn tables(
    comparison: &Comparison,
    baseline: &EvalReport,
    first: &str,
    classes: usize,
    table: PrintTable,
) -> Vec<String> {
    let row_of = |(metric, difference): (&Metric, &Difference)| {
        row(&metric.to_string(), baseline.metric(metric).unwrap_or(f64::NAN), difference)
    };
    let rows: Vec<Vec<String>> = comparison.metrics.iter().map(row_of).collect();
    let mut parts = vec![table(&["metric", first, "difference", "95 % interval", "won", ""], &rows)];
    parts.extend(extremes(comparison, classes).map(|rows| table(&CLASS_HEADING, &rows)));
    parts
}

/// In percentage points.
fn row(name: &str, baseline: f64, d: &Difference) -> Vec<String> {
    let points = |value: f64| format!("{:+.2}", 100.0 * value);
    vec![
        name.to_owned(),
        format!("{:.2}", 100.0 * baseline),
        points(d.value),
        if d.has_interval() { format!("{} to {}", points(d.low), points(d.high)) } else { "–".into() },
        format!("{:.1} %", 100.0 * d.won),
        match (d.has_interval(), d.is_certain()) {
            (false, _) => format!("in {} images: too few", d.images),
            (true, false) => "the interval includes 0".into(),
            (true, true) => String::new(),
        },
    ]
}

const CLASS_HEADING: [&str; 7] = ["class", "boxes", "baseline", "difference", "95 % interval", "won", ""];

/// The classes that win and lose most; `None` if none does.
fn extremes(comparison: &Comparison, count: usize) -> Option<Vec<Vec<String>>> {
    let class = |c: &ClassDifference| {
        let name = c.frequency.map_or(c.name.clone(), |f| format!("{} ({})", c.name, f.letter()));
        let mut cells = row(&name, c.baseline, &c.difference);
        cells.insert(1, c.ground_truth.to_string());
        cells
    };
    let winners = comparison.classes.iter().filter(|c| c.difference.value > 0.0).take(count);
    let losers = comparison.classes.iter().rev().filter(|c| c.difference.value < 0.0).take(count);
    let mut rows: Vec<Vec<String>> = winners.map(class).collect();
    let mut last: Vec<Vec<String>> = losers.map(class).collect();
    last.reverse();
    rows.extend(last);
    (!rows.is_empty()).then_some(rows)
}

/// One row a metric and class, full precision; `names` are those of the compared detectors.
///
/// # Errors
/// If a row cannot be written.
pub fn csv(names: &[String], comparisons: &[Comparison]) -> Result<String, ReportError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "detections",
        "what",
        "category_id",
        "frequency",
        "difference",
        "low",
        "high",
        "won",
    ])?;
    for (name, comparison) in names.iter().zip(comparisons) {
        for (metric, d) in &comparison.metrics {
            writer.serialize((name, metric, None::<i64>, "", d.value, d.low, d.high, d.won))?;
        }
        for c in &comparison.classes {
            let (group, d) = (c.frequency.map_or("", |f| f.letter()), &c.difference);
            writer.serialize((name, &c.name, Some(c.category_id), group, d.value, d.low, d.high, d.won))?;
        }
    }
    text_of(writer)
}
