//! Weights of other frameworks: a file becomes a detector's checkpoint that predicts and that training can start from,
//! and a trained detector becomes a file under another framework's names.
//!
//! An imported file is a checkpoint whose header describes the detector, its preparation of images and its classes.

mod export;
mod import;
mod infer;
mod start;

use longtail_data::Transform;
use longtail_detect::{FasterRcnnConfig, TestConfig};
use longtail_loss::LossConfig;
use serde::{Deserialize, Serialize};

pub use export::{Exported, export};
pub use import::{Imported, Request, import};
pub(crate) use start::start;

use crate::error::TrainError;

/// What an imported detector is, besides its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// File and naming it came from.
    pub source: String,
    /// Whether every tensor of the detector was in the file; a backbone alone cannot predict.
    pub complete: bool,
    /// The detector.
    pub detector: FasterRcnnConfig,
    /// Preparation of images: what the weights were trained on.
    pub transform: Transform,
    /// Decoding of detections.
    pub test: TestConfig,
    /// What its logits are.
    pub loss: LossConfig,
    /// Classes by label; empty for a backbone.
    pub classes: Vec<ClassName>,
}

/// A class of an imported detector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassName {
    /// Category id of the data set it was trained on.
    pub category_id: i64,
    /// Name.
    pub name: String,
}

impl Description {
    pub(crate) fn validate(&self) -> Result<(), TrainError> {
        self.detector.validate()?;
        self.test.validate()?;
        Ok(self.transform.validate()?)
    }
}
