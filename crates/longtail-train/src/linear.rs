//! Layers between slices and the detector: a head's weights are `[K × D]`, the detector's linear layers `[D, K]`.

use burn::{
    module::Param,
    tensor::{Device, Tensor, TensorData},
};
use longtail_detect::layers::Linear;
use longtail_head::{Head, Hidden, columns::transposed};

use crate::{error::TrainError, parameters::floats};

/// The linear layer of `weight [outputs × inputs]` and `bias [outputs]`.
pub(crate) fn linear(weight: &[f32], bias: &[f32], device: &Device) -> Linear {
    let [weight, bias] = to_tensors(weight, bias);
    Linear {
        weight: Param::from_tensor(Tensor::from_data(weight, device)),
        bias: Param::from_tensor(Tensor::from_data(bias, device)),
    }
}

/// Weight `[inputs, outputs]` and bias of a layer of `weight [outputs × inputs]` and `bias [outputs]`.
pub(crate) fn to_tensors(weight: &[f32], bias: &[f32]) -> [TensorData; 2] {
    let inputs = weight.len().checked_div(bias.len()).unwrap_or(0);
    let weight = TensorData::new(transposed(weight, inputs), [inputs, bias.len()]);
    [weight, TensorData::new(bias.to_vec(), [bias.len()])]
}

/// Weight `[outputs × inputs]` and bias of a linear layer.
///
/// # Errors
/// If they are not f32.
pub(crate) fn from_linear(linear: &Linear) -> Result<(Vec<f32>, Vec<f32>), TrainError> {
    let [_, outputs] = linear.weight.dims();
    let plain = |data| floats("a linear layer", &data);
    let weight = transposed(&plain(linear.weight.val().into_data())?, outputs);
    Ok((weight, plain(linear.bias.val().into_data())?))
}

/// The head of a classifier as the detector has it and the hidden layer below it, if that is part of the head.
///
/// # Errors
/// If they are not f32.
pub(crate) fn head_of(classifier: &Linear, hidden: Option<&Linear>) -> Result<Head, TrainError> {
    let (weight, bias) = from_linear(classifier)?;
    let hidden = match hidden {
        Some(layer) => {
            let (weight, bias) = from_linear(layer)?;
            Some(Hidden { weight, bias, width: layer.weight.dims()[0] })
        }
        None => None,
    };
    Ok(Head { weight, bias, width: classifier.weight.dims()[0], unit_inputs: false, hidden })
}
