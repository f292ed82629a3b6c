//! The classifier's layer: linear, normalised or cosine. Weights in training, and the plain linear layer that they amount
//! to; with the last hidden layer below it, if that is part of the head.

use longtail_draw::{DrawKey, Purpose, unit};
use longtail_loss::{
    ClassificationLoss, LossError, LossState, RoiTargets, SingleWorker,
    fused::{LinearEvaluation, LinearLayer},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    hidden::Hidden,
    settings::{SettingError, positive},
};

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
    pub fn validate(&self) -> Result<(), SettingError> {
        let scale = match self {
            Self::Linear => return Ok(()),
            Self::Normalized { scale } => scale.unwrap_or(1.0),
            Self::Cosine { scale } => *scale,
        };
        positive("classifier.scale", scale)
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
    /// The last hidden layer below it; none where features are what the classifier sees.
    pub hidden: Option<Hidden>,
    /// Whether the hidden layer is trained too.
    pub hidden_trained: bool,
}

/// Loss and gradients of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Loss, and gradients of the classifier's own weights and bias.
    pub classifier: LinearEvaluation,
    /// dW, `[H × D]`, and db, `[H]`, of the hidden layer; none if it is not trained.
    pub hidden: Option<[Vec<f32>; 2]>,
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
                let key = DrawKey { seed: 0, step: class as u64 };
                for (index, w) in row.iter_mut().enumerate() {
                    *w = (unit(key, Purpose::HeadDirection, index as u64) - 0.5) as f32 * 0.02;
                }
            }
        }
        Self {
            weight,
            bias,
            width,
            scale,
            unit_inputs: kind.unit_inputs(),
            hidden: None,
            hidden_trained: false,
        }
    }

    /// The layer over a hidden one.
    pub fn over(self, hidden: Option<Hidden>, hidden_trained: bool) -> Self {
        Self { hidden, hidden_trained, ..self }
    }

    /// Whether inputs are divided by their norm.
    pub(crate) fn unit_inputs(&self) -> bool {
        self.unit_inputs
    }

    /// What is trained: weight and bias, and those of the hidden layer if it is.
    pub(crate) fn trained(&self) -> impl Iterator<Item = &[f32]> {
        let hidden = self.hidden.as_ref().filter(|_| self.hidden_trained);
        let of_hidden =
            hidden.into_iter().flat_map(|hidden| [hidden.weight.as_slice(), hidden.bias.as_slice()]);
        [self.weight.as_slice(), self.bias.as_slice()].into_iter().chain(of_hidden)
    }

    /// The same to be changed.
    pub(crate) fn trained_mut(&mut self) -> impl Iterator<Item = &mut Vec<f32>> {
        let hidden = self.hidden.as_mut().filter(|_| self.hidden_trained);
        let of_hidden = hidden.into_iter().flat_map(|hidden| [&mut hidden.weight, &mut hidden.bias]);
        [&mut self.weight, &mut self.bias].into_iter().chain(of_hidden)
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

    /// What the classifier itself sees of `features`, unless that is the features, and the lengths that rows had.
    fn inputs(&self, features: &[f32]) -> (Option<Vec<f32>>, Option<Vec<f32>>) {
        let mut made = self.hidden.as_ref().map(|hidden| hidden.forward(features));
        let lengths =
            self.unit_inputs.then(|| to_unit_rows(made.get_or_insert_with(|| features.to_vec()), self.width));
        (made, lengths)
    }

    /// Logits `[N × K]` of RoIs with `features [N × D]`, the inputs of the hidden layer if there is one.
    pub fn outputs(&self, features: &[f32]) -> Vec<f32> {
        let (made, _) = self.inputs(features);
        let weight = self.linear_weight();
        let inputs = made.as_deref().unwrap_or(features);
        LinearLayer { inputs, weight: &weight, bias: &self.bias, width: self.width, frozen_inputs: true }
            .outputs()
    }

    /// Loss and gradients on RoIs with `features [N × D]`, the inputs of the hidden layer if there is one.
    ///
    /// # Errors
    /// If the shapes do not fit or an output is not finite.
    pub fn evaluate(
        &self,
        features: &[f32],
        targets: &RoiTargets,
        loss: &dyn ClassificationLoss,
        state: &LossState,
    ) -> Result<Evaluation, LossError> {
        let trained = self.hidden.as_ref().filter(|_| self.hidden_trained);
        let (made, lengths) = self.inputs(features);
        let linear = self.scale.map(|_| self.linear_weight());
        let layer = LinearLayer {
            inputs: made.as_deref().unwrap_or(features),
            weight: linear.as_deref().unwrap_or(&self.weight),
            bias: &self.bias,
            width: self.width,
            frozen_inputs: trained.is_none(),
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
        let hidden = trained.zip(made).map(|(hidden, outputs)| {
            let mut gradient = std::mem::take(&mut found.inputs);
            if let Some(lengths) = lengths {
                through_unit_rows(&mut gradient, &outputs, &lengths, self.width);
            }
            // Rows of unit length are zero where those they were made of are: ReLU is told by them as well.
            hidden.gradients(features, &outputs, gradient)
        });
        Ok(Evaluation { classifier: found, hidden })
    }
}

/// Divides rows by their norm; a row of zeros stays. Returns the norms.
pub(crate) fn to_unit_rows(features: &mut [f32], width: usize) -> Vec<f32> {
    let unit = |row: &mut [f32]| {
        let length = norm(row);
        if length > 0.0 {
            row.iter_mut().for_each(|x| *x /= length);
        }
        length
    };
    features.par_chunks_exact_mut(width).map(unit).collect()
}

/// From the gradient of `unit [N × D]`, rows divided by their `lengths`, to that of the rows themselves:
/// u = x/‖x‖: dx = 1/‖x‖ · (du - u(u·du)).
fn through_unit_rows(gradient: &mut [f32], unit: &[f32], lengths: &[f32], width: usize) {
    let rows = gradient.par_chunks_exact_mut(width).zip(unit.par_chunks_exact(width)).zip(lengths);
    rows.for_each(|((du, u), length)| {
        let along: f32 = u.iter().zip(du.iter()).map(|(u, d)| u * d).sum();
        let length = length.max(f32::MIN_POSITIVE);
        du.iter_mut().zip(u).for_each(|(d, u)| *d = (*d - u * along) / length);
    });
}

fn norm(row: &[f32]) -> f32 {
    row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt() as f32
}

#[cfg(test)]
mod tests {
    use longtail_loss::{ClassContext, LossConfig};

    use super::*;

    /// Gradients against differences of the loss, for each kind.
    #[test]
    fn gradients_are_those_of_the_loss() {
        let loss = LossConfig::default().build(&ClassContext::new(2)).unwrap();
        let targets = RoiTargets::new(&[1, 0, 2, 1], 2, longtail_loss::DrawKey::default()).unwrap();
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
                layer.evaluate(&features, &targets, loss.as_ref(), &state).unwrap().classifier
            };
            let found = value(&layer);
            for index in 0..9 {
                let mut moved = layer.clone();
                let step = 1e-2;
                moved.weight[index] += step;
                let above = value(&moved).value;
                moved.weight[index] -= 2.0 * step;
                let slope = (above - value(&moved).value) / (2.0 * f64::from(step));
                assert!((slope - f64::from(found.weight[index])).abs() < 2e-3, "{kind:?} {index}: {slope}");
            }
        }
    }

    /// Gradients of the hidden layer and of the classifier over it against differences of the loss.
    #[test]
    fn gradients_of_a_hidden_layer_are_those_of_the_loss() {
        let loss = LossConfig::default().build(&ClassContext::new(2)).unwrap();
        let targets = RoiTargets::new(&[1, 0, 2, 1, 0], 2, longtail_loss::DrawKey::default()).unwrap();
        let (rows, inputs, outputs) = (5, 4, 6);
        let values = |count: usize, factor: usize, size: f32| -> Vec<f32> {
            (0..count).map(|i| ((i * factor % 13) as f32 - 5.7) * size).collect()
        };
        let features = values(rows * inputs, 7, 0.3);
        let hidden = Hidden {
            weight: values(outputs * inputs, 5, 0.2),
            bias: values(outputs, 4, 0.05),
            width: inputs,
        };
        // ReLU must cut some and not all, and none within a step of its corner.
        let before = hidden.layer(&features).outputs();
        assert!(before.iter().any(|y| *y < 0.0) && before.iter().filter(|y| **y > 0.0).count() > 8);
        assert!(before.iter().all(|y| y.abs() > 0.02), "{before:?}");
        for kind in [
            ClassifierKind::Linear,
            ClassifierKind::Normalized { scale: Some(1.5) },
            ClassifierKind::Cosine { scale: 4.0 },
        ] {
            let layer = Layer::new(kind, values(3 * outputs, 3, 0.2), vec![0.1, -0.2, 0.0], outputs)
                .over(Some(hidden.clone()), true);
            let value = |layer: &Layer| {
                let state = LossState::default();
                layer.evaluate(&features, &targets, loss.as_ref(), &state).unwrap()
            };
            let found = value(&layer);
            let [weight, bias] = found.hidden.unwrap();
            assert!(weight.iter().chain(&bias).filter(|g| g.abs() > 1e-2).count() > 10);
            let check = |name: &str, of: fn(&mut Layer) -> &mut Vec<f32>, gradient: &[f32]| {
                let step = 4e-3_f32;
                for index in 0..gradient.len() {
                    let at = |offset: f32| {
                        let mut moved = layer.clone();
                        of(&mut moved)[index] += offset;
                        value(&moved).classifier.value
                    };
                    let slope = (at(step) - at(-step)) / (2.0 * f64::from(step));
                    let error = (slope - f64::from(gradient[index])).abs();
                    let most = 1e-4 + 2e-3 * slope.abs();
                    assert!(error < most, "{kind:?}, {name} {index}: {slope} is not {}", gradient[index]);
                }
            };
            check("hidden weight", |layer| &mut layer.hidden.as_mut().unwrap().weight, &weight);
            check("hidden bias", |layer| &mut layer.hidden.as_mut().unwrap().bias, &bias);
            check("weight", |layer| &mut layer.weight, &found.classifier.weight);
            check("bias", |layer| &mut layer.bias, &found.classifier.bias);
            // Frozen, it is the same loss with the same gradients above.
            let frozen = value(&layer.clone().over(Some(hidden.clone()), false));
            assert_eq!((frozen.classifier.value, frozen.hidden), (found.classifier.value, None));
            assert_eq!(frozen.classifier.weight, found.classifier.weight);
        }
    }

    #[test]
    fn a_hidden_layer_that_diverged_is_not_taken_for_zeros() {
        let hidden = Hidden { weight: vec![f32::NAN, 1.0], bias: vec![0.0, 0.0], width: 1 };
        let layer =
            Layer::new(ClassifierKind::Linear, vec![1.0; 4], vec![0.0; 2], 2).over(Some(hidden), true);
        let loss = LossConfig::default().build(&ClassContext::new(1)).unwrap();
        let targets = RoiTargets::new(&[1], 1, longtail_loss::DrawKey::default()).unwrap();
        let found = layer.evaluate(&[1.0], &targets, loss.as_ref(), &LossState::default());
        assert!(matches!(found, Err(LossError::NotFinite { .. })), "{found:?}");
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
