//! The containers that tensors come in, and how they are told apart.

mod kind;
pub(crate) mod numpy_pickle;
pub(crate) mod safetensors;
pub(crate) mod torch_legacy;
pub(crate) mod torch_zip;

pub(crate) use kind::Kind;
