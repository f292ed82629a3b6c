//! Safetensors.

use std::{collections::BTreeMap, sync::Arc};

use safetensors::{Dtype, SafeTensors};

use crate::{
    error::WeightsError,
    file::{Format, Named, WeightFile},
    tensor::{Bytes, DType, Tensor},
};

/// Reads the file.
pub fn parse(bytes: Vec<u8>) -> Result<WeightFile, WeightsError> {
    let file = Arc::new(bytes);
    let damaged = |e: safetensors::SafeTensorError| WeightsError::damaged(e.to_string());
    let (_, header) = SafeTensors::read_metadata(&file).map_err(damaged)?;
    let metadata: BTreeMap<String, String> =
        header.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
    let views = SafeTensors::deserialize(&file).map_err(damaged)?;
    let mut tensors = Vec::new();
    let start = file.as_ptr() as usize;
    for (name, view) in views.iter() {
        let refused = |reason: String| WeightsError::Tensor { name: name.to_owned(), reason };
        let dtype = dtype(view.dtype()).ok_or_else(|| {
            refused(format!("has elements of type {:?}, which cannot be weights", view.dtype()))
        })?;
        let first = view.data().as_ptr() as usize - start;
        let storage = Bytes::new(&file, first..first + view.data().len());
        let storage = storage.ok_or_else(|| refused("lies outside the file".into()))?;
        let tensor = Tensor::contiguous(dtype, view.shape().to_vec(), storage).map_err(refused)?;
        tensors.push(Named { group: String::new(), name: name.to_owned(), tensor });
    }
    // The header is a map; the order of the data is that of the file.
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let classes = metadata.get("classes").and_then(|text| serde_json::from_str(text).ok());
    Ok(WeightFile { format: Format::Safetensors, group: String::new(), tensors, metadata, classes })
}

fn dtype(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::Bf16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::I16 => DType::I16,
        Dtype::I8 => DType::I8,
        Dtype::U8 => DType::U8,
        Dtype::BOOL => DType::Bool,
        _ => return None,
    })
}
