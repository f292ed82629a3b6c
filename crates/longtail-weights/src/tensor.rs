//! Tensors as files hold them: a view of stored bytes, decoded only when asked for.

use std::{ops::Range, sync::Arc};

use half::{bf16, f16};
use serde::{Deserialize, Serialize};

/// Type of the elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DType {
    /// 64-bit float.
    F64,
    /// 32-bit float.
    F32,
    /// 16-bit IEEE float.
    F16,
    /// Upper half of a 32-bit float.
    Bf16,
    /// 64-bit signed integer.
    I64,
    /// 32-bit signed integer.
    I32,
    /// 16-bit signed integer.
    I16,
    /// 8-bit signed integer.
    I8,
    /// 64-bit unsigned integer.
    U64,
    /// 32-bit unsigned integer.
    U32,
    /// 16-bit unsigned integer.
    U16,
    /// 8-bit unsigned integer.
    U8,
    /// A byte that is 0 or not.
    Bool,
    /// 8-bit float: 4 bits of exponent, 3 of mantissa, no infinity.
    Float8E4m3fn,
    /// 8-bit float: 4 bits of exponent, 3 of mantissa, no infinity, no negative zero.
    Float8E4m3fnuz,
    /// 8-bit float: 5 bits of exponent, 2 of mantissa.
    Float8E5m2,
    /// 8-bit float: 5 bits of exponent, 2 of mantissa, no infinity, no negative zero.
    Float8E5m2fnuz,
    /// A power of two in 8 bits: the common scale of a block.
    Float8E8m0,
    /// Two 4-bit floats a byte.
    Float4,
    /// Quantised to 8-bit signed integers with scale and zero point.
    Qint8,
    /// Quantised to 8-bit unsigned integers with scale and zero point.
    Quint8,
    /// Quantised to 32-bit signed integers with a scale.
    Qint32,
    /// Complex number of two 32-bit floats.
    Complex64,
    /// Complex number of two 64-bit floats.
    Complex128,
}

impl DType {
    /// Bytes of an element.
    pub fn size(self) -> usize {
        match self {
            Self::Complex128 => 16,
            Self::F64 | Self::I64 | Self::U64 | Self::Complex64 => 8,
            Self::F32 | Self::I32 | Self::U32 | Self::Qint32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::I8 | Self::U8 | Self::Bool | Self::Qint8 | Self::Quint8 => 1,
            Self::Float8E4m3fn
            | Self::Float8E4m3fnuz
            | Self::Float8E5m2
            | Self::Float8E5m2fnuz
            | Self::Float8E8m0
            | Self::Float4 => 1,
        }
    }

