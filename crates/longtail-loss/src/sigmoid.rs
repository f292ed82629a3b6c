//! What the sigmoid losses share: the layout of their columns and weighted binary cross-entropy.

use burn::tensor::{Tensor, TensorData, activation};

use crate::{
    classification::{KeptNegatives, plain, with_gradient},
    targets::RoiTargets,
};

/// Columns of a sigmoid head: C classes, and a background logit before them if asked for. The background logit is
/// trained like a class whose RoIs are the background, and unused in scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Columns {
    pub background: bool,
}

impl Columns {
    pub fn count(self, num_classes: usize) -> usize {
        num_classes + usize::from(self.background)
    }

    /// Column of a class.
    pub fn of_class(self, class: usize) -> usize {
        class + usize::from(self.background)
    }

    /// Column of a label; `None` for background without a background logit.
    pub fn of_label(self, label: u32) -> Option<usize> {
        if self.background { Some(label as usize) } else { (label as usize).checked_sub(1) }
    }

    /// Sigmoid of the class columns, `[N, C]`.
    pub fn scores(self, logits: Tensor<2>) -> Tensor<2> {
        let [rows, columns] = logits.dims();
        activation::sigmoid(logits.slice([0..rows, usize::from(self.background)..columns]))
    }

    /// 1 where a RoI's own column is, `[N × K]`.
    pub fn one_hot(self, targets: &RoiTargets) -> Vec<f32> {
        let columns = self.count(targets.num_classes());
        let mut one_hot = vec![0.0; targets.len() * columns];
        for (row, &label) in targets.labels().iter().enumerate() {
            if let Some(column) = self.of_label(label) {
                one_hot[row * columns + column] = 1.0;
            }
        }
        one_hot
    }

    /// Counts weights above 0 on negatives, by class. `weights [N × K]` holds 1 on positives too.
    pub fn kept_negatives(self, weights: &[f32], targets: &RoiTargets) -> KeptNegatives {
        let classes = targets.num_classes();
        let columns = self.count(classes);
        let (mut kept, mut total) = (vec![0; classes], vec![0; classes]);
        for (row, &label) in targets.labels().iter().enumerate() {
            for class in (0..classes).filter(|class| class + 1 != label as usize) {
                total[class] += 1;
                kept[class] += u64::from(weights[row * columns + self.of_class(class)] > 0.0);
            }
        }
        KeptNegatives { kept, total }
    }
}

/// `Σ w·BCE(z, t) / N` with constant weights: value `softplus(z) - t·z`, gradient `w·(sigmoid(z) - t) / N`.
pub(crate) fn weighted_bce(logits: Tensor<2>, one_hot: Tensor<2>, weights: Tensor<2>) -> Tensor<1> {
    let [rows, _] = logits.dims();
    let z = plain(&logits);
    // softplus(z) = max(z, 0) + ln(1 + e^-|z|) never overflows.
    let softplus = z.clone().clamp_min(0.0) + (-z.clone().abs()).exp().log1p();
    let value = ((softplus - z.clone() * one_hot.clone()) * weights.clone()).sum() / rows as f32;
    let gradient = (activation::sigmoid(z) - one_hot) * weights / rows as f32;
    with_gradient(value, logits, gradient)
}

/// A `[N, K]` tensor on the logits' device.
pub(crate) fn matrix(values: Vec<f32>, like: &Tensor<2>) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, like.dims()), &like.device())
}
