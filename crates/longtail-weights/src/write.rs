//! Arrays as safetensors.

use std::collections::{BTreeMap, HashMap};

use safetensors::{Dtype, tensor::TensorView};

use crate::{error::WeightsError, transfer::Arrays};

/// A safetensors file with `arrays` and `metadata`.
///
/// # Errors
/// If an array does not have as many numbers as its shape.
pub fn to_bytes(arrays: &Arrays, metadata: &BTreeMap<String, String>) -> Result<Vec<u8>, WeightsError> {
    let raw: Vec<(&String, &[usize], Vec<u8>)> = arrays
        .iter()
        .map(|(name, a)| (name, a.shape.as_slice(), a.values.iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let mut views = Vec::with_capacity(raw.len());
    for (name, shape, bytes) in &raw {
        let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes);
        let view = view.map_err(|e| WeightsError::Tensor { name: (*name).clone(), reason: e.to_string() })?;
        views.push((name.as_str(), view));
    }
    let metadata: HashMap<String, String> = metadata.clone().into_iter().collect();
    safetensors::serialize(views, Some(metadata)).map_err(|e| WeightsError::damaged(e.to_string()))
}
