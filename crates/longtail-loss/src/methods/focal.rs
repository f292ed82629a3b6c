//! Focal loss (Lin et al., ICCV 2017, arXiv 1708.02002).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassificationLoss, Evaluation, LossState, Workers, by_rows},
    error::LossError,
    numerics::{map_and_sum, softplus_and_sigmoid},
    sigmoid::Columns,
    targets::RoiTargets,
};

/// Settings of [`Focal`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FocalConfig {
    /// γ ≥ 0: how much easy samples are damped.
    pub gamma: f64,
    /// α in `0..=1`: weight of positives; negatives weigh 1 - α.
    pub alpha: f64,
    /// Whether column 0 is a background logit.
    pub background_logit: bool,
}

impl Default for FocalConfig {
    fn default() -> Self {
        Self { gamma: 2.0, alpha: 0.25, background_logit: false }
    }
}

/// `Σ_i -α_t (1 - p_t)^γ log p_t`, `p_t = p` on the RoI's own column, else `1 - p`. K = C, or C + 1 with a background
/// logit. Reads no statistics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Focal {
    columns: Columns,
    gamma: f32,
    alpha: f32,
}

impl Focal {
    /// Builds the loss.
    ///
    /// # Errors
    /// If γ or α is out of range.
    pub fn new(config: &FocalConfig) -> Result<Self, LossError> {
        check_focal(config.gamma, config.alpha)?;
        let columns = Columns { background: config.background_logit };
        Ok(Self { columns, gamma: config.gamma as f32, alpha: config.alpha as f32 })
    }
}

/// Checks γ and α.
pub(crate) fn check_focal(gamma: f64, alpha: f64) -> Result<(), LossError> {
    if !(gamma.is_finite() && gamma >= 0.0) {
        return Err(LossError::Setting { field: "gamma", value: gamma, expected: "a number of at least 0" });
    }
    if !(0.0..=1.0).contains(&alpha) {
        return Err(LossError::Setting { field: "alpha", value: alpha, expected: "between 0 and 1" });
    }
    Ok(())
}

/// `-(1 - p_t)^γ log p_t` of a logit as a negative, and its derivative; a positive is the negative of `-z`.
#[inline(always)]
pub(crate) fn focal_negative(z: f32, gamma: f32) -> (f32, f32) {
    // As a negative p_t = 1 - sigmoid(z), so 1 - p_t = sigmoid(z) =: s and -log p_t = softplus(z).
    let (softplus, s) = softplus_and_sigmoid(z);
    let power = s.powf(gamma);
    // d/dz s^γ·softplus = γ s^γ (1 - s) softplus + s^γ s
    (power * softplus, power * (gamma * (1.0 - s) * softplus + s))
}

/// [`focal_negative`] with γ = 2.
#[inline(always)]
fn focal_negative_squared(z: f32) -> (f32, f32) {
    let (softplus, s) = softplus_and_sigmoid(z);
    let power = s * s;
    (power * softplus, power * (2.0 * (1.0 - s) * softplus + s))
}

/// A value and its derivative times a factor.
#[inline(always)]
fn scaled((value, slope): (f32, f32), factor: f32) -> (f32, f32) {
    (value, factor * slope)
}

impl ClassificationLoss for Focal {
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
        let outputs = self.columns.count(targets.num_classes());
        targets.check(logits, outputs)?;
        let (gamma, alpha) = (self.gamma, self.alpha);
        let (value, gradient) = by_rows(
            logits,
            outputs,
            targets,
            #[inline(always)]
            |n, scale, z, gradient| {
                let factor = scale * (1.0 - alpha);
                // With γ = 2 no power is needed, and the loop is vectorised.
                let sum = if gamma == 2.0 {
                    map_and_sum(z, gradient, |z| scaled(focal_negative_squared(z), factor))
                } else {
                    map_and_sum(z, gradient, |z| scaled(focal_negative(z, gamma), factor))
                };
                let mut loss = f64::from(1.0 - alpha) * sum;
                if let Some(own) = self.columns.of_label(targets.labels()[n]) {
                    let (as_negative, _) = focal_negative(z[own], gamma);
                    let (value, slope) = focal_negative(-z[own], gamma);
                    loss += f64::from(alpha * value) - f64::from((1.0 - alpha) * as_negative);
                    gradient[own] = -scale * alpha * slope;
                }
                loss
            },
        );
        Ok(Evaluation { value, gradient, state: LossState::Stateless })
    }

    fn class_scores(&self, logits: &[f32], columns: usize) -> Vec<f32> {
        self.columns.scores(logits, columns)
    }
}
