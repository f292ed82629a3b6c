//! The trait of a classification loss.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::{error::LossError, targets::RoiTargets};

/// What a loss may know about the classes when it is built.
#[derive(Debug, Clone, Copy)]
pub struct ClassContext<'a> {
    /// Number of foreground classes C.
    pub num_classes: usize,
    /// Training images that hold each class, `[C]`, for losses that read statistics.
    pub image_counts: Option<&'a [u64]>,
}

impl<'a> ClassContext<'a> {
    /// The counts, one a class.
    ///
    /// # Errors
    /// If there are none, or their number is not C.
    pub fn counts(&self, loss: &'static str) -> Result<&'a [u64], LossError> {
        let counts = self.image_counts.ok_or(LossError::MissingCounts { loss })?;
        if counts.len() != self.num_classes {
            return Err(LossError::CountsLength { found: counts.len(), expected: self.num_classes });
        }
        Ok(counts)
    }
}

/// Running statistics of a loss, carried by the training loop and kept in its checkpoints.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum LossState {
    /// The loss has none.
    #[default]
    Stateless,
}

/// Negatives (RoI × class pairs in which the class is not the RoI's) of a step, by class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptNegatives {
    /// Negatives that push the class down, `[C]`.
    pub kept: Vec<u64>,
    /// All negatives, `[C]`.
    pub total: Vec<u64>,
}

/// A classification loss: output width, loss, and class scores.
pub trait ClassificationLoss: Send + Sync {
    /// Width K of the head's output for `num_classes` foreground classes.
    fn num_outputs(&self, num_classes: usize) -> usize;

    /// The loss of `logits [N, K]` as a tensor of one value, and the state after this step. No RoI gives 0.
    ///
    /// # Errors
    /// If the logits do not fit the targets.
    fn forward(
        &self,
        logits: Tensor<2>,
        targets: &RoiTargets,
        state: &LossState,
    ) -> Result<(Tensor<1>, LossState), LossError>;

    /// Scores in `0..=1` of the foreground classes, `[N, C]`, for logits `[N, K]`.
    fn scores(&self, logits: Tensor<2>) -> Tensor<2>;

    /// Which negatives of this step push their class down; `None` for losses that do not select.
    fn kept_negatives(&self, logits: &Tensor<2>, targets: &RoiTargets) -> Option<KeptNegatives>;
}

/// A one-value tensor `value` whose gradient with respect to `logits` is exactly `gradient`.
///
/// `logits - logits.detach()` is zero in every place, so the value is not touched; and no derivative of a
/// composed formula (with its undefined places) is involved.
pub(crate) fn with_gradient(value: Tensor<1>, logits: Tensor<2>, gradient: Tensor<2>) -> Tensor<1> {
    if !logits.is_autodiff() {
        return value;
    }
    let zero = logits.clone() - logits.detach();
    Tensor::from_inner(value) + (zero * Tensor::from_inner(gradient)).sum()
}

/// The logits without autodiff.
pub(crate) fn plain(logits: &Tensor<2>) -> Tensor<2> {
    if logits.is_autodiff() { logits.clone().inner() } else { logits.clone() }
}
