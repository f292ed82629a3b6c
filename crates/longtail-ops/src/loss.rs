//! Losses on tensors: values to the host, the loss there, its exact gradient back. On a GPU, sigmoid losses
//! stay there.

use burn::tensor::{Tensor, TensorData};
use longtail_loss::{ClassificationLoss, KeptNegatives, LossError, LossState, RoiTargets, SingleWorker};

/// A loss on tensors.
pub trait TensorLoss {
    /// The loss of `logits [N, K]` as a tensor of one value that can be differentiated, and the state after
    /// the step.
    ///
    /// # Errors
    /// If the logits do not fit the targets or are not finite.
    fn forward(
        &self,
        logits: Tensor<2>,
        targets: &RoiTargets,
        state: &LossState,
    ) -> Result<(Tensor<1>, LossState), LossError>;

    /// Scores in `0..=1` of the foreground classes, `[N, C]`, for logits `[N, K]`.
    fn scores(&self, logits: &Tensor<2>) -> Vec<f32>;

    /// Which negatives of a step push their class down, given the state before it; `None` for losses that do
    /// not select.
    fn kept_negatives_of(
        &self,
        logits: &Tensor<2>,
        targets: &RoiTargets,
        state: &LossState,
    ) -> Option<KeptNegatives>;
}

impl TensorLoss for dyn ClassificationLoss + '_ {
    fn forward(
        &self,
        logits: Tensor<2>,
        targets: &RoiTargets,
        state: &LossState,
    ) -> Result<(Tensor<1>, LossState), LossError> {
        #[cfg(feature = "gpu")]
        if let Some(loss) = self.as_sigmoid()
            && let Some(found) = crate::gpu::sigmoid_loss::evaluate(loss, &plain(&logits), targets, state)?
        {
            let value = Tensor::from_data([found.value as f32], &found.gradient.device());
            return Ok((with_gradient(value, logits, found.gradient), found.state));
        }
        let found = self.evaluate(&values(&logits), targets, state, &SingleWorker)?;
        let device = plain(&logits).device();
        let value = Tensor::from_data(TensorData::new(vec![found.value as f32], [1]), &device);
        let gradient = Tensor::from_data(TensorData::new(found.gradient, logits.dims()), &device);
        Ok((with_gradient(value, logits, gradient), found.state))
    }

    fn scores(&self, logits: &Tensor<2>) -> Vec<f32> {
        self.class_scores(&values(logits), logits.dims()[1])
    }

    fn kept_negatives_of(
        &self,
        logits: &Tensor<2>,
        targets: &RoiTargets,
        state: &LossState,
    ) -> Option<KeptNegatives> {
        self.kept_negatives(&values(logits), targets, state)
    }
}

/// A one-value tensor `value` whose gradient with respect to `logits` is exactly `gradient`.
///
/// `logits - logits.detach()` is zero everywhere, so the value is not touched; and no derivative of a
/// composed formula (undefined at some points) is involved.
fn with_gradient(value: Tensor<1>, logits: Tensor<2>, gradient: Tensor<2>) -> Tensor<1> {
    if !logits.is_autodiff() {
        return value;
    }
    let zero = logits.clone() - logits.detach();
    Tensor::from_inner(value) + (zero * Tensor::from_inner(gradient)).sum()
}

/// The logits without autodiff.
fn plain(logits: &Tensor<2>) -> Tensor<2> {
    if logits.is_autodiff() { logits.clone().inner() } else { logits.clone() }
}

fn values(logits: &Tensor<2>) -> Vec<f32> {
    plain(logits).into_data().try_to_vec::<f32>().expect("logits are f32")
}
