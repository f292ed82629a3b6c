//! The functions and types that a file of weights may name. None is called: each stands for what it would build.

use crate::tensor::DType;

/// A function or type of a pickle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Global {
    /// `collections.OrderedDict`
    OrderedDict,
    /// `set` or `frozenset`
    Set,
    /// `bytes`, which protocol 2 calls without arguments for none
    Bytes,
    /// `_codecs.encode`, which protocol 2 writes bytes with
    Encode,
    /// `torch._utils._rebuild_tensor`
    RebuildTensor,
    /// `torch._utils._rebuild_tensor_v2`
    RebuildTensorV2,
    /// `torch._utils._rebuild_parameter`
    RebuildParameter,
    /// `torch.Size`
    Size,
    /// A storage of torch
    Storage(DType),
    /// `numpy.core.multiarray._reconstruct`
    Reconstruct,
    /// `numpy.core.multiarray.scalar`
    Scalar,
    /// `numpy.core.numeric._frombuffer`, of protocol 5
    FromBuffer,
    /// `numpy.ndarray`
    Ndarray,
    /// `numpy.dtype`
    NumpyDtype,
}

impl Global {
    /// The global of that name, if files of weights need it.
    pub fn find(module: &str, name: &str) -> Option<Self> {
        let storage = |dtype| Some(Self::Storage(dtype));
        match (module, name) {
            ("collections", "OrderedDict") => Some(Self::OrderedDict),
            ("builtins" | "__builtin__", "set" | "frozenset") => Some(Self::Set),
            ("builtins" | "__builtin__", "bytes") => Some(Self::Bytes),
            ("_codecs", "encode") => Some(Self::Encode),
            ("torch._utils", "_rebuild_tensor") => Some(Self::RebuildTensor),
            ("torch._utils", "_rebuild_tensor_v2") => Some(Self::RebuildTensorV2),
            ("torch._utils", "_rebuild_parameter") => Some(Self::RebuildParameter),
            ("torch", "Size") => Some(Self::Size),
            ("torch", "DoubleStorage") => storage(DType::F64),
            ("torch", "FloatStorage") => storage(DType::F32),
            ("torch", "HalfStorage") => storage(DType::F16),
            ("torch", "BFloat16Storage") => storage(DType::Bf16),
            ("torch", "LongStorage") => storage(DType::I64),
            ("torch", "IntStorage") => storage(DType::I32),
            ("torch", "ShortStorage") => storage(DType::I16),
            ("torch", "CharStorage") => storage(DType::I8),
            ("torch", "ByteStorage") => storage(DType::U8),
            ("torch", "BoolStorage") => storage(DType::Bool),
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Some(Self::Reconstruct),
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Some(Self::Scalar),
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Some(Self::FromBuffer),
            ("numpy", "ndarray") => Some(Self::Ndarray),
            ("numpy", "dtype") => Some(Self::NumpyDtype),
            _ => None,
        }
    }
}

/// Type of numpy elements by its short name: kind and bytes.
pub fn numpy_type(name: &str) -> Option<DType> {
    Some(match name {
        "f8" => DType::F64,
        "f4" => DType::F32,
        "f2" => DType::F16,
        "i8" => DType::I64,
        "i4" => DType::I32,
        "i2" => DType::I16,
        "i1" => DType::I8,
        "u1" => DType::U8,
        "b1" => DType::Bool,
        _ => return None,
    })
}
