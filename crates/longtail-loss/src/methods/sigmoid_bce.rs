//! Sigmoid binary cross-entropy, the second baseline.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassificationLoss, Evaluation, KeptNegatives, LossState, Workers},
    error::LossError,
    sigmoid::{Columns, RowWeights, weighted_bce},
    suppression::{Suppression, SuppressionLoss},
    targets::RoiTargets,
};

/// Settings of [`SigmoidBce`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SigmoidBceConfig {
    /// Whether column 0 is a background logit (K = C + 1, so that a softmax head can be taken over).
    pub background_logit: bool,
}

/// `L = -log p_k - Σ_{i≠k} log(1 - p_i)`, `p = sigmoid(z)`. K = C, or C + 1 with a background logit. Reads no statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SigmoidBce {
    columns: Columns,
}

impl SigmoidBce {
    /// Builds the loss.
    pub fn new(config: &SigmoidBceConfig) -> Self {
        Self { columns: Columns { background: config.background_logit } }
    }
}

impl ClassificationLoss for SigmoidBce {
    fn num_outputs(&self, num_classes: usize) -> usize {
        self.columns.count(num_classes)
    }

    fn evaluate(
        &self,
        logits: &[f32],
        targets: &RoiTargets,
        _state: &LossState,
        _workers: &dyn Workers,
    ) -> Result<Evaluation, LossError> {
        weighted_bce(logits, self.columns, targets, |_| RowWeights::Ones)
    }

    fn class_scores(&self, logits: &[f32], columns: usize) -> Vec<f32> {
        self.columns.scores(logits, columns)
    }

    fn as_suppression(&self) -> Option<&dyn SuppressionLoss> {
        Some(self)
    }

    fn kept_negatives(
        &self,
        _logits: &[f32],
        targets: &RoiTargets,
        _state: &LossState,
    ) -> Option<KeptNegatives> {
        let classes = targets.num_classes();
        Some(self.columns.kept_negatives(targets, |_, keep| (0..classes).for_each(|class| keep(class, 1.0))))
    }
}

impl SuppressionLoss for SigmoidBce {
    fn suppression(&self, targets: &RoiTargets, _: &LossState) -> Result<Option<Suppression>, LossError> {
        Ok(Some(Suppression::none(self.columns, targets)))
    }
}
