//! How certain the differences between a run's classifiers are: resampled images, over one or several runs.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use longtail_annotations::AnnotationSet;
use longtail_eval::{
    Bootstrap, Detections, Difference, Evaluation, GroundTruth, Metric, Protocol, Settings, Shard,
    compare_runs,
};
use longtail_run::Results;
use serde_json::{Value, json};

use super::compared;
use crate::{ReportError, aggregate::spread, scores::PrintTable, table::Cell};

/// Score from which false positives are counted: what `longtail predict` draws.
pub const DRAWN: f64 = 0.5;

/// A run with its results.
#[derive(Debug)]
pub struct Run {
    /// Its folder.
    pub path: PathBuf,
    /// What it found.
    pub results: Results,
}

/// Runs of the same classifiers, of which one is the baseline.
#[derive(Debug)]
pub struct Runs {
    runs: Vec<Run>,
    /// Classifiers by index, the baseline first.
    order: Vec<usize>,
}

impl Runs {
    /// Reads runs.
    ///
    /// # Errors
    /// If one is not a finished run, they have different classifiers, or a single one.
    pub fn read(paths: &[PathBuf]) -> Result<Self, ReportError> {
        let read = |path: &PathBuf| Ok(Run { path: path.clone(), results: Results::read(path)? });
        let runs: Vec<Run> = paths.iter().map(read).collect::<Result<_, ReportError>>()?;
        let names =
            |run: &Run| -> Vec<String> { run.results.classifiers.iter().map(|c| c.name.clone()).collect() };
        if let Some(index) = runs.iter().position(|run| names(run) != names(&runs[0])) {
            return Err(ReportError::Mismatch { run: index + 1, reason: "has other classifiers".into() });
        }
        let compared = runs.first().and_then(|run| compared(&run.results.classifiers));
        let (baseline, _) = compared
            .ok_or_else(|| ReportError::OneClassifier { run: paths.first().cloned().unwrap_or_default() })?;
        let mut order: Vec<usize> = (0..runs[0].results.classifiers.len()).collect();
        order.sort_by_key(|&index| index != baseline);
        Ok(Self { runs, order })
    }

    /// The runs.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Names of the classifiers, the baseline first.
    pub fn names(&self) -> Vec<&str> {
        self.order.iter().map(|&index| self.runs[0].results.classifiers[index].name.as_str()).collect()
    }

    /// What one truth says of all classifiers; `truths` are the annotations of each run.
    ///
    /// # Errors
    /// If detections cannot be read or scored.
    pub fn block(
        &self,
        label: &str,
        protocol: Protocol,
        truths: &[&AnnotationSet],
    ) -> Result<Block, ReportError> {
        let count = self.order.len();
        let (mut fixed, mut false_positives) = (vec![Vec::new(); count], vec![Vec::new(); count]);
        let mut evaluations = Vec::new();
        for (run, truth) in self.runs.iter().zip(truths) {
            let truth = GroundTruth::new(truth)?;
            let mut of_run = Vec::new();
            for (row, &index) in self.order.iter().enumerate() {
                let detections = detections(&truth, &run.path, &run.results.classifiers[index].detections)?;
                let evaluation = Evaluation::new(&detections, &Settings::strict(protocol))?;
                false_positives[row].push(evaluation.false_positives_per_image(DRAWN)?);
                if protocol == Protocol::Lvis {
                    let fixed_rules = Settings::strict(Protocol::LvisFixed);
                    fixed[row]
                        .extend(Evaluation::new(&detections, &fixed_rules)?.report(None).metric(&Metric::AP));
                }
                of_run.push(evaluation);
            }
            evaluations.push(of_run);
        }
        let differences = compare_runs(&evaluations, Bootstrap::default())?;
        Ok(Block { label: label.to_owned(), differences, fixed, false_positives })
    }

    /// A sentence under the tables.
    pub fn legend(&self) -> String {
        format!(
            "Difference to {} in points, mean over {} runs, and 95 % of 1,000 resamples of each run's \
             validation images; · marks an interval that includes 0. Fixed AP, and false positives an image at IoU 0.5 with a score of \
             {DRAWN} or more, both of the stored detections: mean ± standard deviation over the runs.",
            self.names()[0],
            self.runs.len()
        )
    }
}

fn detections<'t>(truth: &'t GroundTruth, run: &Path, file: &str) -> Result<Detections<'t>, ReportError> {
    let mut detections = Detections::new(truth, Shard::WHOLE);
    detections.read(&run.join(file))?;
    Ok(detections)
}

/// What one truth says of all classifiers.
#[derive(Debug)]
pub struct Block {
    label: String,
    /// By classifier but the baseline.
    differences: Vec<BTreeMap<Metric, Difference>>,
    /// By classifier and run.
    fixed: Vec<Vec<f64>>,
    false_positives: Vec<Vec<f64>>,
}

impl Block {
    /// The block as JSON; `names` are those of the classifiers, the baseline first.
    pub fn json(&self, names: &[&str]) -> Value {
        let row = |(index, name): (usize, &&str)| {
            json!({ "classifier": name, "fixed_AP": self.fixed[index],
                "false_positives_per_image": self.false_positives[index],
                "differences": index.checked_sub(1).map(|other| &self.differences[other]) })
        };
        let rows: Vec<_> = names.iter().enumerate().map(row).collect();
        json!({ "truth": self.label, "baseline": names[0], "classifiers": rows })
    }

    /// The block as a table under its heading.
    pub fn table(&self, names: &[&str], table: PrintTable) -> String {
        let metrics = Metric::AP.with_groups();
        let points = |value: f64| format!("{:+.1}", 100.0 * value);
        let cell = |difference: Option<&Difference>| match difference {
            None => "–".to_owned(),
            Some(d) => {
                let mark = if d.is_certain() { "" } else { " ·" };
                format!("{} ({} to {}){mark}", points(d.value), points(d.low), points(d.high))
            }
        };
        let row = |(index, name): (usize, &&str)| {
            let mut cells = vec![(*name).to_owned()];
            match index.checked_sub(1).map(|other| &self.differences[other]) {
                None => cells.extend(vec!["baseline".to_owned(); metrics.len()]),
                Some(of) => cells.extend(metrics.each_ref().map(|metric| cell(of.get(metric)))),
            }
            cells.push(spread(&self.fixed[index]).text());
            cells.push(match spread(&self.false_positives[index]) {
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
