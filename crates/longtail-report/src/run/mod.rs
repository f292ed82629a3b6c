//! The report of a training run: what was compared, what it gained, how it was trained, what it looks like.
//!
//! | module | purpose |
//! | --- | --- |
//! | `compared` | which classifier is held against which, and the sentence that says what it gains |
//! | `training` | curves and step times from the log |
//! | `pictures` | confused classes, the best and the worst validation images |
//! | [`intervals`] | how certain the differences between a run's classifiers are |

mod compared;
pub mod intervals;
mod pictures;
mod training;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use longtail_bank::ClassTable;
use longtail_run::{ClassifierResult, MetricsLog, Results};

pub use self::{
    compared::{compared, remark},
    pictures::{Picture, Scenes},
};
use crate::{
    ReportError,
    aggregate::aggregate,
    data::{Method, ReportData, TruthName},
    table::Table,
};

/// What a run's table needs.
fn table_data(run: &Path) -> Result<ReportData, ReportError> {
    Ok(of_results(run, &Results::read(run)?))
}

/// The table of a run, or mean ± standard deviation of several.
///
/// # Errors
/// If a folder is not a finished run, or the runs differ in more than their seed.
pub fn table(runs: &[PathBuf]) -> Result<Table, ReportError> {
    let data = runs.iter().map(|run| table_data(run)).collect::<Result<Vec<_>, _>>()?;
    match data.as_slice() {
        [run] => Ok(Table::of(run)),
        runs => aggregate(runs),
    }
}

/// Everything that a run's page shows; `scenes` are its validation images, where there are any.
///
/// # Errors
/// If the folder is not a finished run, its detections cannot be read, or an image cannot be had.
pub fn page_data(run: &Path, scenes: Option<&dyn Scenes>) -> Result<ReportData, ReportError> {
    let results = Results::read(run)?;
    let mut data = of_results(run, &results);
    let records = MetricsLog::read(&run.join("metrics.jsonl"))?;
    training::add(&records, &mut data);
    if let (Some(scenes), Some(pair)) = (scenes, data.compared) {
        pictures::add(run, &results, scenes, pair, &mut data)?;
    }
    Ok(data)
}

fn of_results(run: &Path, results: &Results) -> ReportData {
    let mut facts = vec![("seed".to_owned(), results.seed.to_string())];
    facts.extend(results.environment.iter().map(|(name, value)| (name.clone(), value.clone())));
    ReportData {
        title: title(run),
        facts,
        truths: truths(results),
        methods: results.classifiers.iter().map(method).collect(),
        train_images: train_images(&results.classes),
        compared: compared(&results.classifiers),
        remarks: remark(std::slice::from_ref(results)).into_iter().collect(),
        ..ReportData::default()
    }
}

/// The last two folders: the recipe's name and the number of the run, where nobody chose others.
fn title(run: &Path) -> String {
    let run = std::path::absolute(run).unwrap_or_else(|_| run.to_owned());
    let parts: Vec<_> = run.iter().map(|part| part.to_string_lossy()).collect();
    format!("longtail: {}", parts[parts.len().saturating_sub(2)..].join("/"))
}

fn truths(results: &Results) -> Vec<TruthName> {
    let truth = |(name, label): (&String, &String)| TruthName { name: name.clone(), label: label.clone() };
    let mut truths: Vec<TruthName> = results.truths.iter().map(truth).collect();
    // The protocol of the field first.
    truths.sort_by_key(|truth| truth.name == "exhaustive");
    truths
}

/// Training images of each class by its category id.
pub fn train_images(classes: &ClassTable) -> BTreeMap<i64, u64> {
    classes.iter().map(|class| (class.category_id, class.train_images.unwrap_or_default())).collect()
}

/// A classifier as tables and pages show it.
pub fn method(result: &ClassifierResult) -> Method {
    let background = result.loss.method().background().to_owned();
    Method { name: result.name.clone(), background, reports: result.reports.clone() }
}
