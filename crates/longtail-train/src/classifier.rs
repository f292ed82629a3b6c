//! The last classification layer with the loss that trains it.
//!
//! In training the layer lives in slices, weights `[K × D]`: the loss gives all gradients itself, and ACSL with adaptive
//! background never stores the logits. Checkpoints and the detector have Burn's layout, `[D, K]`.

use burn::{
    module::Param,
    nn::Linear,
    tensor::{Device, Tensor, TensorData},
};
use longtail_loss::{
    ClassificationLoss, Column, KeptNegatives, LossError, LossState, Reduction, RoiTargets, SingleWorker,
    fused::LinearLayer,
};

use crate::{
    checkpoint::ClassifierState,
    error::TrainError,
    parameters::{TensorMap, snapshot},
    recipe::ClassifierRecipe,
    sgd::SgdConfig,
    slice_sgd::SliceSgd,
};

/// A classifier in training: weights, loss, optimizer.
pub struct Classifier {
    /// Name in tables and files.
    pub name: String,
    /// Its loss.
    pub loss: Box<dyn ClassificationLoss>,
    /// Weights, `[K × D]`.
    weight: Vec<f32>,
    /// Bias, `[K]`.
    bias: Vec<f32>,
    /// D.
    inputs: usize,
    /// Running state of the loss.
    loss_state: LossState,
    /// How the losses of the RoIs become one number.
    reduction: Reduction,
    /// Momentum of weights and bias.
    sgd: SliceSgd<2>,
    /// Learning rate after the warm-up.
    learning_rate: f64,
}

/// What a step of a classifier gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassifierStep {
    /// The loss; NaN, and no step taken, if a logit was not finite.
    pub loss: f64,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
}

impl Classifier {
    /// A classifier that starts from `start`, whose columns are `trained`, as the published recipe does: softmax
    /// weights are read as sigmoid logits.
    ///
    /// # Errors
    /// If `start` has other columns.
    pub fn starting_from(
        start: &Linear,
        trained: &[Column],
        recipe: &ClassifierRecipe,
        loss: Box<dyn ClassificationLoss>,
        num_classes: usize,
        learning_rate: f64,
    ) -> Result<Self, TrainError> {
        let parameters = snapshot(start);
        let [inputs, columns] = start.weight.dims();
        if columns != trained.len() {
            let reason = format!("takes over {} columns, but the stage before has {columns}", trained.len());
            return Err(TrainError::recipe(format!("classifiers.{}.loss", recipe.name), reason));
        }
        let (old_weight, old_bias) =
            (transposed(&values(&parameters, "weight"), columns), values(&parameters, "bias"));
        // Classes and background by what they are about; zeros for what the stage before did not have.
        let needed = loss.columns(num_classes);
        let (mut weight, mut bias) = (vec![0.0; needed.len() * inputs], vec![0.0; needed.len()]);
        for (place, column) in needed.iter().enumerate() {
            if let Some(source) = trained.iter().position(|other| other == column) {
                weight[place * inputs..][..inputs].copy_from_slice(&old_weight[source * inputs..][..inputs]);
                bias[place] = old_bias.get(source).copied().unwrap_or_default();
            }
        }
        Ok(Self {
            name: recipe.name.clone(),
            loss,
            weight,
            bias,
            inputs,
            loss_state: LossState::default(),
            reduction: recipe.reduction,
            sgd: SliceSgd::default(),
            learning_rate: recipe.learning_rate.unwrap_or(learning_rate),
        })
    }

    /// A step on RoIs with `features [N × D]`; `factor` scales the learning rate.
    ///
    /// # Errors
    /// If the features or targets do not fit.
    pub fn step(
        &mut self,
        features: &[f32],
        targets: &RoiTargets,
        optimizer: &SgdConfig,
        factor: f64,
    ) -> Result<ClassifierStep, TrainError> {
        let targets = targets.clone().with_reduction(self.reduction);
        let found = match self.loss.evaluate_linear(
            self.layer(features),
            &targets,
            &self.loss_state,
            &SingleWorker,
        ) {
            Err(LossError::NotFinite { .. }) => {
                return Ok(ClassifierStep { loss: f64::NAN, gradient_norm: f64::NAN });
            }
            other => other?,
        };
        self.loss_state = found.state;
        let parameters = [(self.weight.as_mut_slice(), found.weight), (&mut self.bias, found.bias)];
        let gradient_norm = self.sgd.step(optimizer, [self.learning_rate * factor; 2], parameters);
        Ok(ClassifierStep { loss: found.value, gradient_norm })
    }

