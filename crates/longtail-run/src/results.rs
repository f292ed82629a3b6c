//! `results.json`: what a run found, for reports and comparisons.

use std::{collections::BTreeMap, path::Path};

use longtail_bank::ClassTable;
use longtail_eval::EvalReport;
use longtail_loss::{LossConfig, PostHoc};
use serde::{Deserialize, Serialize};

use crate::{error::RunError, folder::RunFolder};

const FILE: &str = "results.json";

/// The results of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Results {
    /// Seed of the run.
    pub seed: u64,
    /// Versions, machine, command.
    pub environment: BTreeMap<String, String>,
    /// Classes by label.
    pub classes: ClassTable,
    /// Training images.
    #[serde(default)]
    pub train_images: u64,
    /// Truths by name with their readable names.
    pub truths: BTreeMap<String, String>,
    /// Classifiers in the order they were trained.
    pub classifiers: Vec<ClassifierResult>,
}

/// The results of one classifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassifierResult {
    /// Name of the classifier.
    pub name: String,
    /// Stage that trained it.
    pub stage: String,
    /// Iterations of that stage.
    pub iterations: u64,
    /// Its loss.
    pub loss: LossConfig,
    /// The correction of its scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correction: Option<PostHoc>,
    /// Reports by the truth's name.
    pub reports: BTreeMap<String, EvalReport>,
    /// File of its detections, relative to the run folder.
    pub detections: String,
}

impl Results {
    /// Reads `results.json` of a run folder.
    ///
    /// # Errors
    /// If the file is missing or is not a results file of this program.
    pub fn read(run: &Path) -> Result<Self, RunError> {
        let path = run.join(FILE);
        let text = std::fs::read(&path).map_err(RunError::io("read", &path))?;
        serde_json::from_slice(&text).map_err(|e| RunError::Results { path, reason: e.to_string() })
    }

    /// Writes `results.json` of a run folder.
    ///
    /// # Errors
    /// If it cannot be written; an older one is then still whole.
    pub fn write(&self, folder: &RunFolder) -> Result<(), RunError> {
        folder.write_json(FILE, self).map(|_| ())
    }
}
