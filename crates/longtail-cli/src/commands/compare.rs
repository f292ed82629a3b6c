//! `longtail compare`

use std::path::{Path, PathBuf};

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use longtail_eval::{
    Bootstrap, ClassDifference, Comparison, Difference, EvalError, Evaluation, GroundTruth, Settings, compare,
};
use serde_json::json;

use crate::{
    Outcome,
    args::{Compare, Format},
    commands::eval::ground_truth,
    printer::Printer,
    tables::{markdown, text},
};

/// Scores all files, resamples the images, and prints what differs.
pub fn run(arguments: &Compare, printer: &Printer) -> anyhow::Result<Outcome> {
    let (set, _) = ground_truth(&arguments.ground_truth, arguments.frequencies_from.as_deref())?;
    let truth = GroundTruth::new(&set)?;
    let settings = Settings::strict(arguments.protocol);
    let evaluations: Vec<Evaluation> = arguments
        .detections
        .iter()
        .map(|path| Ok(Evaluation::read(&truth, path, settings)?.0))
        .collect::<Result<_, EvalError>>()?;
    let bar = ProgressBar::new(arguments.resamples);
    bar.set_style(ProgressStyle::with_template("resampling images {bar:24} {pos}/{len}  {eta} left")?);
    let bootstrap = Bootstrap { resamples: arguments.resamples, seed: arguments.seed };
    let comparisons = compare(&evaluations, bootstrap, &|| bar.inc(1))?;
    bar.finish_and_clear();
    for metric in &arguments.fail_if_worse {
        if comparisons.iter().any(|c| !c.metrics.contains_key(metric)) {
            bail!(
                "{metric} is undefined here: no class of that group has ground truth; try --frequencies-from"
            );
        }
    }

    let baseline = evaluations[0].report(None);
    let others = &arguments.detections[1..];
    match arguments.format {
        Format::Json => {
            let entry = |(path, comparison): (&PathBuf, &Comparison)| json!({ "detections": path, "metrics": comparison.metrics, "classes": comparison.classes });
            printer.data(&serde_json::to_string_pretty(&json!({
                "baseline": { "detections": arguments.detections[0], "report": baseline },
                "protocol": arguments.protocol,
                "resamples": arguments.resamples,
                "seed": arguments.seed,
                "comparisons": others.iter().zip(&comparisons).map(entry).collect::<Vec<_>>(),
            }))?)?;
        }
        Format::Csv => printer.data(&csv(others, &comparisons)?)?,
        Format::Text | Format::Markdown => {
            let table = if arguments.format == Format::Text { text } else { markdown };
            let mut parts = Vec::new();
            for (path, comparison) in others.iter().zip(&comparisons) {
                let rows: Vec<Vec<String>> = ["AP", "APr", "APc", "APf"]
                    .iter()
                    .filter_map(|name| Some((name, comparison.metrics.get(*name)?)))
                    .map(|(name, d)| row(name, baseline.metric(name).unwrap_or(f64::NAN), d))
                    .collect();
                let first = file_name(&arguments.detections[0]);
                parts.push(format!(
                    "{} against {first}, {} resamples of {} images\n{}",
                    file_name(path),
                    arguments.resamples,
                    truth.images(),
                    table(&["metric", first, "difference", "95 % interval", "won", ""], &rows)
                ));
                parts
                    .extend(extremes(comparison, arguments.classes).map(|rows| table(&CLASS_HEADING, &rows)));
            }
            printer.data(&parts.join("\n\n"))?;
        }
    }
    let worse = |c: &Comparison| {
        arguments
            .fail_if_worse
            .iter()
            .any(|name| c.metrics.get(name).is_some_and(|d| d.is_certain() && d.value < 0.0))
    };
    Ok(if comparisons.iter().any(worse) { Outcome::No } else { Outcome::Done })
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or("detections")
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

/// One row a metric and class, full precision.
fn csv(paths: &[PathBuf], comparisons: &[Comparison]) -> anyhow::Result<String> {
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
    for (path, comparison) in paths.iter().zip(comparisons) {
        let path = path.display().to_string();
        for (name, d) in &comparison.metrics {
            writer.serialize((&path, name, None::<i64>, "", d.value, d.low, d.high, d.won))?;
        }
        for c in &comparison.classes {
            let (group, d) = (c.frequency.map_or("", |f| f.letter()), &c.difference);
            writer.serialize((&path, &c.name, Some(c.category_id), group, d.value, d.low, d.high, d.won))?;
        }
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}
