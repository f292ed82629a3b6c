//! Softmax cross-entropy, the baseline.

use burn::tensor::{Tensor, TensorData, activation};

use crate::{
    classification::{ClassificationLoss, KeptNegatives, LossState, plain, with_gradient},
    error::LossError,
    targets::RoiTargets,
};

/// `L = -log softmax(z)_y`, averaged over the RoIs. K = C + 1, column 0 is the background. Reads no statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoftmaxCrossEntropy;

impl ClassificationLoss for SoftmaxCrossEntropy {
    fn num_outputs(&self, num_classes: usize) -> usize {
        num_classes + 1
    }

    fn forward(
        &self,
        logits: Tensor<2>,
        targets: &RoiTargets,
        _state: &LossState,
    ) -> Result<(Tensor<1>, LossState), LossError> {
        let columns = targets.num_classes() + 1;
        targets.check(logits.dims(), columns)?;
        if targets.is_empty() {
            return Ok((logits.sum(), LossState::Stateless));
        }
        let z = plain(&logits);
        let mut one_hot = vec![0.0_f32; targets.len() * columns];
        for (row, &label) in targets.labels().iter().enumerate() {
            one_hot[row * columns + label as usize] = 1.0;
        }
        let one_hot = Tensor::<2>::from_data(TensorData::new(one_hot, [targets.len(), columns]), &z.device());
        let count = targets.len() as f32;
        let log_p = activation::log_softmax(z, 1);
        let value = -(log_p.clone() * one_hot.clone()).sum() / count;
        let gradient = (log_p.exp() - one_hot) / count;
        Ok((with_gradient(value, logits, gradient), LossState::Stateless))
    }

    fn scores(&self, logits: Tensor<2>) -> Tensor<2> {
        let [rows, columns] = logits.dims();
        activation::softmax(logits, 1).slice([0..rows, 1..columns])
    }

    fn kept_negatives(&self, _logits: &Tensor<2>, _targets: &RoiTargets) -> Option<KeptNegatives> {
        None
    }
}
