//! Arrays from other tools: NumPy's `.npy` and `.npz` (NEP 1), and safetensors.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Cursor, Read},
    path::Path,
};

use half::f16;
use safetensors::tensor::{Dtype, SafeTensors};

use crate::error::BankError;

/// Most bytes of an array inside an `.npz`: a small archive may not swell beyond memory.
const MOST_BYTES: u64 = 1 << 38;

/// An array of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Lengths of its sides.
    pub shape: Vec<usize>,
    /// Its values, last side fastest.
    pub values: Values,
}

/// Values of an array.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Floating point numbers.
    Float(Vec<f32>),
    /// Integers and truth values.
    Integer(Vec<i64>),
}

impl Array {
    /// The values as floats.
    pub fn into_floats(self) -> Vec<f32> {
        match self.values {
            Values::Float(values) => values,
            Values::Integer(values) => values.into_iter().map(|value| value as f32).collect(),
        }
    }

    /// The values as integers, if they are.
    pub fn integers(&self) -> Option<&[i64]> {
        if let Values::Integer(values) = &self.values { Some(values) } else { None }
    }
}

/// Reads the arrays of a file by name. A `.npy` file has one, named by its stem.
///
/// # Errors
/// If the file cannot be read, is none of the three kinds, or holds what is not an array of plain numbers.
pub fn read_arrays(path: &Path) -> Result<BTreeMap<String, Array>, BankError> {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    let refused = |reason: String| BankError::Array { path: path.to_owned(), reason };
    let read = || std::fs::read(path).map_err(BankError::io("read", path));
    match extension.as_str() {
        "npy" => {
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            Ok(BTreeMap::from([(name, npy(&read()?).map_err(refused)?)]))
        }
        "npz" => {
            let file = File::open(path).map_err(BankError::io("read", path))?;
            let damaged = |e: &dyn std::fmt::Display| refused(format!("is a damaged archive: {e}"));
            let mut archive = zip::ZipArchive::new(file).map_err(|e| damaged(&e))?;
            let mut arrays = BTreeMap::new();
            for index in 0..archive.len() {
                let entry = archive.by_index(index).map_err(|e| damaged(&e))?;
                let name = entry.name().map_err(|e| damaged(&e))?.trim_end_matches(".npy").to_owned();
                let mut bytes = Vec::new();
                entry.take(MOST_BYTES).read_to_end(&mut bytes).map_err(|e| damaged(&e))?;
                arrays.insert(
                    name.clone(),
                    npy(&bytes).map_err(|reason| refused(format!("`{name}` {reason}")))?,
                );
            }
            Ok(arrays)
        }
        "safetensors" => {
            let bytes = read()?;
            let tensors = SafeTensors::deserialize(&bytes)
                .map_err(|e| refused(format!("is not a safetensors file: {e}")))?;
            let mut arrays = BTreeMap::new();
            for (name, view) in tensors.iter() {
                let kind = match view.dtype() {
                    Dtype::F16 => "f2",
                    Dtype::F32 => "f4",
                    Dtype::F64 => "f8",
                    Dtype::I8 => "i1",
                    Dtype::I16 => "i2",
                    Dtype::I32 => "i4",
                    Dtype::I64 => "i8",
                    Dtype::U8 => "u1",
                    Dtype::BOOL => "b1",
                    other => return Err(refused(format!("`{name}` is {other:?}; convert it to F32 or I64"))),
                };
                let values =
                    values(kind, view.data()).map_err(|reason| refused(format!("`{name}` {reason}")))?;
                arrays.insert(name.to_owned(), Array { shape: view.shape().to_vec(), values });
            }
            Ok(arrays)
        }
        _ => Err(refused("is none of .npy, .npz, .safetensors".into())),
    }
}

