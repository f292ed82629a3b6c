//! The containers that tensors come in.

pub mod numpy_pickle;
pub mod safetensors;
pub mod torch_legacy;
pub mod torch_zip;
