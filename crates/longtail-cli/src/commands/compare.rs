//! `longtail compare`

use std::path::{Path, PathBuf};

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use longtail_eval::{Bootstrap, Comparison, EvalError, Evaluation, GroundTruth, Settings, compare};
use longtail_report::comparison;
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
        .map(|path| Evaluation::read(&truth, path, &settings))
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
        Format::Csv => {
            let names: Vec<String> = others.iter().map(|path| path.display().to_string()).collect();
            printer.data(&comparison::csv(&names, &comparisons)?)?;
        }
        Format::Text | Format::Markdown => {
            let table = if arguments.format == Format::Text { text } else { markdown };
            let first = file_name(&arguments.detections[0]);
            let mut parts = Vec::new();
            for (path, found) in others.iter().zip(&comparisons) {
                let mut tables = comparison::tables(found, &baseline, first, arguments.classes, table);
                let title = format!(
                    "{} against {first}, {} resamples of {} images",
                    file_name(path),
                    arguments.resamples,
                    truth.images()
                );
                tables[0] = format!("{title}\n{}", tables[0]);
                parts.extend(tables);
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
