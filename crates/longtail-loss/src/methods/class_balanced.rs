//! Class-balanced weights (Cui et al., CVPR 2019, arXiv 1901.05555).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss, Evaluation, LossState, Workers},
    error::LossError,
    methods::softmax::{softmax_loss, softmax_scores},
    numerics::cross_entropy,
    targets::RoiTargets,
};

/// Settings of [`ClassBalanced`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClassBalancedConfig {
    /// β in `0..1`: 0 weighs all classes alike, towards 1 by inverse frequency.
    pub beta: f64,
}

impl Default for ClassBalancedConfig {
    fn default() -> Self {
        Self { beta: 0.999 }
    }
}

/// Softmax cross-entropy in which a RoI of class c weighs `(1 - β) / (1 - β^n_c)`, n the boxes of the class, scaled so
/// that the classes weigh 1 on average; background weighs 1. K = C + 1. Reads box counts.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassBalanced {
    /// Weight of each label, `[C + 1]`.
    weights: Vec<f32>,
}

impl ClassBalanced {
    /// Builds the loss.
    ///
    /// # Errors
    /// If β is out of range or there are no counts.
    pub fn new(config: &ClassBalancedConfig, context: &ClassContext<'_>) -> Result<Self, LossError> {
        Ok(Self { weights: label_weights(config.beta, context, "class-balanced softmax")? })
    }
}

/// Weight of each label, `[C + 1]`. A class without boxes weighs as one with a single box.
pub(crate) fn label_weights(
    beta: f64,
    context: &ClassContext<'_>,
    loss: &'static str,
) -> Result<Vec<f32>, LossError> {
    if !(0.0..1.0).contains(&beta) {
        return Err(LossError::Setting { field: "beta", value: beta, expected: "at least 0 and below 1" });
    }
    let counts = context.instance_counts(loss)?;
    let raw: Vec<f64> = counts.iter().map(|&n| (1.0 - beta) / (1.0 - beta.powf(n.max(1) as f64))).collect();
    let mean = raw.iter().sum::<f64>() / raw.len().max(1) as f64;
    Ok(std::iter::once(1.0).chain(raw.iter().map(|w| (w / mean) as f32)).collect())
}

impl ClassificationLoss for ClassBalanced {
    fn num_outputs(&self, num_classes: usize) -> usize {
        num_classes + 1
    }

    fn evaluate(
        &self,
        logits: &[f32],
        targets: &RoiTargets,
        _state: &LossState,
        _workers: &dyn Workers,
    ) -> Result<Evaluation, LossError> {
        softmax_loss(
            logits,
            targets,
            #[inline(always)]
            |label, scale, z, gradient| {
                let weight = self.weights[label];
                f64::from(weight) * cross_entropy(z, label, scale * weight, gradient)
            },
        )
    }

    fn class_scores(&self, logits: &[f32], columns: usize) -> Vec<f32> {
        softmax_scores(logits, columns, 1.0)
    }
}
