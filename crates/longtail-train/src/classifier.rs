//! The last classification layers with the loss that trains them: one, or one for each head of a cascade.
//!
//! In training a layer lives in slices, weights `[K × D]`: the loss gives all gradients itself, and ACSL with adaptive
//! background never stores the logits. Checkpoints and the detector have Burn's layout, `[D, K]`.

use burn::{
    module::Param,
    tensor::{Device, Tensor, TensorData},
};
use longtail_detect::layers::Linear;
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
    slice_sgd::{Parameter, SliceSgd},
};

/// A classifier in training: layers, loss, optimizer.
pub struct Classifier {
    /// Name in tables and files.
    pub name: String,
    /// Its loss.
    pub loss: Box<dyn ClassificationLoss>,
    /// One for each head of the detector.
    layers: Vec<Layer>,
    /// How the losses of the RoIs become one number.
    reduction: Reduction,
    /// Momentum of every layer's weights and bias.
    sgd: SliceSgd,
    /// Learning rate after the warm-up.
    learning_rate: f64,
}

/// A head's layer.
struct Layer {
    /// Weights, `[K × D]`.
    weight: Vec<f32>,
    /// Bias, `[K]`.
    bias: Vec<f32>,
    /// D.
    inputs: usize,
    /// Running state of its loss.
    loss_state: LossState,
}

/// RoIs as a head's classifier sees them.
pub struct HeadInputs {
    /// `[N × D]`.
    pub features: Vec<f32>,
    /// What they are.
    pub targets: RoiTargets,
    /// Weight of the head's loss.
    pub loss_weight: f32,
}

/// What a step of a classifier gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassifierStep {
    /// The loss, summed over heads as they weigh; NaN, and no step taken, if a logit was not finite.
    pub loss: f64,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
}

impl Classifier {
    /// A classifier that starts from the layers of `start`, whose columns are `trained`, as the published recipe does: softmax
    /// weights are read as sigmoid logits.
    ///
    /// # Errors
    /// If `start` has other columns.
    pub fn starting_from(
        start: &[&Linear],
        trained: &[Column],
        recipe: &ClassifierRecipe,
        loss: Box<dyn ClassificationLoss>,
        num_classes: usize,
        learning_rate: f64,
    ) -> Result<Self, TrainError> {
        let needed = loss.columns(num_classes);
        let layers = start.iter().map(|start| {
            Layer::starting_from(start, trained, &needed)
                .map_err(|reason| TrainError::recipe(format!("classifiers.{}.loss", recipe.name), reason))
        });
        Ok(Self {
            name: recipe.name.clone(),
            layers: layers.collect::<Result<_, _>>()?,
            loss,
            reduction: recipe.reduction,
            sgd: SliceSgd::default(),
            learning_rate: recipe.learning_rate.unwrap_or(learning_rate),
        })
    }

    /// A step on the RoIs of every head; `factor` scales the learning rate.
    ///
    /// # Errors
    /// If features or targets do not fit.
    pub fn step(
        &mut self,
        heads: &[HeadInputs],
        optimizer: &SgdConfig,
        factor: f64,
    ) -> Result<ClassifierStep, TrainError> {
        let learning_rate = self.learning_rate * factor;
        let (mut loss, mut found) = (0.0, Vec::with_capacity(heads.len()));
        for (layer, head) in self.layers.iter().zip(heads) {
            let targets = head.targets.clone().with_reduction(self.reduction);
            let evaluated = self.loss.evaluate_linear(
                layer.over(&head.features),
                &targets,
                &layer.loss_state,
                &SingleWorker,
            );
            let mut evaluated = match evaluated {
                Err(LossError::NotFinite { .. }) => {
                    return Ok(ClassifierStep { loss: f64::NAN, gradient_norm: f64::NAN });
                }
                other => other?,
            };
            loss += evaluated.value * f64::from(head.loss_weight);
            if head.loss_weight != 1.0 {
                let gradients = [&mut evaluated.weight, &mut evaluated.bias].into_iter().flatten();
                gradients.for_each(|gradient| *gradient *= head.loss_weight);
            }
            found.push(evaluated);
        }
        let mut parameters = Vec::with_capacity(2 * heads.len());
        for (layer, found) in self.layers.iter_mut().zip(found) {
            layer.loss_state = found.state;
            parameters.push(Parameter { values: &mut layer.weight, gradient: found.weight, learning_rate });
            parameters.push(Parameter { values: &mut layer.bias, gradient: found.bias, learning_rate });
        }
        let gradient_norm = self.sgd.step(optimizer, parameters);
        Ok(ClassifierStep { loss, gradient_norm })
    }

    /// Which negatives the next step on these RoIs keeps in the first head; `None` for losses that do not select.
    pub fn kept_negatives(&self, heads: &[HeadInputs]) -> Option<KeptNegatives> {
        let (layer, head) = self.layers.iter().zip(heads).next()?;
        self.loss.kept_negatives(&layer.over(&head.features).outputs(), &head.targets, &layer.loss_state)
    }