/// An array from the bytes of a `.npy` file.
fn npy(bytes: &[u8]) -> Result<Array, String> {
    let cut = || "is cut short".to_owned();
    if !bytes.starts_with(b"\x93NUMPY") {
        return Err("is not a NumPy array".into());
    }
    let (length, start) = match bytes.get(6).ok_or_else(cut)? {
        1 => (
            usize::from(u16::from_le_bytes([*bytes.get(8).ok_or_else(cut)?, *bytes.get(9).ok_or_else(cut)?])),
            10,
        ),
        2 | 3 => {
            let length: [u8; 4] = bytes.get(8..12).and_then(|b| b.try_into().ok()).ok_or_else(cut)?;
            (u32::from_le_bytes(length) as usize, 12)
        }
        version => return Err(format!("has version {version} of NumPy's format; versions 1 to 3 are read")),
    };
    let end = start + length;
    let header = String::from_utf8_lossy(bytes.get(start..end).ok_or_else(cut)?).into_owned();
    let after = |key: &str| -> Result<&str, String> {
        let index = header.find(key).ok_or_else(|| format!("has no {key} in its header"))?;
        Ok(header[index + key.len()..].trim_start_matches([':', ' ']))
    };
    let descr = after("'descr'")?;
    let descr = descr.trim_start_matches('\'').split('\'').next().unwrap_or_default();
    let (order, kind) = descr.split_at(descr.len().min(1));
    if order == ">" {
        return Err(format!("is big-endian ({descr}); save it with .astype(array.dtype.newbyteorder('<'))"));
    }
    if after("'fortran_order'")?.starts_with("True") {
        return Err("is in Fortran order; save numpy.ascontiguousarray(array)".into());
    }
    let shape = after("'shape'")?;
    let shape = shape.trim_start_matches('(').split(')').next().unwrap_or_default();
    let shape: Vec<usize> = shape
        .split(',')
        .map(str::trim)
        .filter(|side| !side.is_empty())
        .map(|side| side.parse().map_err(|_| format!("has a side `{side}`")))
        .collect::<Result<_, _>>()?;
    let values = values(kind, &bytes[end..])?;
    let found = match &values {
        Values::Float(values) => values.len(),
        Values::Integer(values) => values.len(),
    };
    let expected = shape.iter().try_fold(1_usize, |product, side| product.checked_mul(*side));
    if expected != Some(found) {
        return Err(format!("has {found} values for shape {shape:?}: it is cut short or damaged"));
    }
    Ok(Array { shape, values })
}

/// Little-endian numbers of NumPy's kind `f4`, `i8`, ….
fn values(kind: &str, bytes: &[u8]) -> Result<Values, String> {
    fn each<const N: usize, T>(bytes: &[u8], value: impl Fn([u8; N]) -> T) -> Result<Vec<T>, String> {
        if !bytes.len().is_multiple_of(N) {
            return Err("is cut short".into());
        }
        let mut result = Vec::with_capacity(bytes.len() / N);
        let mut rest = Cursor::new(bytes);
        let mut item = [0; N];
        while rest.read_exact(&mut item).is_ok() {
            result.push(value(item));
        }
        Ok(result)
    }
    Ok(match kind {
        "f2" => Values::Float(each(bytes, |b| f16::from_le_bytes(b).to_f32())?),
        "f4" => Values::Float(each(bytes, f32::from_le_bytes)?),
        "f8" => Values::Float(each(bytes, |b| f64::from_le_bytes(b) as f32)?),
        "i1" => Values::Integer(each(bytes, |b| i64::from(i8::from_le_bytes(b)))?),
        "i2" => Values::Integer(each(bytes, |b| i64::from(i16::from_le_bytes(b)))?),
        "i4" => Values::Integer(each(bytes, |b| i64::from(i32::from_le_bytes(b)))?),
        "i8" => Values::Integer(each(bytes, i64::from_le_bytes)?),
        "u1" | "b1" => Values::Integer(each(bytes, |b: [u8; 1]| i64::from(b[0]))?),
        "u2" => Values::Integer(each(bytes, |b| i64::from(u16::from_le_bytes(b)))?),
        "u4" => Values::Integer(each(bytes, |b| i64::from(u32::from_le_bytes(b)))?),
        other => return Err(format!("has type `{other}`; give float16, float32, float64 or whole numbers")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `numpy.save` writes for `descr` and `shape`.
    fn file(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let mut header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
        while !(10 + header.len() + 1).is_multiple_of(64) {
            header.push(' ');
        }
        header.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn numbers_of_every_kind_are_read() {
        let data: Vec<u8> = [1.5_f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let found = npy(&file("<f4", "False", "(1, 2)", &data)).unwrap();
        assert_eq!(found, Array { shape: vec![1, 2], values: Values::Float(vec![1.5, -2.0]) });
        let data: Vec<u8> = [7_i64, -1].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(npy(&file("<i8", "False", "(2,)", &data)).unwrap().integers(), Some(&[7, -1][..]));
        assert_eq!(npy(&file("|u1", "False", "()", &[9])).unwrap().into_floats(), [9.0]);
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (bytes, part) in [
            (b"PK".to_vec(), "not a NumPy array"),
            (file("<f4", "False", "(3,)", &[0; 8]), "2 values"),
            (file("<f4", "False", "(2,)", &[0; 7]), "cut short"),
            (file(">f4", "False", "(1,)", &[0; 4]), "big-endian"),
            (file("<f4", "True", "(1,)", &[0; 4]), "Fortran"),
            (file("|O", "False", "(1,)", &[0; 4]), "type `O`"),
            (file("<f4", "False", "(99999999999999, 99999999999999)", &[]), "0 values"),
            (file("<f4", "False", "(1,)", &[0; 4])[..20].to_vec(), "cut short"),
        ] {
            let error = npy(&bytes).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
