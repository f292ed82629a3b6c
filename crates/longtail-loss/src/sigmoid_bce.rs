//! Sigmoid binary cross-entropy, the second baseline.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassificationLoss, KeptNegatives, LossState, plain},
    error::LossError,
    sigmoid::{Columns, matrix, weighted_bce},
    targets::RoiTargets,
};

/// Settings of [`SigmoidBce`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SigmoidBceConfig {
    /// Whether column 0 is a background logit (K = C + 1, so that a softmax head can be taken over).
    pub background_logit: bool,
}

/// `L = -log p_k - Σ_{i≠k} log(1 - p_i)`, `p = sigmoid(z)`, summed over classes, averaged over RoIs. K = C, or C + 1
/// with a background logit. Reads no statistics.
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

    fn forward(
        &self,
        logits: Tensor<2>,
        targets: &RoiTargets,
        _state: &LossState,
    ) -> Result<(Tensor<1>, LossState), LossError> {
        targets.check(logits.dims(), self.columns.count(targets.num_classes()))?;
        if targets.is_empty() {
            return Ok((logits.sum(), LossState::Stateless));
        }
        let one_hot = matrix(self.columns.one_hot(targets), &plain(&logits));
        let weights = one_hot.ones_like();
        Ok((weighted_bce(logits, one_hot, weights), LossState::Stateless))
    }

    fn scores(&self, logits: Tensor<2>) -> Tensor<2> {
        self.columns.scores(logits)
    }

    fn kept_negatives(&self, _logits: &Tensor<2>, targets: &RoiTargets) -> Option<KeptNegatives> {
        let all = vec![1.0; targets.len() * self.columns.count(targets.num_classes())];
        Some(self.columns.kept_negatives(&all, targets))
    }
}