    /// Whether the elements are floats of 16 bits or more.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::Bf16)
    }

    /// Why the elements are not numbers that a detector can take, with what to do about it; `None` if they are.
    pub fn obstacle(self) -> Option<&'static str> {
        match self {
            Self::Qint8 | Self::Quint8 | Self::Qint32 => Some(
                "is quantised: its integers mean nothing without their scales; where it was made, save the weights \
                 from before the quantisation, or `tensor.dequantize()`",
            ),
            Self::Float8E4m3fn
            | Self::Float8E4m3fnuz
            | Self::Float8E5m2
            | Self::Float8E5m2fnuz
            | Self::Float8E8m0
            | Self::Float4 => Some(
                "has floats of 8 bits or fewer, which usually have scales beside them; where it was made, save the \
                 weights as 16-bit or 32-bit floats (`tensor.float()` times its scale)",
            ),
            Self::Complex64 | Self::Complex128 => Some("has complex numbers, which no detector here has"),
            _ => None,
        }
    }

    /// As printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::I16 => "i16",
            Self::I8 => "i8",
            Self::U64 => "u64",
            Self::U32 => "u32",
            Self::U16 => "u16",
            Self::U8 => "u8",
            Self::Bool => "bool",
            Self::Float8E4m3fn => "float8_e4m3fn",
            Self::Float8E4m3fnuz => "float8_e4m3fnuz",
            Self::Float8E5m2 => "float8_e5m2",
            Self::Float8E5m2fnuz => "float8_e5m2fnuz",
            Self::Float8E8m0 => "float8_e8m0fnu",
            Self::Float4 => "float4_e2m1fn_x2",
            Self::Qint8 => "qint8",
            Self::Quint8 => "quint8",
            Self::Qint32 => "qint32",
            Self::Complex64 => "complex64",
            Self::Complex128 => "complex128",
        }
    }

    fn read(self, bytes: &[u8]) -> f32 {
        match self {
            Self::F64 | Self::Complex128 => f64::from_le_bytes(array(bytes)) as f32,
            Self::F32 | Self::Complex64 => f32::from_le_bytes(array(bytes)),
            Self::F16 => f16::from_le_bytes(array(bytes)).to_f32(),
            Self::Bf16 => bf16::from_le_bytes(array(bytes)).to_f32(),
            Self::I64 => i64::from_le_bytes(array(bytes)) as f32,
            Self::I32 | Self::Qint32 => i32::from_le_bytes(array(bytes)) as f32,
            Self::I16 => f32::from(i16::from_le_bytes(array(bytes))),
            Self::I8 | Self::Qint8 => f32::from(bytes[0] as i8),
            Self::U64 => u64::from_le_bytes(array(bytes)) as f32,
            Self::U32 => u32::from_le_bytes(array(bytes)) as f32,
            Self::U16 => f32::from(u16::from_le_bytes(array(bytes))),
            Self::Bool => f32::from(u8::from(bytes[0] != 0)),
            _ => f32::from(bytes[0]),
        }
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    std::array::from_fn(|i| bytes[i])
}

/// A range of a buffer that others share.
#[derive(Debug, Clone)]
pub(crate) struct Bytes {
    buffer: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Bytes {
    /// `range` of `buffer`; `None` if it does not lie inside.
    pub(crate) fn new(buffer: &Arc<Vec<u8>>, range: Range<usize>) -> Option<Self> {
        let inside = range.start <= range.end && range.end <= buffer.len();
        inside.then(|| Self { buffer: Arc::clone(buffer), range })
    }

    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    fn as_slice(&self) -> &[u8] {
        &self.buffer[self.range.clone()]
    }
}

/// A tensor of a file: little-endian elements of a storage, with strides.
#[derive(Debug, Clone)]
pub struct Tensor {
    dtype: DType,
    shape: Vec<usize>,
    strides: Vec<usize>,
    offset: usize,
    storage: Bytes,
}

impl Tensor {
    /// A view of `storage`; offset and strides in elements.
    ///
    /// # Errors
    /// The reason, if the view leaves its storage or repeats elements of it: a few bytes must not become gigabytes.
    pub(crate) fn new(
        dtype: DType,
        shape: Vec<usize>,
        strides: Vec<usize>,
        offset: usize,
        storage: Bytes,
    ) -> Result<Self, String> {
        if shape.len() != strides.len() {
            return Err(format!("has shape {shape:?} but {} strides", strides.len()));
        }
        let available = storage.len() / dtype.size();
        let count = shape.iter().try_fold(1_usize, |count, &side| count.checked_mul(side));
        let last = shape.iter().zip(&strides).try_fold(offset, |last, (&side, &stride)| {
            side.saturating_sub(1).checked_mul(stride).and_then(|step| last.checked_add(step))
        });
        match (count, last) {
            (Some(0), _) => {}
            (Some(count), Some(last)) if last < available && count <= available => {}
            _ => {
                return Err(format!(
                    "of shape {shape:?} and strides {strides:?} does not fit its {available} stored elements"
                ));
            }
        }
        Ok(Self { dtype, shape, strides, offset, storage })
    }

    /// A view of whole rows of `storage`.
    pub(crate) fn contiguous(dtype: DType, shape: Vec<usize>, storage: Bytes) -> Result<Self, String> {
        let strides = row_major(&shape);
        Self::new(dtype, shape, strides, 0, storage)
    }

