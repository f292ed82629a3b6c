//! Many heads on one bank, in parallel. The best is chosen by held-out training images, never by the validation set.

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

use longtail_bank::{Bank, BankError};
use longtail_eval::{EvalReport, Metric};
use longtail_run::{Event, Observer};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    error::HeadError,
    file::{Head, HeadFile, Inputs},
    recipe::HeadRecipe,
    train::train,
};

/// A setting's heads over the seeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Name in tables.
    pub name: String,
    /// Its recipe, for the first seed.
    pub recipe: HeadRecipe,
}

/// A finished head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadResult {
    /// Its setting.
    pub setting: String,
    /// Its seed.
    pub seed: u64,
    /// Its file, relative to the sweep's folder.
    pub head: String,
    /// Its recipe.
    pub recipe: HeadRecipe,
    /// Seconds of training.
    pub seconds: f64,
    /// Loss of the last step.
    pub loss: f64,
    /// Reports on the held-out images by truth.
    pub reports: Reports,
}

/// What is told while heads are trained.
#[derive(Debug)]
pub enum SweepEvent<'a> {
    /// A head began or went on.
    Step {
        /// Index of the setting and seed.
        job: usize,
        /// Steps done.
        done: u64,
        /// Steps in all.
        total: u64,
        /// Loss.
        loss: f64,
    },
    /// A head is finished, or was found finished.
    Finished {
        /// Index of the setting and seed.
        job: usize,
        /// What came out.
        result: &'a HeadResult,
    },
    /// A sentence worth reading.
    Note(&'a str),
}