    /// The layers as the detector has them.
    pub fn linears(&self, device: &Device) -> Vec<Linear> {
        self.layers.iter().map(|layer| layer.linear(device)).collect()
    }

    /// Its part of a checkpoint.
    pub fn to_state(&self) -> ClassifierState {
        let flat = |values: Vec<f32>| {
            let length = values.len();
            TensorData::new(values, [length])
        };
        let (mut parameters, mut momentum) = (TensorMap::new(), TensorMap::new());
        let mut velocity = self.sgd.velocity().chunks_exact(2);
        for (number, layer) in self.layers.iter().enumerate() {
            let [weight, bias] = names(number);
            parameters.insert(weight.clone(), layer.weight_data());
            parameters.insert(bias.clone(), TensorData::new(layer.bias.clone(), [layer.bias.len()]));
            if let Some([of_weight, of_bias]) = velocity.next() {
                momentum.insert(weight, flat(transposed(of_weight, layer.inputs)));
                momentum.insert(bias, flat(of_bias.clone()));
            }
        }
        ClassifierState {
            name: self.name.clone(),
            parameters,
            momentum,
            loss_states: self.layers.iter().map(|layer| layer.loss_state.clone()).collect(),
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
        if state.loss_states.len() != self.layers.len() {
            let (found, expected) = (state.loss_states.len(), self.layers.len());
            return Err(format!("holds {found} heads of classifier `{}`, not {expected}", self.name));
        }
        let mut velocity = Vec::new();
        for (number, layer) in self.layers.iter_mut().enumerate() {
            let take = |tensors: &TensorMap| layer.take(tensors, number, &self.name);
            let [weight, bias] = take(&state.parameters)?;
            if !state.momentum.is_empty() {
                velocity.extend(take(&state.momentum)?);
            }
            (layer.weight, layer.bias) = (weight, bias);
            layer.loss_state = state.loss_states[number].clone();
        }
        self.sgd = SliceSgd::with_velocity(velocity);
        Ok(())
    }
}

/// Names of a head's weight and bias in a checkpoint.
pub(crate) fn names(head: usize) -> [String; 2] {
    ["weight", "bias"].map(|part| match head {
        0 => part.to_owned(),
        _ => format!("cascade.{}.{part}", head - 1),
    })
}

impl Layer {
    fn starting_from(start: &Linear, trained: &[Column], needed: &[Column]) -> Result<Self, String> {
        let parameters = snapshot(start);
        let [inputs, columns] = start.weight.dims();
        if columns != trained.len() {
            return Err(format!("takes over {} columns, but the stage before has {columns}", trained.len()));
        }
        let (old_weight, old_bias) =
            (transposed(&values(&parameters, "weight"), columns), values(&parameters, "bias"));
        // Classes and background by what they are about; zeros for what the stage before did not have.
        let (mut weight, mut bias) = (vec![0.0; needed.len() * inputs], vec![0.0; needed.len()]);
        for (place, column) in needed.iter().enumerate() {
            if let Some(source) = trained.iter().position(|other| other == column) {
                weight[place * inputs..][..inputs].copy_from_slice(&old_weight[source * inputs..][..inputs]);
                bias[place] = old_bias.get(source).copied().unwrap_or_default();
            }
        }
        Ok(Self { weight, bias, inputs, loss_state: LossState::default() })
    }

    fn over<'a>(&'a self, inputs: &'a [f32]) -> LinearLayer<'a> {
        LinearLayer {
            inputs,
            weight: &self.weight,
            bias: &self.bias,
            width: self.inputs,
            frozen_inputs: true,
        }
    }

    fn linear(&self, device: &Device) -> Linear {
        let weight = Tensor::from_data(self.weight_data(), device);
        let bias = Tensor::from_data(TensorData::new(self.bias.clone(), [self.bias.len()]), device);
        Linear { weight: Param::from_tensor(weight), bias: Param::from_tensor(bias) }
    }

    /// Weights in Burn's layout, `[D, K]`.
    fn weight_data(&self) -> TensorData {
        TensorData::new(transposed(&self.weight, self.inputs), [self.inputs, self.bias.len()])
    }

    /// A head's weight and bias, or their momentum, out of a checkpoint.
    fn take(&self, tensors: &TensorMap, number: usize, classifier: &str) -> Result<[Vec<f32>; 2], String> {
        let [weight, bias] = names(number).map(|name| values(tensors, &name));
        let (weights, outputs) = (self.weight.len(), self.bias.len());
        if weight.len() != weights || bias.len() != outputs {
            return Err(format!(
                "holds {} weights and {} biases of classifier `{classifier}`, the recipe needs {weights} and {outputs}",
                weight.len(),
                bias.len(),
            ));
        }
        Ok([transposed(&weight, outputs), bias])
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
