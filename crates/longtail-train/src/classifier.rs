//! The last classification layer with the loss that trains it.

use burn::{
    module::Param,
    nn::Linear,
    tensor::{Device, Tensor, TensorData},
};
use longtail_loss::{ClassificationLoss, LossState};

use crate::{
    checkpoint::ClassifierState,
    error::TrainError,
    parameters::{restore, snapshot},
    recipe::ClassifierRecipe,
    sgd::Sgd,
};

/// A classifier in training: weights, loss, optimizer.
pub struct Classifier {
    /// Name in tables and files.
    pub name: String,
    /// The layer, `[D, K]`.
    pub linear: Linear,
    /// Its loss.
    pub loss: Box<dyn ClassificationLoss>,
    /// Running state of the loss.
    pub loss_state: LossState,
    /// Momentum.
    pub sgd: Sgd,
    /// Learning rate after the warm-up.
    pub learning_rate: f64,
}

impl Classifier {
    /// A classifier that starts from `start`, as the published recipe does: softmax weights are read as sigmoid
    /// logits.
    ///
    /// # Errors
    /// If the loss needs columns that `start` does not have.
    pub fn starting_from(
        start: &Linear,
        recipe: &ClassifierRecipe,
        loss: Box<dyn ClassificationLoss>,
        num_classes: usize,
        learning_rate: f64,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let linear = with_columns(start, loss.num_outputs(num_classes), num_classes, &recipe.name, device)?;
        Ok(Self {
            name: recipe.name.clone(),
            linear,
            loss,
            loss_state: LossState::default(),
            sgd: Sgd::default(),
            learning_rate: recipe.learning_rate.unwrap_or(learning_rate),
        })
    }

    /// Its part of a checkpoint.
    pub fn to_state(&self) -> ClassifierState {
        ClassifierState {
            name: self.name.clone(),
            parameters: snapshot(&self.linear),
            momentum: self.sgd.to_tensors(),
            loss_state: self.loss_state.clone(),
        }
    }

    /// Goes on from its part of a checkpoint.
    ///
    /// # Errors
    /// What does not fit.
    pub fn load(&mut self, state: &ClassifierState, device: &Device) -> Result<(), String> {
        if state.name != self.name {
            return Err(format!("holds classifier `{}` where the recipe has `{}`", state.name, self.name));
        }
        self.linear = restore(self.linear.clone(), &state.parameters)?;
        self.sgd = Sgd::from_tensors(&state.momentum, device);
        self.loss_state = state.loss_state.clone();
        Ok(())
    }
}

/// A copy of `start` with `outputs` columns on `device`. C + 1 columns lose the background (column 0) where a loss
/// has none; nothing else can be derived.
fn with_columns(
    start: &Linear,
    outputs: usize,
    num_classes: usize,
    name: &str,
    device: &Device,
) -> Result<Linear, TrainError> {
    let data = |tensor: TensorData| tensor.try_to_vec::<f32>().unwrap_or_default();
    let weight = start.weight.val().inner();
    let [inputs, columns] = weight.dims();
    let first = match (columns, outputs) {
        (columns, outputs) if columns == outputs => 0,
        (columns, outputs) if columns == num_classes + 1 && outputs == num_classes => 1,
        _ => {
            return Err(TrainError::recipe(
                format!("classifiers.{name}.loss"),
                format!(
                    "needs {outputs} outputs, but the stage before trained {columns}; \
                     give it a loss whose outputs can be taken over"
                ),
            ));
        }
    };
    let values = data(weight.into_data());
    let rows: Vec<f32> = values.chunks(columns).flat_map(|row| row[first..].iter().copied()).collect();
    let weight = Tensor::from_data(TensorData::new(rows, [inputs, outputs]), device);
    let bias = start.bias.as_ref().map(|bias| {
        let values = data(bias.val().inner().into_data());
        let bias = TensorData::new(values[first..].to_vec(), [outputs]);
        Param::from_tensor(Tensor::from_data(bias, device))
    });
    Ok(Linear { weight: Param::from_tensor(weight), bias })
}
