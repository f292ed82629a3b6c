//! Linear, normalised and cosine classifiers: weights in training, and the plain linear layer that they amount to.

use longtail_loss::{
    ClassificationLoss, LossError, LossState, RoiTargets, SingleWorker,
    fused::{LinearEvaluation, LinearLayer},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// What the layer computes.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ClassifierKind {
    /// `z = w·x + b`.
    #[default]
    Linear,
    /// `z = s · w/‖w‖ · x + b`: all classes have weights of one norm.
    Normalized {
        /// s; none: the mean norm of the weights it starts from, or 1 from zeros.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scale: Option<f64>,
    },
    /// `z = s · w/‖w‖ · x/‖x‖ + b` (Gidaris and Komodakis, CVPR 2018).
    Cosine {
        /// s.
        #[serde(default = "default_scale")]
        scale: f64,
    },
}

fn default_scale() -> f64 {
    20.0
}

impl ClassifierKind {
    /// Checks the scale.
    ///
    /// # Errors
    /// If it is not above 0.
    pub fn validate(&self) -> Result<(), TrainError> {
        let scale = match self {
            Self::Linear => return Ok(()),
            Self::Normalized { scale } => scale.unwrap_or(1.0),
            Self::Cosine { scale } => *scale,
        };
        crate::sgd::positive("classifier.scale", scale)
    }

    /// Whether features are divided by their norm.
    pub fn unit_inputs(self) -> bool {
        matches!(self, Self::Cosine { .. })
    }
}

/// A layer in training.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Weights as they are trained, `[K × D]`.
    pub weight: Vec<f32>,
    /// Bias, `[K]`.
    pub bias: Vec<f32>,
    /// D.
    pub width: usize,
    /// Scale of unit weights; none for a linear layer.
    scale: Option<f32>,
    unit_inputs: bool,
}

impl Layer {
    /// A layer of a kind that starts from weights and a bias.
    pub fn new(kind: ClassifierKind, mut weight: Vec<f32>, bias: Vec<f32>, width: usize) -> Self {
        let scale = match kind {
            ClassifierKind::Linear => None,
            ClassifierKind::Normalized { scale: Some(scale) } | ClassifierKind::Cosine { scale } => {
                Some(scale as f32)
            }
            ClassifierKind::Normalized { scale: None } => {
                let norms: Vec<f32> = weight.chunks_exact(width).map(norm).filter(|n| *n > 0.0).collect();
                Some(if norms.is_empty() { 1.0 } else { norms.iter().sum::<f32>() / norms.len() as f32 })
            }
        };
        if scale.is_some() {
            // A direction for what has none yet: each class its own, the same on every machine.
            for (class, row) in weight.chunks_exact_mut(width).enumerate().filter(|(_, row)| norm(row) == 0.0)
            {
                let key = longtail_loss::DrawKey { seed: 0, step: class as u64 };
                for (place, w) in row.iter_mut().enumerate() {
                    *w = (longtail_loss::draw::unit(key, 31, place as u64) - 0.5) as f32 * 0.02;
                }
            }
        }
        Self { weight, bias, width, scale, unit_inputs: kind.unit_inputs() }
    }

    /// The weights of the linear layer that this one amounts to, `[K × D]`.
    pub fn linear_weight(&self) -> Vec<f32> {
        let mut weight = self.weight.clone();
        if let Some(scale) = self.scale {
            for row in weight.chunks_exact_mut(self.width) {
                let factor = scale / norm(row).max(f32::MIN_POSITIVE);
                row.iter_mut().for_each(|w| *w *= factor);
            }
        }
        weight
    }

