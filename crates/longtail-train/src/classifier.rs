//! The last classification layer with the loss that trains it.

use burn::{
    module::Param,
    nn::Linear,
    tensor::{Device, Tensor, TensorData},
};
use longtail_loss::{ClassificationLoss, Column, LossState, Reduction};

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
    /// How the losses of the RoIs become one number.
    pub reduction: Reduction,
    /// Momentum.
    pub sgd: Sgd,
    /// Learning rate after the warm-up.
    pub learning_rate: f64,
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
        device: &Device,
    ) -> Result<Self, TrainError> {
        let linear = with_columns(start, trained, &loss.columns(num_classes), &recipe.name, device)?;
        Ok(Self {
            name: recipe.name.clone(),
            linear,
            loss,
            loss_state: LossState::default(),
            reduction: recipe.reduction,
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

/// Columns for a loss, taken from those that the stage before trained: classes and background by what they are about,
/// zeros for what it did not have.
fn with_columns(
    start: &Linear,
    trained: &[Column],
    needed: &[Column],
    name: &str,
    device: &Device,
) -> Result<Linear, TrainError> {
    let data = |tensor: TensorData| tensor.try_to_vec::<f32>().unwrap_or_default();
    let weight = start.weight.val().inner();
    let [inputs, columns] = weight.dims();
    if columns != trained.len() {
        let reason = format!("takes over {} columns, but the stage before has {columns}", trained.len());
        return Err(TrainError::recipe(format!("classifiers.{name}.loss"), reason));
    }
    let sources: Vec<Option<usize>> =
        needed.iter().map(|column| trained.iter().position(|other| other == column)).collect();
    let take = |row: &[f32]| -> Vec<f32> {
        sources.iter().map(|source| source.map_or(0.0, |column| row[column])).collect()
    };
    let rows: Vec<f32> = data(weight.into_data()).chunks(columns).flat_map(take).collect();
    let weight = Tensor::from_data(TensorData::new(rows, [inputs, needed.len()]), device);
    let bias = start.bias.as_ref().map(|bias| {
        let values = take(&data(bias.val().inner().into_data()));
        Param::from_tensor(Tensor::from_data(TensorData::new(values, [needed.len()]), device))
    });
    Ok(Linear { weight: Param::from_tensor(weight), bias })
}
