//! The containers that tensors come in, and how they are told apart.

mod kind;
mod numpy_pickle;
mod safetensors;
mod torch_legacy;
mod torch_zip;

use kind::Kind;

use crate::{
    error::WeightsError,
    file::{Nesting, WeightFile},
};

/// Reads the bytes of a file in the format that they say they are.
pub(crate) fn parse(bytes: Vec<u8>, nesting: Nesting) -> Result<WeightFile, WeightsError> {
    let mut file = match Kind::of(&bytes) {
        Kind::Zip => torch_zip::parse(bytes, nesting)?,
        Kind::Safetensors => safetensors::parse(bytes)?,
        Kind::Legacy => torch_legacy::parse(bytes)?,
        Kind::Pickle => numpy_pickle::parse(bytes)?,
        Kind::Unknown(found) => return Err(WeightsError::UnknownFormat { found }),
    };
    file.choose_group();
    Ok(file)
}
