//! Seesaw loss (Wang et al., CVPR 2021, arXiv 2008.10032).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassificationLoss, Column, Evaluation, LossState, Workers, by_rows, scores_by_rows},
    error::LossError,
    numerics::{cross_entropy, softmax},
    targets::RoiTargets,
};

/// Columns before the classes: background and foreground.
const OBJECTNESS: usize = 2;

/// Settings of [`Seesaw`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SeesawConfig {
    /// p ≥ 0: exponent of the mitigation factor.
    pub p: f64,
    /// q ≥ 0: exponent of the compensation factor.
    pub q: f64,
    /// Smallest probability of the true class that the compensation divides by.
    pub epsilon: f64,
}

impl Default for SeesawConfig {
    fn default() -> Self {
        Self { p: 0.8, q: 2.0, epsilon: 1e-2 }
    }
}

/// On foreground RoIs of class i, softmax cross-entropy over the classes with `log(M_ij · C_ij)` added to the logits of
/// the other classes j: mitigation `M = (N_j / N_i)^p` if `N_j < N_i`, else 1, with N the RoIs seen so far over all
/// workers, this step included (at least 1); compensation `C = (σ_j / max(σ_i, ε))^q` if above 1, else 1, with σ the
/// softmax, both constant for differentiation. Plus a two-way softmax of background against foreground on every RoI.
/// K = C + 2: background, foreground, classes. Scores: softmax of the classes × p(foreground). Reads no counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seesaw {
    config: SeesawConfig,
}

impl Seesaw {
    /// Builds the loss.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(config: &SeesawConfig) -> Result<Self, LossError> {
        for (field, value) in [("p", config.p), ("q", config.q)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(LossError::Setting { field, value, expected: "a number of at least 0" });
            }
        }
        if !(config.epsilon > 0.0 && config.epsilon <= 1.0) {
            let expected = "above 0 and at most 1";
            return Err(LossError::Setting { field: "epsilon", value: config.epsilon, expected });
        }
        Ok(Self { config: *config })
    }
}

impl ClassificationLoss for Seesaw {
    fn num_outputs(&self, num_classes: usize) -> usize {
        num_classes + OBJECTNESS
    }

    fn columns(&self, num_classes: usize) -> Vec<Column> {
        let objectness = [Column::Background, Column::Foreground];
        objectness.into_iter().chain((0..num_classes).map(Column::Class)).collect()
    }

    fn evaluate(
        &self,
        logits: &[f32],
        targets: &RoiTargets,
        state: &LossState,
        workers: &dyn Workers,
    ) -> Result<Evaluation, LossError> {
        let (classes, labels) = (targets.num_classes(), targets.labels());
        targets.check(logits, classes + OBJECTNESS)?;
        let mut counts = match state {
            LossState::Stateless => vec![0.0; classes],
            LossState::SampleCounts { counts } if counts.len() == classes => counts.clone(),
            _ => return Err(LossError::State { loss: "Seesaw", num_classes: classes }),
        };
        let mut seen = vec![0.0; classes];
        for n in (0..targets.len()).filter(|&n| labels[n] > 0 && !targets.is_ignored(n)) {
            seen[labels[n] as usize - 1] += 1.0;
        }
        workers.sum(&mut seen);
        counts.iter_mut().zip(&seen).for_each(|(total, new)| *total += new);

        let logarithms: Vec<f64> = counts.iter().map(|n: &f64| n.max(1.0).ln()).collect();
        let SeesawConfig { p, q, epsilon } = self.config;
        let (value, gradient) = by_rows(logits, classes + OBJECTNESS, targets, |n, scale, z, gradient| {
            let foreground = usize::from(labels[n] > 0);
            let (of_objectness, of_classes) = gradient.split_at_mut(OBJECTNESS);
            let mut loss = cross_entropy(&z[..OBJECTNESS], foreground, scale, of_objectness);
            if foreground == 1 {
                let (own, z) = (labels[n] as usize - 1, &z[OBJECTNESS..]);
                let mut adjusted = vec![0.0; classes];
                let log_sum = softmax(z, &mut adjusted);
                let log_own = (f64::from(z[own]) - log_sum).max(epsilon.ln());
                for class in 0..classes {
                    let mitigation = p * (logarithms[class] - logarithms[own]).min(0.0);
                    let compensation = q * (f64::from(z[class]) - log_sum - log_own).max(0.0);
                    let added = if class == own { 0.0 } else { mitigation + compensation };
                    adjusted[class] = (f64::from(z[class]) + added) as f32;
                }
                loss += cross_entropy(&adjusted, own, scale, of_classes);
            }
            loss
        });
        Ok(Evaluation { value, gradient, state: LossState::SampleCounts { counts } })
    }

    fn class_scores(&self, logits: &[f32], columns: usize) -> Vec<f32> {
        scores_by_rows(logits, columns, columns - OBJECTNESS, |z, scores| {
            let mut objectness = [0.0; OBJECTNESS];
            softmax(&z[..OBJECTNESS], &mut objectness);
            softmax(&z[OBJECTNESS..], scores);
            scores.iter_mut().for_each(|score| *score *= objectness[1]);
        })
    }
}
