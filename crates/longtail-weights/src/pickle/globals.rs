//! The functions and types that a file of weights may name. None is called: those known here stand for what they would
//! build, all others for an object that is skipped.

use crate::tensor::DType;

/// A function or type of a pickle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Global {
    /// `collections.OrderedDict`
    OrderedDict,
    /// `collections.Counter`
    Counter,
    /// `collections.defaultdict`
    DefaultDict,
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
    /// `torch._utils._rebuild_tensor_v3`, whose storage is bytes and whose type comes last
    RebuildTensorV3,
    /// `torch._utils._rebuild_qtensor`
    RebuildQuantised,
    /// `torch._utils._rebuild_parameter` and its like: a tensor, and what is said about it
    RebuildParameter,
    /// `torch._tensor._rebuild_from_type_v2`: another of these functions, a class, arguments, attributes
    RebuildFromType,
    /// `torch.Size`
    Size,
    /// A storage of torch
    Storage(DType),
    /// A storage of bytes
    UntypedStorage,
    /// A type of elements of torch
    DType(DType),
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
    pub(crate) fn find(module: &str, name: &str) -> Option<Self> {
        match (module, name) {
            ("collections", "OrderedDict") => Some(Self::OrderedDict),
            ("collections", "Counter") => Some(Self::Counter),
            ("collections", "defaultdict") => Some(Self::DefaultDict),
            ("builtins" | "__builtin__", "set" | "frozenset") => Some(Self::Set),
            ("builtins" | "__builtin__", "bytes") => Some(Self::Bytes),
            ("_codecs", "encode") => Some(Self::Encode),
            ("torch._utils", "_rebuild_tensor") => Some(Self::RebuildTensor),
            ("torch._utils", "_rebuild_tensor_v2") => Some(Self::RebuildTensorV2),
            ("torch._utils", "_rebuild_tensor_v3") => Some(Self::RebuildTensorV3),
            ("torch._utils", "_rebuild_qtensor") => Some(Self::RebuildQuantised),
            (
                "torch._utils",
                "_rebuild_parameter"
                | "_rebuild_parameter_with_state"
                | "_rebuild_device_tensor_from_cpu_tensor"
                | "_rebuild_device_tensor_from_numpy"
                | "_rebuild_xla_tensor",
            ) => Some(Self::RebuildParameter),
            ("torch._tensor", "_rebuild_from_type_v2") => Some(Self::RebuildFromType),
            ("torch", "Size") => Some(Self::Size),
            ("torch" | "torch.storage", "UntypedStorage") => Some(Self::UntypedStorage),
            ("torch", name) => match name.strip_suffix("Storage") {
                Some(kind) => storage_type(kind).map(Self::Storage),
                None => torch_type(name).map(Self::DType),
            },
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Some(Self::Reconstruct),
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Some(Self::Scalar),
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Some(Self::FromBuffer),
            ("numpy", "ndarray") => Some(Self::Ndarray),
            ("numpy", "dtype") => Some(Self::NumpyDtype),
            _ => None,
        }
    }
}

/// Elements of torch's `<kind>Storage`.
fn storage_type(kind: &str) -> Option<DType> {
    Some(match kind {
        "Double" => DType::F64,
        "Float" => DType::F32,
        "Half" => DType::F16,
        "BFloat16" => DType::Bf16,
        "Long" => DType::I64,
        "Int" => DType::I32,
        "Short" => DType::I16,
        "Char" => DType::I8,
        "Byte" => DType::U8,
        "Bool" => DType::Bool,
        "QInt8" => DType::Qint8,
        "QUInt8" => DType::Quint8,
        "QInt32" => DType::Qint32,
        "ComplexFloat" => DType::Complex64,
        "ComplexDouble" => DType::Complex128,
        _ => return None,
    })
}

/// Type of elements by torch's name.
fn torch_type(name: &str) -> Option<DType> {
    Some(match name {
        "float64" => DType::F64,
        "float32" => DType::F32,
        "float16" => DType::F16,
        "bfloat16" => DType::Bf16,
        "int64" => DType::I64,
        "int32" => DType::I32,
        "int16" => DType::I16,
        "int8" => DType::I8,
        "uint64" => DType::U64,
        "uint32" => DType::U32,
        "uint16" => DType::U16,
        "uint8" => DType::U8,
        "bool" => DType::Bool,
        "float8_e4m3fn" => DType::Float8E4m3fn,
        "float8_e4m3fnuz" => DType::Float8E4m3fnuz,
        "float8_e5m2" => DType::Float8E5m2,
        "float8_e5m2fnuz" => DType::Float8E5m2fnuz,
        "float8_e8m0fnu" => DType::Float8E8m0,
        "float4_e2m1fn_x2" => DType::Float4,
        "qint8" => DType::Qint8,
        "quint8" => DType::Quint8,
        "qint32" => DType::Qint32,
        "complex64" => DType::Complex64,
        "complex128" => DType::Complex128,
        _ => return None,
    })
}

/// Whether a function or type is there to reach outside of the file: no file of weights has a use for it.
///
/// Nothing of any pickle is executed here. Such a file is still refused, because it would run its program wherever
/// else it is loaded.
pub(crate) fn reaches_outside(module: &str, name: &str) -> bool {
    const MODULES: [&str; 40] = [
        "_ctypes",
        "_imp",
        "_pickle",
        "_posixsubprocess",
        "asyncio",
        "bdb",
        "cPickle",
        "cffi",
        "cloudpickle",
        "code",
        "codeop",
        "commands",
        "ctypes",
        "dill",
        "ensurepip",
        "ftplib",
        "http",
        "imp",
        "importlib",
        "marshal",
        "multiprocessing",
        "nt",
        "os",
        "pdb",
        "pickle",
        "pip",
        "pkgutil",
        "posix",
        "pty",
        "pydoc",
        "requests",
        "runpy",
        "shutil",
        "smtplib",
        "socket",
        "subprocess",
        "sys",
        "timeit",
        "urllib",
        "webbrowser",
    ];
    const BUILTINS: [&str; 16] = [
        "__import__",
        "apply",
        "breakpoint",
        "compile",
        "delattr",
        "eval",
        "exec",
        "execfile",
        "exit",
        "file",
        "globals",
        "input",
        "locals",
        "open",
        "setattr",
        "vars",
    ];
    let root = module.split('.').next().unwrap_or(module);
    match root {
        "builtins" | "__builtin__" => BUILTINS.contains(&name),
        "types" => matches!(name, "CodeType" | "FunctionType" | "LambdaType"),
        root => MODULES.contains(&root),
    }
}

/// Type of numpy elements by its short name: kind and bytes.
pub(crate) fn numpy_type(name: &str) -> Option<DType> {
    Some(match name {
        "f8" => DType::F64,
        "f4" => DType::F32,
        "f2" => DType::F16,
        "i8" => DType::I64,
        "i4" => DType::I32,
        "i2" => DType::I16,
        "i1" => DType::I8,
        "u8" => DType::U64,
        "u4" => DType::U32,
        "u2" => DType::U16,
        "u1" => DType::U8,
        "c8" => DType::Complex64,
        "c16" => DType::Complex128,
        "b1" => DType::Bool,
        _ => return None,
    })
}