    /// Which negatives the next step on these RoIs keeps; `None` for losses that do not select.
    pub fn kept_negatives(&self, features: &[f32], targets: &RoiTargets) -> Option<KeptNegatives> {
        self.loss.kept_negatives(&self.layer(features).outputs(), targets, &self.loss_state)
    }

    fn layer<'a>(&'a self, inputs: &'a [f32]) -> LinearLayer<'a> {
        LinearLayer {
            inputs,
            weight: &self.weight,
            bias: &self.bias,
            width: self.inputs,
            frozen_inputs: true,
        }
    }

    /// The layer as the detector has it.
    pub fn linear(&self, device: &Device) -> Linear {
        let weight = Tensor::from_data(self.weight_data(), device);
        let bias = Tensor::from_data(TensorData::new(self.bias.clone(), [self.bias.len()]), device);
        Linear { weight: Param::from_tensor(weight), bias: Some(Param::from_tensor(bias)) }
    }

    fn weight_data(&self) -> TensorData {
        let outputs = self.bias.len();
        TensorData::new(transposed(&self.weight, self.inputs), [self.inputs, outputs])
    }

    /// Its part of a checkpoint.
    pub fn to_state(&self) -> ClassifierState {
        let outputs = self.bias.len();
        let flat = |values: Vec<f32>| {
            let length = values.len();
            TensorData::new(values, [length])
        };
        let mut momentum = TensorMap::new();
        if let Some([weight, bias]) = self.sgd.velocity() {
            momentum.insert("weight".into(), flat(transposed(weight, self.inputs)));
            momentum.insert("bias".into(), flat(bias.clone()));
        }
        ClassifierState {
            name: self.name.clone(),
            parameters: TensorMap::from([
                ("weight".into(), self.weight_data()),
                ("bias".into(), TensorData::new(self.bias.clone(), [outputs])),
            ]),
            momentum,
            loss_state: self.loss_state.clone(),
        }
    }

    /// Goes on from its part of a checkpoint.
    ///
    /// # Errors
    /// What does not fit.
    pub fn load(&mut self, state: &ClassifierState) -> Result<(), String> {
        if state.name != self.name {
            return Err(format!("holds classifier `{}` where the recipe has `{}`", state.name, self.name));
        }
        let outputs = self.bias.len();
        let take = |tensors: &TensorMap| -> Result<[Vec<f32>; 2], String> {
            let (weight, bias) = (values(tensors, "weight"), values(tensors, "bias"));
            if weight.len() != self.weight.len() || bias.len() != outputs {
                let expected = self.weight.len();
                return Err(format!(
                    "holds {} weights and {} biases of classifier `{}`, the recipe needs {expected} and {outputs}",
                    weight.len(),
                    bias.len(),
                    self.name
                ));
            }
            Ok([transposed(&weight, outputs), bias])
        };
        let [weight, bias] = take(&state.parameters)?;
        self.sgd = match state.momentum.is_empty() {
            true => SliceSgd::default(),
            false => SliceSgd::with_velocity(take(&state.momentum)?),
        };
        (self.weight, self.bias) = (weight, bias);
        self.loss_state = state.loss_state.clone();
        Ok(())
    }
}

/// Values of a tensor, none if it is missing.
fn values(tensors: &TensorMap, name: &str) -> Vec<f32> {
    tensors.get(name).and_then(|data| data.clone().try_to_vec::<f32>().ok()).unwrap_or_default()
}

/// `[columns × rows]` of values `[rows × columns]`.
fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len().checked_div(columns).unwrap_or(0);
    let mut result = Vec::with_capacity(values.len());
    for column in 0..columns {
        result.extend((0..rows).map(|row| values[row * columns + column]));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_twice_changes_nothing() {
        let values: Vec<f32> = (0..12).map(|i| i as f32).collect();
        assert_eq!(transposed(&values, 4), [0., 4., 8., 1., 5., 9., 2., 6., 10., 3., 7., 11.]);
        assert_eq!(transposed(&transposed(&values, 4), 3), values);
        assert!(transposed(&[], 0).is_empty());
    }
}