    /// Loss and gradients of its own weights and bias, on RoIs with `features [N × D]`.
    ///
    /// # Errors
    /// If the shapes do not fit or an output is not finite.
    pub fn evaluate(
        &self,
        features: &mut [f32],
        targets: &RoiTargets,
        loss: &dyn ClassificationLoss,
        state: &LossState,
    ) -> Result<LinearEvaluation, LossError> {
        if self.unit_inputs {
            to_unit_rows(features, self.width);
        }
        let linear = self.scale.map(|_| self.linear_weight());
        let weight = linear.as_deref().unwrap_or(&self.weight);
        let layer = LinearLayer {
            inputs: features,
            weight,
            bias: &self.bias,
            width: self.width,
            frozen_inputs: true,
        };
        let mut found = loss.evaluate_linear(layer, targets, state, &SingleWorker)?;
        if let Some(scale) = self.scale {
            // v = s·w/‖w‖: dw = s/‖w‖ · (dv - ŵ(ŵ·dv)).
            let rows = found.weight.par_chunks_exact_mut(self.width);
            rows.zip(self.weight.par_chunks_exact(self.width)).for_each(|(dv, w)| {
                let length = norm(w).max(f32::MIN_POSITIVE);
                let along: f32 = w.iter().zip(dv.iter()).map(|(w, d)| w / length * d).sum();
                for (d, w) in dv.iter_mut().zip(w) {
                    *d = scale / length * (*d - w / length * along);
                }
            });
        }
        Ok(found)
    }
}

/// Divides rows by their norm; a row of zeros stays.
pub fn to_unit_rows(features: &mut [f32], width: usize) {
    features.par_chunks_exact_mut(width).for_each(|row| {
        let length = norm(row);
        if length > 0.0 {
            row.iter_mut().for_each(|x| *x /= length);
        }
    });
}

fn norm(row: &[f32]) -> f32 {
    row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt() as f32
}

#[cfg(test)]
mod tests {
    use longtail_loss::{ClassContext, DrawKey, LossConfig};

    use super::*;

    /// Gradients against differences of the loss, for each kind.
    #[test]
    fn gradients_are_those_of_the_loss() {
        let loss = LossConfig::SoftmaxCrossEntropy.build(&ClassContext::new(2)).unwrap();
        let targets = RoiTargets::new(&[1, 0, 2, 1], 2, DrawKey::default()).unwrap();
        let features: Vec<f32> = (0..12).map(|i| ((i * 7 % 11) as f32 - 4.0) * 0.3).collect();
        let weight: Vec<f32> = (0..9).map(|i| ((i * 5 % 7) as f32 - 2.5) * 0.2).collect();
        for kind in [
            ClassifierKind::Linear,
            ClassifierKind::Normalized { scale: Some(1.5) },
            ClassifierKind::Cosine { scale: 4.0 },
        ] {
            let layer = Layer::new(kind, weight.clone(), vec![0.1, -0.2, 0.0], 3);
            let value = |layer: &Layer| {
                let state = LossState::default();
                layer.evaluate(&mut features.clone(), &targets, loss.as_ref(), &state).unwrap()
            };
            let found = value(&layer);
            for place in 0..9 {
                let mut moved = layer.clone();
                let step = 1e-2;
                moved.weight[place] += step;
                let above = value(&moved).value;
                moved.weight[place] -= 2.0 * step;
                let slope = (above - value(&moved).value) / (2.0 * f64::from(step));
                assert!((slope - f64::from(found.weight[place])).abs() < 2e-3, "{kind:?} {place}: {slope}");
            }
        }
    }

    #[test]
    fn a_normalised_layer_is_a_linear_one_with_weights_of_one_norm() {
        let layer =
            Layer::new(ClassifierKind::Normalized { scale: None }, vec![3.0, 4.0, 0.0, 1.0], vec![0.0; 2], 2);
        let found = layer.linear_weight();
        assert!(found.iter().zip([1.8, 2.4, 0.0, 3.0]).all(|(f, e)| (f - e).abs() < 1e-5), "{found:?}");
        let zeros = Layer::new(ClassifierKind::Cosine { scale: 2.0 }, vec![0.0; 4], vec![0.0; 2], 2);
        assert!(zeros.linear_weight().chunks(2).all(|row| (norm(row) - 2.0).abs() < 1e-5));
    }
}