/// Watches a sweep from several threads.
pub trait SweepObserver: Sync {
    /// Takes note of an event.
    fn observe(&self, event: SweepEvent<'_>);
    /// Whether the sweep shall stop; heads in the making leave a checkpoint.
    fn stop_requested(&self) -> bool {
        false
    }
}

/// Indices of the settings with their seeds, in the order of the jobs.
pub fn jobs(settings: &[Setting], seeds: &[u64]) -> Vec<(usize, u64)> {
    settings.iter().enumerate().flat_map(|(index, _)| seeds.iter().map(move |&seed| (index, seed))).collect()
}

/// Reports by the truth's name.
pub type Reports = Vec<(String, EvalReport)>;

/// Scores a head on held-out images.
pub type Scorer<'a> = dyn Fn(&Head, &HeadFile) -> Result<Reports, HeadError> + Sync + 'a;

/// Trains every setting with every seed on `bank` and scores it, by detections on `held_out`. What `out` has already is
/// read.
///
/// # Errors
/// The first error of a head; or if the user stops it.
pub fn sweep(
    bank: &Bank,
    held_out: &Bank,
    settings: &[Setting],
    seeds: &[u64],
    out: &Path,
    score: &Scorer<'_>,
    observer: &dyn SweepObserver,
) -> Result<Vec<HeadResult>, HeadError> {
    std::fs::create_dir_all(out.join("heads")).map_err(HeadError::io("create", out))?;
    if let Some(first) = settings.first() {
        // Parts that were imported need not fit: told before the work begins.
        let file = HeadFile::new("", first.recipe.classifier.loss.clone(), bank.header());
        let checked =
            file.check(bank.folder(), bank.header().width, &Inputs::of("this part", held_out.header()));
        if let Err(HeadError::Head { reason, .. }) = checked {
            let reason = format!("a head of {} {reason}", bank.folder().display());
            return Err(BankError::Header { path: held_out.folder().join("bank.json"), reason }.into());
        }
    }
    for setting in settings {
        setting.recipe.on(bank.header().layer)?;
    }
    let noted = Mutex::new(Vec::new());
    let jobs = jobs(settings, seeds);
    jobs.par_iter()
        .enumerate()
        .map(|(job, &(index, seed))| {
            let setting = &settings[index];
            let mut recipe = HeadRecipe { seed, ..setting.recipe.clone() };
            recipe.classifier.name = setting.name.clone();
            let stem = format!("heads/{index:03}-seed-{seed}");
            let record = out.join(format!("{stem}.json"));
            let head_name = format!("{stem}.safetensors");
            if let Some(result) = finished(&record, out, &recipe)? {
                observer.observe(SweepEvent::Finished { job, result: &result });
                return Ok(result);
            }
            let mut watcher = Watcher { observer, job, noted: &noted };
            let checkpoint = out.join(format!("{stem}.partial"));
            let (head, file) = train(bank, &recipe, Some(&checkpoint), &mut watcher)?;
            head.write(&out.join(&head_name), &file)?;
            let training = file.training.as_ref();
            let result = HeadResult {
                setting: setting.name.clone(),
                seed,
                head: head_name,
                recipe,
                seconds: training.map_or(0.0, |t| t.seconds),
                loss: training.map_or(0.0, |t| t.loss),
                reports: score(&head, &file)?,
            };
            let json = serde_json::to_vec(&result).map_err(|e| HeadError::Head {
                path: record.clone(),
                reason: format!("cannot be written: {e}"),
            })?;
            longtail_files::write_bytes(&record, &json)?;
            observer.observe(SweepEvent::Finished { job, result: &result });
            Ok(result)
        })
        .collect()
}

/// A result of an earlier call with the same recipe.
fn finished(record: &Path, out: &Path, recipe: &HeadRecipe) -> Result<Option<HeadResult>, HeadError> {
    if !record.exists() {
        return Ok(None);
    }
    let text = std::fs::read(record).map_err(HeadError::io("read", record))?;
    let Ok(result) = serde_json::from_slice::<HeadResult>(&text) else { return Ok(None) };
    if &result.recipe != recipe {
        return Err(HeadError::Head {
            path: record.to_owned(),
            reason: "is of a sweep with other settings; choose another --out".into(),
        });
    }
    Ok(Head::read(&out.join(&result.head)).is_ok().then_some(result))
}

/// The setting whose mean over seeds is best by a metric of the first truth, and the best of its seeds.
pub fn best<'r>(results: &'r [HeadResult], metric: &Metric) -> Option<&'r HeadResult> {
    let value = |result: &HeadResult| result.reports.first().and_then(|(_, report)| report.metric(metric));
    let mut means: Vec<(f64, &str)> = Vec::new();
    for of_setting in results.chunk_by(|a, b| a.setting == b.setting) {
        let values: Vec<f64> = of_setting.iter().filter_map(value).collect();
        if values.len() == of_setting.len() {
            means.push((values.iter().sum::<f64>() / values.len() as f64, &of_setting[0].setting));
        }
    }
    // The first of equals.
    let best = means.iter().rev().max_by(|a, b| a.0.total_cmp(&b.0))?;
    let of_best = results.iter().filter(|result| result.setting == best.1);
    of_best.max_by(|a, b| value(a).unwrap_or(-1.0).total_cmp(&value(b).unwrap_or(-1.0)))
}

/// A head and its block by a result.
///
/// # Errors
/// If the file is gone or damaged.
pub fn head_of(out: &Path, result: &HeadResult) -> Result<(PathBuf, Head, HeadFile), HeadError> {
    let path = out.join(&result.head);
    let (head, file) = Head::read(&path)?;
    Ok((path, head, file))
}

struct Watcher<'a> {
    observer: &'a dyn SweepObserver,
    job: usize,
    /// What was said already: the same bank gives the same remarks to each head.
    noted: &'a Mutex<Vec<String>>,
}

impl Observer for Watcher<'_> {
    fn observe(&mut self, event: Event<'_>) {
        match event {
            Event::Step { done, total, loss, .. } => {
                self.observer.observe(SweepEvent::Step { job: self.job, done, total, loss });
            }
            Event::Note(text) => {
                if let Ok(mut noted) = self.noted.lock()
                    && !noted.iter().any(|other| other == text)
                {
                    noted.push(text.to_owned());
                    self.observer.observe(SweepEvent::Note(text));
                }
            }
            _ => {}
        }
    }

    fn stop_requested(&self) -> bool {
        self.observer.stop_requested()
    }
}