    /// Type of the elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Sides; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// The elements row by row. 64-bit floats and integers are rounded. Where [`DType::obstacle`] names one, these are
    /// the stored bytes or integers, or the real parts, and not the numbers that are meant.
    pub fn to_f32(&self) -> Vec<f32> {
        let bytes = self.storage.as_slice();
        let size = self.dtype.size();
        let count = self.elements();
        if count == 0 {
            return Vec::new();
        }
        if self.strides == row_major(&self.shape) {
            let rows = &bytes[self.offset * size..(self.offset + count) * size];
            return rows.chunks_exact(size).map(|element| self.dtype.read(element)).collect();
        }
        let mut values = Vec::with_capacity(count);
        let mut index = vec![0; self.shape.len()];
        for _ in 0..count {
            let element = index.iter().zip(&self.strides).map(|(i, stride)| i * stride).sum::<usize>();
            let start = (self.offset + element) * size;
            values.push(self.dtype.read(&bytes[start..start + size]));
            for (i, side) in index.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < *side {
                    break;
                }
                *i = 0;
            }
        }
        values
    }
}

fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1_usize; shape.len()];
    for side in (1..shape.len()).rev() {
        // Saturates only where the number of elements overflows, which `Tensor::new` refuses.
        strides[side - 1] = strides[side].saturating_mul(shape[side].max(1));
    }
    strides
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(values: &[f32]) -> Bytes {
        let buffer = Arc::new(values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
        Bytes::new(&buffer, 0..values.len() * 4).unwrap()
    }

    #[test]
    fn strides_are_followed() {
        let storage = bytes(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let t = Tensor::new(DType::F32, vec![3, 2], vec![1, 3], 1, storage.clone()).unwrap();
        assert_eq!(t.to_f32(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        let t = Tensor::contiguous(DType::F32, vec![2, 3], storage).unwrap();
        assert_eq!(t.to_f32(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    }

    #[test]
    fn views_outside_and_repetitions_are_refused() {
        let storage = bytes(&[0.0; 6]);
        let new = |shape: &[usize], strides: &[usize], offset| {
            Tensor::new(DType::F32, shape.to_vec(), strides.to_vec(), offset, storage.clone())
        };
        assert!(new(&[2, 3], &[3, 1], 0).is_ok());
        assert!(new(&[2, 3], &[3, 1], 1).is_err());
        assert!(new(&[1 << 40], &[0], 0).is_err());
        assert!(new(&[usize::MAX, 2], &[1, usize::MAX], 0).is_err());
        assert!(new(&[usize::MAX], &[usize::MAX], usize::MAX).is_err());
        assert!(new(&[3], &[1, 1], 0).is_err());
        assert!(new(&[0, 1 << 40], &[0, 0], 0).unwrap().to_f32().is_empty());
    }

    #[test]
    fn types_are_decoded() {
        let decode = |dtype: DType, raw: &[u8]| {
            let buffer = Arc::new(raw.to_vec());
            let storage = Bytes::new(&buffer, 0..raw.len()).unwrap();
            Tensor::contiguous(dtype, vec![raw.len() / dtype.size()], storage).unwrap().to_f32()
        };
        assert_eq!(decode(DType::F64, &1.5_f64.to_le_bytes()), [1.5]);
        assert_eq!(decode(DType::F16, &[0x00, 0x3e]), [1.5]);
        assert_eq!(decode(DType::Bf16, &[0xc0, 0x3f]), [1.5]);
        assert_eq!(decode(DType::I64, &(-3_i64).to_le_bytes()), [-3.0]);
        assert_eq!(decode(DType::I32, &7_i32.to_le_bytes()), [7.0]);
        assert_eq!(decode(DType::I16, &(-2_i16).to_le_bytes()), [-2.0]);
        assert_eq!(decode(DType::I8, &[0xff]), [-1.0]);
        assert_eq!(decode(DType::U8, &[0xff]), [255.0]);
        assert_eq!(decode(DType::Bool, &[0, 1, 7]), [0.0, 1.0, 1.0]);
    }
}
