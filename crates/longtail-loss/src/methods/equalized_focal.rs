//! EFL: equalized focal loss (Li et al., CVPR 2022, arXiv 2201.02593).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassificationLoss, Evaluation, LossState, Workers, by_rows},
    error::LossError,
    methods::{
        eql_v2::{TINY, add_gradients, gradient_sums},
        focal::{check_focal, focal_negative},
    },
    numerics::sigmoid,
    sigmoid::Columns,
    targets::RoiTargets,
};

/// Settings of [`EqualizedFocal`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EqualizedFocalConfig {
    /// γ_b > 0: focusing of a balanced class.
    pub gamma: f64,
    /// s ≥ 0: how much more a class with no positive gradient is focused.
    pub scale: f64,
    /// α in `0..=1`: weight of positives; negatives weigh 1 - α.
    pub alpha: f64,
    /// Whether column 0 is a background logit.
    pub background_logit: bool,
}

impl Default for EqualizedFocalConfig {
    fn default() -> Self {
        Self { gamma: 2.0, scale: 8.0, alpha: 0.25, background_logit: false }
    }
}

/// Focal loss of class j with `γ_j = γ_b + s(1 - g_j)` and weight `γ_j / γ_b`; g is the running ratio of positive to
/// negative gradients, at most 1, over all workers, before this step; 1 at the beginning. A background logit has g = 1.
/// K = C, or C + 1. Reads no counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EqualizedFocal {
    config: EqualizedFocalConfig,
    columns: Columns,
}

impl EqualizedFocal {
    /// Builds the loss.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(config: &EqualizedFocalConfig) -> Result<Self, LossError> {
        check_focal(config.gamma, config.alpha)?;
        if config.gamma == 0.0 {
            return Err(LossError::Setting { field: "gamma", value: 0.0, expected: "a number above 0" });
        }
        if !(config.scale.is_finite() && config.scale >= 0.0) {
            let expected = "a number of at least 0";
            return Err(LossError::Setting { field: "scale", value: config.scale, expected });
        }
        Ok(Self { config: *config, columns: Columns { background: config.background_logit } })
    }
}

impl ClassificationLoss for EqualizedFocal {
    fn num_outputs(&self, num_classes: usize) -> usize {
        self.columns.count(num_classes)
    }

    fn evaluate(
        &self,
        logits: &[f32],
        targets: &RoiTargets,
        state: &LossState,
        workers: &dyn Workers,
    ) -> Result<Evaluation, LossError> {
        let (classes, labels) = (targets.num_classes(), targets.labels());
        let outputs = self.columns.count(classes);
        targets.check(logits, outputs)?;
        let (positive, negative) = gradient_sums(state, classes, "EFL")?;
        let EqualizedFocalConfig { gamma, scale: steepness, alpha, .. } = self.config;
        let mut gammas = vec![gamma as f32; outputs];
        for class in 0..classes {
            let (p, n) = (positive[class], negative[class]);
            let ratio = if p == 0.0 && n == 0.0 { 1.0 } else { (p / (n + TINY)).clamp(0.0, 1.0) };
            gammas[self.columns.of_class(class)] = (gamma + steepness * (1.0 - ratio)) as f32;
        }
        let (gamma, alpha) = (gamma as f32, alpha as f32);
        let (value, gradient) = by_rows(
            logits,
            outputs,
            targets,
            #[inline(always)]
            |n, scale, z, gradient| {
                let own = self.columns.of_label(labels[n]);
                let mut loss = 0.0;
                for column in 0..outputs {
                    let (sign, balance) =
                        if own == Some(column) { (-1.0, alpha) } else { (1.0, 1.0 - alpha) };
                    let (value, slope) = focal_negative(sign * z[column], gammas[column]);
                    let weight = balance * gammas[column] / gamma;
                    loss += f64::from(weight * value);
                    gradient[column] = scale * weight * sign * slope;
                }
                loss
            },
        );
        let (mut of_positives, mut of_negatives) = (vec![0.0; classes], vec![0.0; classes]);
        for (n, z) in logits.chunks_exact(outputs).enumerate().filter(|(n, _)| !targets.is_ignored(*n)) {
            for class in 0..classes {
                let p = f64::from(sigmoid(z[self.columns.of_class(class)]));
                if labels[n] as usize == class + 1 {
                    of_positives[class] += 1.0 - p;
                } else {
                    of_negatives[class] += p;
                }
            }
        }
        let state = add_gradients((positive, negative), (of_positives, of_negatives), workers);
        Ok(Evaluation { value, gradient, state })
    }

    fn class_scores(&self, logits: &[f32], columns: usize) -> Vec<f32> {
        self.columns.scores(logits, columns)
    }
}
