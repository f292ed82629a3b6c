//! `results.json`: what a run found, for reports and comparisons.

use std::{collections::BTreeMap, path::Path};

use longtail_eval::EvalReport;
use longtail_loss::{LossConfig, PostHoc};
use serde::{Deserialize, Serialize};

use crate::{data::Class, error::TrainError};

/// The results of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Results {
    /// Seed of the run.
    pub seed: u64,
    /// Versions, machine, command.
    pub environment: BTreeMap<String, String>,
    /// Classes by label.
    pub classes: Vec<Class>,
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
    /// If the file is missing or is no result of this program.
    pub fn read(run: &Path) -> Result<Self, TrainError> {
        let path = run.join("results.json");
        let text = std::fs::read(&path).map_err(TrainError::io("read", &path))?;
        serde_json::from_slice(&text)
            .map_err(|e| TrainError::Checkpoint { path, reason: format!("is no results file: {e}") })
    }
}
