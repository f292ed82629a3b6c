//! EQL v2 (Tan et al., CVPR 2021, arXiv 2012.08548).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassificationLoss, Evaluation, LossState, Workers, by_rows, scores_by_rows},
    error::LossError,
    numerics::{sigmoid, softplus_and_sigmoid},
    targets::RoiTargets,
};

/// Added to negative gradients before dividing by them.
pub(crate) const TINY: f64 = 1e-10;

/// Settings of [`EqlV2`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EqlV2Config {
    /// γ > 0: steepness of the map from gradient ratio to weight.
    pub gamma: f64,
    /// μ: gradient ratio of half weight.
    pub mu: f64,
    /// α ≥ 0: how much positives of classes with a small ratio are lifted.
    pub alpha: f64,
}

impl Default for EqlV2Config {
    fn default() -> Self {
        Self { gamma: 12.0, mu: 0.8, alpha: 4.0 }
    }
}

/// Ratio g of a class before its first gradient: balanced.
const INITIAL_RATIO: f64 = 100.0;

/// Binary cross-entropy in which class j weighs `f(g_j) = σ(γ(g_j - μ))` as a negative and `1 + α(1 - f(g_j))` as a
/// positive; g is the running ratio of the weighted positive to negative gradients of the class over all workers,
/// before this step. K = C + 1: column 0 is a background logit, and scores are `σ(z_c)(1 - σ(z_0))`. Reads no counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EqlV2 {
    config: EqlV2Config,
}

impl EqlV2 {
    /// Builds the loss.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(config: &EqlV2Config) -> Result<Self, LossError> {
        for (field, value) in [("gamma", config.gamma), ("alpha", config.alpha)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(LossError::Setting { field, value, expected: "a number of at least 0" });
            }
        }
        if !config.mu.is_finite() {
            return Err(LossError::Setting { field: "mu", value: config.mu, expected: "a finite number" });
        }
        Ok(Self { config: *config })
    }
}

/// Running sums of positive and negative gradients, zero at the beginning.
pub(crate) fn gradient_sums(
    state: &LossState,
    num_classes: usize,
    loss: &'static str,
) -> Result<(Vec<f64>, Vec<f64>), LossError> {
    match state {
        LossState::Stateless => Ok((vec![0.0; num_classes], vec![0.0; num_classes])),
        LossState::GradientSums { positive, negative }
            if positive.len() == num_classes && negative.len() == num_classes =>
        {
            Ok((positive.clone(), negative.clone()))
        }
        _ => Err(LossError::State { loss, num_classes }),
    }
}

/// Adds a step's sums over all workers.
pub(crate) fn add_gradients(
    (mut positive, mut negative): (Vec<f64>, Vec<f64>),
    step: (Vec<f64>, Vec<f64>),
    workers: &dyn Workers,
) -> LossState {
    let classes = positive.len();
    let mut sums = [step.0, step.1].concat();
    workers.sum(&mut sums);
    positive.iter_mut().zip(&sums[..classes]).for_each(|(total, new)| *total += new);
    negative.iter_mut().zip(&sums[classes..]).for_each(|(total, new)| *total += new);
    LossState::GradientSums { positive, negative }
}

impl ClassificationLoss for EqlV2 {
    fn num_outputs(&self, num_classes: usize) -> usize {
        num_classes + 1
    }

    fn evaluate(
        &self,
        logits: &[f32],
        targets: &RoiTargets,
        state: &LossState,
        workers: &dyn Workers,
    ) -> Result<Evaluation, LossError> {
        let (classes, labels) = (targets.num_classes(), targets.labels());
        targets.check(logits, classes + 1)?;
        let (positive, negative) = gradient_sums(state, classes, "EQL v2")?;
        let EqlV2Config { gamma, mu, alpha } = self.config;
        let weight = |class: usize| {
            let (p, n) = (positive[class], negative[class]);
            let ratio = if p == 0.0 && n == 0.0 { INITIAL_RATIO } else { p / (n + TINY) };
            1.0 / (1.0 + (-gamma * (ratio - mu)).exp())
        };
        // The background logit always weighs 1.
        let as_negative: Vec<f32> =
            std::iter::once(1.0).chain((0..classes).map(|c| weight(c) as f32)).collect();
        let as_positive: Vec<f32> = std::iter::once(1.0)
            .chain((0..classes).map(|c| (1.0 + alpha * (1.0 - weight(c))) as f32))
            .collect();
        let (value, gradient) = by_rows(
            logits,
            classes + 1,
            targets,
            #[inline(always)]
            |n, scale, z, gradient| {
                let mut loss = crate::numerics::weighted_negatives(z, &as_negative, scale, gradient);
                let own = labels[n] as usize;
                let (softplus, sigmoid) = softplus_and_sigmoid(z[own]);
                loss += f64::from(as_positive[own] * (softplus - z[own]) - as_negative[own] * softplus);
                gradient[own] = scale * as_positive[own] * (sigmoid - 1.0);
                loss
            },
        );
        let (mut of_positives, mut of_negatives) = (vec![0.0; classes], vec![0.0; classes]);
        for (n, z) in logits.chunks_exact(classes + 1).enumerate().filter(|(n, _)| !targets.is_ignored(*n)) {
            for class in 0..classes {
                let p = f64::from(sigmoid(z[class + 1]));
                if labels[n] as usize == class + 1 {
                    of_positives[class] += f64::from(as_positive[class + 1]) * (1.0 - p);
                } else {
                    of_negatives[class] += f64::from(as_negative[class + 1]) * p;
                }
            }
        }
        let state = add_gradients((positive, negative), (of_positives, of_negatives), workers);
        Ok(Evaluation { value, gradient, state })
    }

    fn class_scores(&self, logits: &[f32], columns: usize) -> Vec<f32> {
        scores_by_rows(
            logits,
            columns,
            columns - 1,
            #[inline(always)]
            |z, scores| {
                let foreground = sigmoid(-z[0]);
                for (score, z) in scores.iter_mut().zip(&z[1..]) {
                    *score = foreground * sigmoid(*z);
                }
            },
        )
    }
}
