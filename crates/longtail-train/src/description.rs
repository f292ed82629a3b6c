//! What an imported detector is, besides its numbers.

use longtail_bank::ClassTable;
use longtail_data::Transform;
use longtail_detect::{FasterRcnnConfig, TestConfig};
use longtail_loss::LossConfig;
use serde::{Deserialize, Serialize};

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
    pub classes: ClassTable,
}

impl Description {
    pub(crate) fn validate(&self) -> Result<(), TrainError> {
        self.detector.validate()?;
        self.test.validate()?;
        Ok(self.transform.validate()?)
    }
}
