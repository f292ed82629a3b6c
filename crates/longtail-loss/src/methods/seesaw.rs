//! Seesaw loss (Wang et al., CVPR 2021, arXiv 2008.10032).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss, Evaluation, Step, by_rows, scores_by_rows},
    error::{LossError, check_not_negative, check_setting},
    method::{Description, LossMethod, Statistics},
    methods::softmax::OWN_COLUMN,
    numerics::{cross_entropy, softmax},
    state::LossState,
    targets::Column,
};

/// Columns before the classes: background and foreground.
const OBJECTNESS: usize = 2;

/// On foreground RoIs of class i, softmax cross-entropy over the classes with `log(M_ij · C_ij)` added to the
/// logits of the other classes j: mitigation `M = (N_j / N_i)^p` if `N_j < N_i`, else 1, with N the RoIs seen
/// so far over all workers, this step included (at least 1); compensation `C = (σ_j / max(σ_i, ε))^q` if
/// above 1, else 1, with σ the softmax, both constant for differentiation. Plus a two-way softmax of
/// background against foreground on every RoI.
///
/// # Shapes
/// - logits: `[N × (C + 2)]`: background, foreground, classes
/// - scores: `[N × C]`, softmax of the classes × p(foreground)
///
/// # Example
/// One RoI of each class has been seen and both score the same: two even odds.
///
/// ```
/// use longtail_loss::{ClassContext, DrawKey, SeesawConfig, LossMethod, LossState, RoiTargets, SingleWorker};
///
/// let loss = SeesawConfig::default().build(&ClassContext::new(2))?;
/// let targets = RoiTargets::new(&[1, 2], 2, DrawKey::default())?;
/// let found = loss.evaluate(&[0.0; 8], &targets, &LossState::default(), &SingleWorker)?;
/// assert!((found.value - 2.0 * 2.0_f64.ln()).abs() < 1e-6);
/// # Ok::<(), longtail_loss::LossError>(())
/// ```
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

impl LossMethod for SeesawConfig {
    fn description(&self) -> Description {
        Description {
            name: "seesaw loss",
            source: "Wang et al., CVPR 2021",
            formula: "-log softmax(z + log(M_k C_k))_k on foreground, and a two-way softmax of background",
            outputs: "C + 2",
            reads: Statistics::Online,
            when: "training from the start; strong with repeat-factor sampling",
        }
    }

    fn background(&self) -> &'static str {
        OWN_COLUMN
    }

    fn build(&self, _: &ClassContext<'_>) -> Result<Box<dyn ClassificationLoss>, LossError> {
        check_not_negative("p", self.p)?;
        check_not_negative("q", self.q)?;
        let share = self.epsilon > 0.0 && self.epsilon <= 1.0;
        check_setting("epsilon", self.epsilon, share, "above 0 and at most 1")?;
        Ok(Box::new(Seesaw(*self)))
    }
}

struct Seesaw(SeesawConfig);

impl ClassificationLoss for Seesaw {
    fn num_outputs(&self, num_classes: usize) -> usize {
        num_classes + OBJECTNESS
    }

    fn columns(&self, num_classes: usize) -> Vec<Column> {
        let objectness = [Column::Background, Column::Foreground];
        objectness.into_iter().chain((0..num_classes).map(Column::Class)).collect()
    }

    fn compute(&self, step: Step<'_>) -> Result<Evaluation, LossError> {
        let Step { logits, targets, state, workers } = step;
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
        let SeesawConfig { p, q, epsilon } = self.0;
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
