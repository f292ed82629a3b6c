//! Softmax cross-entropy, the baseline.

use crate::{
    classification::{ClassificationLoss, Evaluation, LossState, Workers, by_rows, scores_by_rows},
    error::LossError,
    numerics::{cross_entropy, softmax},
    targets::RoiTargets,
};

/// `L = -log softmax(z)_y`. K = C + 1, column 0 is the background. Reads no statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoftmaxCrossEntropy;

impl ClassificationLoss for SoftmaxCrossEntropy {
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
            |label, scale, z, gradient| cross_entropy(z, label, scale, gradient),
        )
    }

    fn class_scores(&self, logits: &[f32], columns: usize) -> Vec<f32> {
        softmax_scores(logits, columns, 1.0)
    }
}

/// Sums `row(label, scale, z, gradient)` over the RoIs of a softmax head with C + 1 columns: the row's unscaled loss is
/// returned, its scaled gradient written.
pub(crate) fn softmax_loss(
    logits: &[f32],
    targets: &RoiTargets,
    row: impl Fn(usize, f32, &[f32], &mut [f32]) -> f64 + Sync,
) -> Result<Evaluation, LossError> {
    let columns = targets.num_classes() + 1;
    targets.check(logits, columns)?;
    let (value, gradient) = by_rows(
        logits,
        columns,
        targets,
        #[inline(always)]
        |n, scale, z, gradient| row(targets.labels()[n] as usize, scale, z, gradient),
    );
    Ok(Evaluation { value, gradient, state: LossState::Stateless })
}

/// `softmax(factor · z)` without column 0, `[N × (columns - 1)]`.
pub(crate) fn softmax_scores(logits: &[f32], columns: usize, factor: f32) -> Vec<f32> {
    scores_by_rows(
        logits,
        columns,
        columns - 1,
        #[inline(always)]
        |z, scores| {
            let scaled: Vec<f32> = z.iter().map(|z| factor * z).collect();
            let mut probabilities = vec![0.0; columns];
            softmax(&scaled, &mut probabilities);
            scores.copy_from_slice(&probabilities[1..]);
        },
    )
}
