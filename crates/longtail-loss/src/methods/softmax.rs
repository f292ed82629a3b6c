//! Softmax cross-entropy, the baseline, and what its relatives share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss, Evaluation, Step, by_rows, scores_by_rows},
    error::LossError,
    method::{Description, LossMethod, Statistics},
    numerics::{cross_entropy, softmax},
    state::LossState,
};

/// `-log softmax(z)_y`.
///
/// # Shapes
/// - logits: `[N × (C + 1)]`, column 0 is background
/// - scores: `[N × C]`, `softmax(z)` of the classes
///
/// # Example
/// ```
/// use longtail_loss::{
///     ClassContext, DrawKey, SoftmaxConfig, LossMethod, LossState, RoiTargets, SingleWorker,
/// };
///
/// let loss = SoftmaxConfig {}.build(&ClassContext::new(1))?;
/// let targets = RoiTargets::new(&[1], 1, DrawKey::default())?;
/// let found = loss.evaluate(&[0.0, 3.0_f32.ln()], &targets, &LossState::default(), &SingleWorker)?;
/// assert!((found.value - (4.0 / 3.0_f64).ln()).abs() < 1e-6);
/// # Ok::<(), longtail_loss::LossError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SoftmaxConfig {}

impl LossMethod for SoftmaxConfig {
    fn description(&self) -> Description {
        Description {
            name: "softmax cross-entropy",
            source: "–",
            formula: "-log softmax(z)_k",
            outputs: "C + 1",
            reads: Statistics::Nothing,
            when: "the baseline, and stage 1 of every two-stage recipe",
        }
    }

    fn background(&self) -> &'static str {
        OWN_COLUMN
    }

    fn is_convex(&self) -> bool {
        true
    }

    fn build(&self, _: &ClassContext<'_>) -> Result<Box<dyn ClassificationLoss>, LossError> {
        Ok(Box::new(Softmax::PLAIN))
    }
}

/// [`LossMethod::background`] of the softmax losses.
pub(crate) const OWN_COLUMN: &str = "own column";

/// `-w_y log softmax(factor · (z - m) + a)_y`, m being 0 but in the RoI's own column y. K = C + 1.
pub(crate) struct Softmax {
    /// Factor of the logits, in scores as well.
    pub(crate) factor: f32,
    /// a, `[C + 1]`; empty for zeros.
    pub(crate) added: Vec<f32>,
    /// Margin of each label, `[C + 1]`; empty for zeros.
    pub(crate) margins: Vec<f32>,
    /// w by label, `[C + 1]`; empty for ones.
    pub(crate) weights: Vec<f32>,
    /// Step from which the weights hold.
    pub(crate) weights_from: u64,
}

impl Softmax {
    /// Cross-entropy.
    pub(crate) const PLAIN: Self =
        Self { factor: 1.0, added: Vec::new(), margins: Vec::new(), weights: Vec::new(), weights_from: 0 };

    /// What the softmax of a RoI is taken of.
    fn moved(&self, z: &[f32], label: usize) -> Vec<f32> {
        let mut moved: Vec<f32> = z.iter().map(|z| self.factor * z).collect();
        moved.iter_mut().zip(&self.added).for_each(|(z, added)| *z += added);
        if let Some(margin) = self.margins.get(label) {
            moved[label] -= self.factor * margin;
        }
        moved
    }
}

impl ClassificationLoss for Softmax {
    fn num_outputs(&self, num_classes: usize) -> usize {
        num_classes + 1
    }

    fn compute(&self, step: Step<'_>) -> Result<Evaluation, LossError> {
        let Step { logits, targets, .. } = step;
        let columns = targets.num_classes() + 1;
        targets.check(logits, columns)?;
        let weights = if targets.draw().step >= self.weights_from { self.weights.as_slice() } else { &[] };
        let plain = self.factor == 1.0 && self.added.is_empty() && self.margins.is_empty();
        let (value, gradient) = by_rows(
            logits,
            columns,
            targets,
            #[inline(always)]
            |n, scale, z, gradient| {
                let label = targets.labels()[n] as usize;
                let weight = weights.get(label).copied().unwrap_or(1.0);
                let scale = scale * self.factor * weight;
                let loss = if plain {
                    cross_entropy(z, label, scale, gradient)
                } else {
                    cross_entropy(&self.moved(z, label), label, scale, gradient)
                };
                f64::from(weight) * loss
            },
        );
        Ok(Evaluation { value, gradient, state: LossState::Stateless })
    }

    fn scores_are_softmax(&self) -> bool {
        self.factor == 1.0
    }

    fn class_scores(&self, logits: &[f32], columns: usize) -> Vec<f32> {
        scores_by_rows(
            logits,
            columns,
            columns - 1,
            #[inline(always)]
            |z, scores| {
                let scaled: Vec<f32> = z.iter().map(|z| self.factor * z).collect();
                let mut probabilities = vec![0.0; columns];
                softmax(&scaled, &mut probabilities);
                scores.copy_from_slice(&probabilities[1..]);
            },
        )
    }
}
