//! LDAM: label-distribution-aware margin, with deferred re-weighting (Cao et al., NeurIPS 2019, arXiv 1906.07413).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss, Evaluation, LossState, Workers},
    error::LossError,
    methods::{
        class_balanced::label_weights,
        softmax::{softmax_loss, softmax_scores},
    },
    numerics::cross_entropy,
    targets::RoiTargets,
};

/// Settings of [`Ldam`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LdamConfig {
    /// Margin of the smallest class.
    pub max_margin: f64,
    /// s > 0: factor of all logits.
    pub scale: f64,
    /// Step of the stage from which RoIs weigh as in [`crate::ClassBalanced`]; never without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deferred_from: Option<u64>,
    /// β of the deferred weights.
    pub beta: f64,
}

impl Default for LdamConfig {
    fn default() -> Self {
        Self { max_margin: 0.5, scale: 30.0, deferred_from: None, beta: 0.9999 }
    }
}

/// Softmax cross-entropy of `s · (z - m)`, in which m is 0 but for the true class, whose margin is `∝ n^(-1/4)`, n the
/// boxes of the class, and `max_margin` for the smallest; background has none. K = C + 1. Reads box counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Ldam {
    /// Margin of each label, `[C + 1]`.
    margins: Vec<f32>,
    scale: f32,
    /// Step, and the weight of each label from then on.
    deferred: Option<(u64, Vec<f32>)>,
}

impl Ldam {
    /// Builds the loss.
    ///
    /// # Errors
    /// If a setting is out of range or there are no counts.
    pub fn new(config: &LdamConfig, context: &ClassContext<'_>) -> Result<Self, LossError> {
        if !(config.scale.is_finite() && config.scale > 0.0) {
            return Err(LossError::Setting {
                field: "scale",
                value: config.scale,
                expected: "a number above 0",
            });
        }
        if !(config.max_margin.is_finite() && config.max_margin >= 0.0) {
            let (value, expected) = (config.max_margin, "a number of at least 0");
            return Err(LossError::Setting { field: "max_margin", value, expected });
        }
        let counts = context.instance_counts("LDAM")?;
        let raw: Vec<f64> = counts.iter().map(|&n| (n.max(1) as f64).powf(-0.25)).collect();
        let largest = raw.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let margin = |raw: &f64| (config.max_margin * raw / largest) as f32;
        let deferred = match config.deferred_from {
            None => None,
            Some(step) => Some((step, label_weights(config.beta, context, "LDAM")?)),
        };
        let margins = std::iter::once(0.0).chain(raw.iter().map(margin)).collect();
        Ok(Self { margins, scale: config.scale as f32, deferred })
    }
}

impl ClassificationLoss for Ldam {
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
        let weights = self.deferred.as_ref().filter(|(step, _)| targets.draw().step >= *step);
        softmax_loss(
            logits,
            targets,
            #[inline(always)]
            |label, scale, z, gradient| {
                let mut scaled: Vec<f32> = z.iter().map(|z| self.scale * z).collect();
                scaled[label] -= self.scale * self.margins[label];
                let weight = weights.map_or(1.0, |(_, weights)| weights[label]);
                f64::from(weight) * cross_entropy(&scaled, label, scale * self.scale * weight, gradient)
            },
        )
    }

    fn class_scores(&self, logits: &[f32], columns: usize) -> Vec<f32> {
        softmax_scores(logits, columns, self.scale)
    }
}
