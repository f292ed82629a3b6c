//! `metrics.jsonl`: one JSON object a line, training steps and evaluations in the order they happened.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use longtail_annotations::FrequencyGroup;
use longtail_eval::Metrics;
use longtail_loss::KeptNegatives;
use serde::{Deserialize, Serialize};

use crate::{error::RunError, folder::write_atomically, position::Position};

/// A line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Record {
    /// A training step.
    Step(StepRecord),
    /// An evaluation.
    Evaluation(EvaluationRecord),
}

/// Where the time of a step went, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct StepTime {
    /// The whole step.
    pub total: f64,
    /// Waiting for the batch.
    pub data: f64,
    /// Proposals, NMS, matching, sampling and losses; on a GPU with the wait for what these need of it.
    pub host: f64,
}

/// Measurements at a training step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Index of the stage.
    pub stage_index: usize,
    /// Name of the stage.
    pub stage: String,
    /// Iterations done, counting this one.
    pub iteration: u64,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Images a second since the last line.
    pub images_per_second: f64,
    /// Resident memory of the process, MiB.
    pub memory_mib: f64,
    /// Memory that the allocator of a GPU holds, MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_memory_mib: Option<f64>,
    /// Mean time of the steps since the last line.
    pub seconds: StepTime,
    /// Gradient norm before clipping, by classifier in a classifier stage, else under the key `all`.
    pub gradient_norm: BTreeMap<String, f64>,
    /// Loss terms, averaged since the last line; in a classifier stage keyed by the classifier's name.
    pub losses: BTreeMap<String, f64>,
    /// Share of the negatives (RoI × class) that a method kept, by classifier and frequency group (r, c, f).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kept_negatives: BTreeMap<String, BTreeMap<String, f64>>,
}

/// Metrics of an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationRecord {
    /// Index of the stage.
    pub stage_index: usize,
    /// Name of the stage.
    pub stage: String,
    /// Iterations done.
    pub iteration: u64,
    /// Name of the classifier.
    pub classifier: String,
    /// Name of the truth it was scored against.
    pub truth: String,
    /// Metrics in `0..=1`.
    pub metrics: Metrics,
}

/// Share of negatives kept over the classes of each frequency group.
pub fn kept_by_group(kept: &KeptNegatives, groups: &[FrequencyGroup]) -> BTreeMap<String, f64> {
    let mut shares = BTreeMap::new();
    for group in FrequencyGroup::ALL {
        let (mut of_group, mut all) = (0.0, 0);
        for (class, _) in groups.iter().enumerate().filter(|(_, g)| **g == group) {
            of_group += kept.kept[class];
            all += kept.total[class];
        }
        if all > 0 {
            shares.insert(group.letter().to_owned(), of_group / all as f64);
        }
    }
    shares
}

/// Appends to `metrics.jsonl`.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    file: File,
}

impl MetricsLog {
    /// Begins a log; an older one goes.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn create(path: &Path) -> Result<Self, RunError> {
        write_atomically(path, |_| Ok(()))?;
        Self::append_to(path)
    }

    /// Goes on with a log: lines past `position`, written after the checkpoint that a resumed run starts from, are
    /// dropped.
    ///
    /// # Errors
    /// If the file cannot be written or has a line that cannot be read; it is then left as it was.
    pub fn resume(path: &Path, position: Position) -> Result<Self, RunError> {
        if path.exists() {
            let mut kept = String::new();
            for record in Self::read(path)? {
                if record.position() <= position {
                    kept.push_str(&record.to_line(path)?);
                }
            }
            write_atomically(path, |file| file.write_all(kept.as_bytes()))?;
        }
        Self::append_to(path)
    }

    fn append_to(path: &Path) -> Result<Self, RunError> {
        let file =
            OpenOptions::new().create(true).append(true).open(path).map_err(RunError::io("write", path))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// If a value is not finite or the line cannot be written.
    pub fn append(&mut self, record: &Record) -> Result<(), RunError> {
        let line = record.to_line(&self.path)?;
        self.file.write_all(line.as_bytes()).map_err(RunError::io("write", &self.path))
    }

    /// Reads all lines; a last one without its end, cut short by a kill, is left out.
    ///
    /// # Errors
    /// If the file or one of its lines cannot be read.
    pub fn read(path: &Path) -> Result<Vec<Record>, RunError> {
        let text = std::fs::read_to_string(path).map_err(RunError::io("read", path))?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let parse = |(index, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|e| RunError::LogLine {
                path: path.to_owned(),
                line: index + 1,
                reason: e.to_string(),
            })
        };
        whole.lines().enumerate().map(parse).collect()
    }
}

