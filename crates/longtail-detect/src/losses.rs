//! The losses of objectness and boxes.

use burn::tensor::{Tensor, activation::log_sigmoid};

/// `Σ -t·log σ(z) - (1 - t)·log(1 - σ(z))` over logits and targets of the same length.
pub fn binary_cross_entropy(logits: Tensor<1>, targets: Tensor<1>) -> Tensor<1> {
    let positive = targets.clone() * log_sigmoid(logits.clone());
    let negative = (-targets + 1.0) * log_sigmoid(-logits);
    -(positive + negative).sum()
}

/// Σ of smooth L1 (Girshick, Fast R-CNN, ICCV 2015): `d²/2β` below β, `|d| - β/2` above.
pub fn smooth_l1(predicted: Tensor<2>, target: Tensor<2>, beta: f32) -> Tensor<1> {
    let difference = predicted - target;
    let distance = difference.clone().abs();
    let near = distance.clone().lower_scalar(beta);
    let quadratic = difference.clone() * difference / (2.0 * beta);
    (distance - 0.5 * beta).mask_where(near, quadratic).sum()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn values_of_the_formulas() {
        let device = Device::flex();
        let predicted = Tensor::<2>::from_floats([[0.5, 2.0], [0.0, -3.0]], &device);
        let loss = smooth_l1(predicted, Tensor::zeros([2, 2], &device), 1.0);
        assert_eq!(loss.into_scalar::<f32>(), 0.125 + 1.5 + 2.5);
        let logits = Tensor::<1>::from_floats([0.0, 100.0, -100.0], &device);
        let targets = Tensor::<1>::from_floats([1.0, 0.0, 0.0], &device);
        let loss = binary_cross_entropy(logits, targets).into_scalar::<f32>();
        assert!((loss - (2.0_f32.ln() + 100.0)).abs() < 1e-4, "{loss}");
    }

    #[test]
    fn gradient_at_zero_is_that_of_the_formula() {
        let device = Device::flex().autodiff();
        let logits = Tensor::<1>::zeros([1], &device).require_grad();
        let loss = binary_cross_entropy(logits.clone(), Tensor::ones([1], &device));
        let gradient = logits.grad(&loss.backward()).unwrap().into_scalar::<f32>();
        assert!((gradient + 0.5).abs() < 1e-6, "{gradient}");
    }
}
