//! Balanced softmax (Ren et al., NeurIPS 2020, arXiv 2007.10740), which is logit adjustment in training (Menon et al.,
//! ICLR 2021, arXiv 2007.07314) with τ = 1.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss, Evaluation, LossState, Workers},
    error::LossError,
    methods::softmax::{softmax_loss, softmax_scores},
    numerics::cross_entropy,
    targets::RoiTargets,
};

/// Settings of [`BalancedSoftmax`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BalancedSoftmaxConfig {
    /// τ: strength of the adjustment; 1 is balanced softmax.
    pub tau: f64,
}

impl Default for BalancedSoftmaxConfig {
    fn default() -> Self {
        Self { tau: 1.0 }
    }
}

/// Softmax cross-entropy of `z_c + τ log(n_c / max n)` in training and of z at test, n the boxes of a class. Relative to
/// the largest class, so that background, which has no count, competes with it as without the adjustment. K = C + 1.
/// Reads box counts.
#[derive(Debug, Clone, PartialEq)]
pub struct BalancedSoftmax {
    /// Added to each column, `[C + 1]`.
    added: Vec<f32>,
}

impl BalancedSoftmax {
    /// Builds the loss.
    ///
    /// # Errors
    /// If τ is not finite or there are no counts.
    pub fn new(config: &BalancedSoftmaxConfig, context: &ClassContext<'_>) -> Result<Self, LossError> {
        let counts = context.instance_counts("balanced softmax")?;
        Ok(Self { added: log_priors(config.tau, counts)? })
    }
}

/// `τ log(n_c / max n)` of each column, 0 for background, `[C + 1]`. A class without boxes counts as one with one.
pub(crate) fn log_priors(tau: f64, counts: &[u64]) -> Result<Vec<f32>, LossError> {
    if !tau.is_finite() {
        return Err(LossError::Setting { field: "tau", value: tau, expected: "a finite number" });
    }
    let largest = counts.iter().copied().max().unwrap_or(1).max(1) as f64;
    let prior = |&n: &u64| (tau * (n.max(1) as f64 / largest).ln()) as f32;
    Ok(std::iter::once(0.0).chain(counts.iter().map(prior)).collect())
}

impl ClassificationLoss for BalancedSoftmax {
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
                let adjusted: Vec<f32> = z.iter().zip(&self.added).map(|(z, added)| z + added).collect();
                cross_entropy(&adjusted, label, scale, gradient)
            },
        )
    }

    fn class_scores(&self, logits: &[f32], columns: usize) -> Vec<f32> {
        softmax_scores(logits, columns, 1.0)
    }
}