impl Record {
    /// Where the run stood.
    fn position(&self) -> Position {
        match self {
            Self::Step(step) => Position { stage: step.stage_index, iteration: step.iteration },
            Self::Evaluation(found) => Position { stage: found.stage_index, iteration: found.iteration },
        }
    }

    /// The line of the log at `path`. JSON writes what is not finite as `null`, which no reader takes for a number.
    fn to_line(&self, path: &Path) -> Result<String, RunError> {
        let unwritable = |reason: String| RunError::Unwritable { path: path.to_owned(), reason };
        if let Self::Step(step) = self {
            let named = step.losses.iter().chain(&step.gradient_norm);
            if let Some((name, value)) = named.into_iter().find(|(_, value)| !value.is_finite()) {
                let (stage, iteration) = (&step.stage, step.iteration);
                return Err(unwritable(format!(
                    "`{name}` is {value} at iteration {iteration} of stage `{stage}`"
                )));
            }
        }
        let mut line = serde_json::to_string(self).map_err(|e| unwritable(e.to_string()))?;
        line.push('\n');
        Ok(line)
    }
}

/// Resident memory of this process in MiB; 0 where the system does not tell.
pub fn resident_memory_mib() -> f64 {
    // Linux: field 2 of /proc/self/statm is the resident set in pages of 4 KiB.
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4096.0 / (1024.0 * 1024.0)
}

#[cfg(test)]
mod tests {
    use longtail_eval::Metric;

    use super::*;

    fn evaluation(stage_index: usize, iteration: u64) -> Record {
        Record::Evaluation(EvaluationRecord {
            stage_index,
            stage: "representation".into(),
            iteration,
            classifier: "softmax".into(),
            truth: "lvis".into(),
            metrics: Metrics::from([(Metric::AP, Some(0.25)), (Metric::AP50, None)]),
        })
    }

    fn step(norm: f64) -> Record {
        Record::Step(StepRecord {
            stage_index: 0,
            stage: "representation".into(),
            iteration: 10,
            learning_rate: 0.1,
            images_per_second: 1.0,
            memory_mib: 1.0,
            device_memory_mib: None,
            seconds: StepTime::default(),
            gradient_norm: BTreeMap::from([("all".into(), norm)]),
            losses: BTreeMap::new(),
            kept_negatives: BTreeMap::new(),
        })
    }

    #[test]
    fn resuming_drops_what_was_logged_after_the_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut log = MetricsLog::create(&path).unwrap();
        for iteration in [10, 20, 30] {
            log.append(&evaluation(0, iteration)).unwrap();
        }
        // A line cut short by a kill.
        log.file.write_all(b"{\"kind\":\"eval").unwrap();
        drop(log);
        let mut log = MetricsLog::resume(&path, Position { stage: 0, iteration: 20 }).unwrap();
        log.append(&evaluation(1, 5)).unwrap();
        let expected = vec![evaluation(0, 10), evaluation(0, 20), evaluation(1, 5)];
        assert_eq!(MetricsLog::read(&path).unwrap(), expected);
        assert!(MetricsLog::create(&path).is_ok() && MetricsLog::read(&path).unwrap().is_empty());
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut log = MetricsLog::create(&path).unwrap();
        log.append(&evaluation(0, 10)).unwrap();
        log.file.write_all(b"{\"kind\":\"step\",\"iteration\":null}\n").unwrap();
        log.append(&evaluation(0, 20)).unwrap();
        drop(log);
        let before = std::fs::read(&path).unwrap();
        let error = MetricsLog::resume(&path, Position { stage: 0, iteration: 20 }).unwrap_err().to_string();
        assert!(error.contains("line 2 of") && error.contains("metrics.jsonl"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_value_that_is_not_finite_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut log = MetricsLog::create(&path).unwrap();
        log.append(&step(1.0)).unwrap();
        let error = log.append(&step(f64::NAN)).unwrap_err().to_string();
        assert!(error.contains("`all` is NaN at iteration 10 of stage `representation`"), "{error}");
        assert_eq!(MetricsLog::read(&path).unwrap(), [step(1.0)]);
    }

    #[test]
    fn kept_negatives_are_shares_within_each_group() {
        let kept = KeptNegatives { kept: vec![1.0, 3.0, 0.0], total: vec![10, 10, 20] };
        let groups = [FrequencyGroup::Rare, FrequencyGroup::Rare, FrequencyGroup::Frequent];
        let shares = kept_by_group(&kept, &groups);
        assert_eq!(shares, BTreeMap::from([("r".into(), 0.2), ("f".into(), 0.0)]));
    }
}
