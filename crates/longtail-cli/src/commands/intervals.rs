//! `longtail report --intervals`: how certain the differences between a run's classifiers are.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context, bail};
use longtail_eval::{
    Bootstrap, Detections, Difference, Evaluation, GroundTruth, Metric, Protocol, Scoring, Settings, Shard,
    compare_runs,
};
use longtail_report::{Cell, spread};
use longtail_run::{Results, Silent};
use longtail_train::{Recipe, data::Validation};
use serde_json::json;

use crate::{
    Outcome,
    args::Format,
    printer::Printer,
    report_data::compared,
    tables::{markdown, text},
};

/// Score from which false positives are counted: what `longtail predict` draws.
const DRAWN: f64 = 0.5;

/// What one truth says of all classifiers.
struct Block {
    label: String,
    /// By classifier but the baseline.
    differences: Vec<BTreeMap<Metric, Difference>>,
    /// By classifier and run.
    fixed: Vec<Vec<f64>>,
    false_positives: Vec<Vec<f64>>,
}

/// Prints a block for every truth of the runs.
pub fn print(paths: &[PathBuf], format: Format, printer: &Printer) -> anyhow::Result<Outcome> {
    let results: Vec<Results> = paths.iter().map(|path| Results::read(path)).collect::<Result<_, _>>()?;
    let names: Vec<&str> = results[0].classifiers.iter().map(|c| c.name.as_str()).collect();
    for (path, run) in paths.iter().zip(&results) {
        if !run.classifiers.iter().map(|c| c.name.as_str()).eq(names.iter().copied()) {
            bail!("{} has other classifiers than {}", path.display(), paths[0].display());
        }
    }
    let Some((baseline, _)) = compared(&results[0].classifiers) else {
        bail!("{} has one classifier; there is nothing to compare", paths[0].display());
    };
    // The baseline first.
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by_key(|&place| place != baseline);
    let mut validations = Vec::new();
    for (path, run) in paths.iter().zip(&results) {
        let recipe = Recipe::read(&path.join("config.toml"), &[])?;
        let validation = Validation::open(&recipe.data, run.seed, &run.classes, &mut Silent)?;
        validations.push(validation.with_context(|| format!("{} has no validation images", path.display()))?);
    }
    if validations.iter().flat_map(|v| &v.truths).any(|truth| truth.scoring == Scoring::OpenImages) {
        bail!("intervals are of LVIS and COCO AP; there are none of the Open Images challenge metric");
    }
    let mut blocks = Vec::new();
    for truth in 0..validations[0].truths.len() {
        printer.note(&format!("resampling the images of {}", validations[0].truths[truth].label));
        blocks.push(block(truth, paths, &results, &validations, &order)?);
    }
    let names: Vec<&str> = order.iter().map(|&place| names[place]).collect();
    match format {
        Format::Json => {
            let entry = |block: &Block| {
                let row = |(place, name): (usize, &&str)| {
                    json!({ "classifier": name, "fixed_AP": block.fixed[place],
                        "false_positives_per_image": block.false_positives[place],
                        "differences": place.checked_sub(1).map(|other| &block.differences[other]) })
                };
                let rows: Vec<_> = names.iter().enumerate().map(row).collect();
                json!({ "truth": block.label, "baseline": names[0], "classifiers": rows })
            };
            printer.data(&serde_json::to_string_pretty(&blocks.iter().map(entry).collect::<Vec<_>>())?)?;
        }
        Format::Csv => bail!("intervals have no CSV; use --format json"),
        Format::Text | Format::Markdown => {
            let table = if format == Format::Text { text } else { markdown };
            let parts: Vec<String> = blocks.iter().map(|block| block.table(&names, table)).collect();
            printer.data(&parts.join("\n\n"))?;
            printer.data(&format!(
                "\nDifference to {} in points, mean over {} runs, and 95 % of 1,000 resamples of each run's validation \
                 images; · marks an interval that includes 0. Fixed AP, and false positives an image at IoU 0.5 \
                 with a score of {DRAWN} or more, both of the stored detections: mean ± standard deviation over the runs.",
                names[0],
                paths.len()
            ))?;
        }
    }
    Ok(Outcome::Done)
}

fn block(
    truth: usize,
    paths: &[PathBuf],
    results: &[Results],
    validations: &[Validation],
    order: &[usize],
) -> anyhow::Result<Block> {
    let mut runs = Vec::new();
    let (mut fixed, mut false_positives) = (vec![Vec::new(); order.len()], vec![Vec::new(); order.len()]);
    for ((path, run), validation) in paths.iter().zip(results).zip(validations) {
        let truth = &validation.truths[truth];
        let Scoring::Annotations(protocol) = truth.scoring else { continue };
        let ground_truth = GroundTruth::new(&truth.annotations)?;
        let mut evaluations = Vec::new();
        for (row, &place) in order.iter().enumerate() {
            let mut detections = Detections::new(&ground_truth, Shard::WHOLE);
            detections.read(&path.join(&run.classifiers[place].detections))?;
            let evaluation = Evaluation::new(&detections, &Settings::strict(protocol))?;
            false_positives[row].push(evaluation.false_positives_per_image(DRAWN)?);
            if protocol == Protocol::Lvis {
                let report =
                    Evaluation::new(&detections, &Settings::strict(Protocol::LvisFixed))?.report(None);
                fixed[row].push(report.metric(&Metric::AP).context("fixed AP is undefined")?);
            }
            evaluations.push(evaluation);
        }
        runs.push(evaluations);
    }
    let differences = compare_runs(&runs, Bootstrap::default())?;
    Ok(Block { label: validations[0].truths[truth].label.clone(), differences, fixed, false_positives })
}

impl Block {
    fn table(&self, names: &[&str], table: fn(&[&str], &[Vec<String>]) -> String) -> String {
        let metrics = Metric::AP.with_groups();
        let points = |value: f64| format!("{:+.1}", 100.0 * value);
        let cell = |difference: Option<&Difference>| match difference {
            None => "–".to_owned(),
            Some(d) => {
                let mark = if d.is_certain() { "" } else { " ·" };
                format!("{} ({} to {}){mark}", points(d.value), points(d.low), points(d.high))
            }
        };
        let row = |(place, name): (usize, &&str)| {
            let mut cells = vec![(*name).to_owned()];
            match place.checked_sub(1).map(|other| &self.differences[other]) {
                None => cells.extend(vec!["baseline".to_owned(); metrics.len()]),
                Some(of) => cells.extend(metrics.each_ref().map(|metric| cell(of.get(metric)))),
            }
            cells.push(spread(&self.fixed[place]).text());
            cells.push(match spread(&self.false_positives[place]) {
                Cell::Missing => "–".to_owned(),
                Cell::Value(value) => format!("{value:.2}"),
                Cell::Spread { mean, deviation } => format!("{mean:.2} ± {deviation:.2}"),
            });
            cells
        };
        let rows: Vec<Vec<String>> = names.iter().enumerate().map(row).collect();
        let [ap, rare, common, frequent] = metrics.each_ref().map(Metric::to_string);
        let heading = ["classifier", &ap, &rare, &common, &frequent, "fixed AP", "false positives"];
        format!("{}\n{}", self.label, table(&heading, &rows))
    }
}
