//! Safetensors.

use std::{collections::BTreeMap, sync::Arc};

use safetensors::{Dtype, SafeTensors};

use crate::{
    error::WeightsError,
    file::{Format, Named, Skipped, WeightFile},
    tensor::{Bytes, DType, Tensor},
};

/// Reads the file.
pub(crate) fn parse(bytes: Vec<u8>) -> Result<WeightFile, WeightsError> {
    let file = Arc::new(bytes);
    let damaged = |e: safetensors::SafeTensorError| WeightsError::damaged(e.to_string());
    let (_, header) = SafeTensors::read_metadata(&file).map_err(damaged)?;
    let metadata: BTreeMap<String, String> =
        header.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
    let views = SafeTensors::deserialize(&file).map_err(damaged)?;
    let (mut tensors, mut skipped) = (Vec::new(), Vec::new());
    let start = file.as_ptr() as usize;
    for (name, view) in views.iter() {
        let refused = |reason: String| WeightsError::Tensor { name: name.to_owned(), reason };
        let Some(dtype) = dtype(view.dtype()) else {
            skipped.push(Skipped {
                class: format!("{:?}", view.dtype()),
                path: name.to_owned(),
                count: 1,
                tensors: 1,
            });
            continue;
        };
        let first = view.data().as_ptr() as usize - start;
        let storage = Bytes::new(&file, first..first + view.data().len());
        let storage = storage.ok_or_else(|| refused("lies outside the file".into()))?;
        let tensor = Tensor::contiguous(dtype, view.shape().to_vec(), storage).map_err(refused)?;
        tensors.push(Named { group: String::new(), name: name.to_owned(), tensor });
    }
    // The header is a map; the order of the data is that of the file.
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let classes = metadata.get("classes").and_then(|text| serde_json::from_str(text).ok());
    Ok(WeightFile { format: Format::Safetensors, group: String::new(), tensors, metadata, classes, skipped })
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
        Dtype::U64 => DType::U64,
        Dtype::U32 => DType::U32,
        Dtype::U16 => DType::U16,
        Dtype::F8_E4M3 => DType::Float8E4m3fn,
        Dtype::F8_E5M2 => DType::Float8E5m2,
        Dtype::F8_E4M3FNUZ => DType::Float8E4m3fnuz,
        Dtype::F8_E5M2FNUZ => DType::Float8E5m2fnuz,
        Dtype::F8_E8M0 => DType::Float8E8m0,
        Dtype::C64 => DType::Complex64,
        _ => return None,
    })
}
