//! Files of torch before 1.6: five pickles in a row (magic number, version, system, object, keys of storages), then
//! the storages, each as its number of elements and their bytes.
//!
//! Source: `_legacy_save` in torch's `serialization.py`.

use std::sync::Arc;

use crate::{
    collect::collect,
    error::WeightsError,
    file::{Format, WeightFile},
    pickle::{self, Node, Pickle},
    tensor::Bytes,
};

/// The magic number 0x1950a86a20f9469cfc6c as a pickled integer, little-endian.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// Where protocols 2 to 5 put the magic number: after the version, and a frame of nine bytes.
const OFFSETS: [usize; 2] = [2, 11];

/// Whether the file begins with the magic number.
pub(crate) fn is_legacy(bytes: &[u8]) -> bool {
    OFFSETS
        .iter()
        .any(|&at| bytes.get(at..at + 2) == Some(&[0x8a, 10]) && bytes.get(at + 2..at + 12) == Some(&MAGIC))
}

/// Reads the file.
pub(crate) fn parse(bytes: Vec<u8>) -> Result<WeightFile, WeightsError> {
    let file = Arc::new(bytes);
    let magic = pickle::read(&file, 0)?;
    if !matches!(magic.arena.get(magic.root), Node::LongInt(value) if **value == MAGIC) {
        return Err(WeightsError::damaged("the magic number of torch is not where it was"));
    }
    let version = pickle::read(&file, magic.end)?;
    if !matches!(version.arena.get(version.root), Node::Int(1001)) {
        return Err(WeightsError::damaged("the version of the format is not 1001"));
    }
    let system = pickle::read(&file, version.end)?;
    if is_big_endian(&system, &file) {
        return Err(WeightsError::damaged(
            "it was written on a big-endian machine; save it again on another",
        ));
    }
    let object = pickle::read(&file, system.end)?;
    let keys = pickle::read(&file, object.end)?;
    let ranges = storages(&object, &keys, &file)?;
    collect(&object, &file, &ranges, Format::TorchLegacy)
}

fn is_big_endian(system: &Pickle, file: &[u8]) -> bool {
    let Node::Dict(pairs) = system.arena.get(system.root) else { return false };
    pairs.iter().any(|&(key, value)| {
        system.arena.text(key, file) == Some("little_endian")
            && matches!(system.arena.get(value), Node::Bool(false))
    })
}

/// Bytes of the object's storages, in the order of their first use.
fn storages(object: &Pickle, keys: &Pickle, file: &Arc<Vec<u8>>) -> Result<Vec<Bytes>, WeightsError> {
    let listed = keys.arena.items(keys.root);
    let listed = listed.ok_or_else(|| WeightsError::damaged("the list of storages is missing"))?;
    let indices: std::collections::HashMap<&str, usize> =
        object.storages.iter().enumerate().map(|(index, storage)| (storage.key.as_str(), index)).collect();
    let mut found: Vec<Option<Bytes>> = vec![None; object.storages.len()];
    let mut at = keys.end;
    for &key in listed {
        let key = keys.arena.text(key, file).unwrap_or_default();
        let Some(&index) = indices.get(key) else {
            return Err(WeightsError::damaged(format!("storage `{key:.80}` belongs to no tensor")));
        };
        let storage = &object.storages[index];
        let count = file.get(at..at + 8).map(|b| u64::from_le_bytes(std::array::from_fn(|i| b[i])));
        let size = count.filter(|&count| count == storage.elements as u64);
        let size = size.and_then(|_| storage.elements.checked_mul(storage.dtype.size()));
        let end = size.and_then(|size| size.checked_add(at + 8));
        let bytes = end.and_then(|end| Bytes::new(file, at + 8..end));
        let (Some(bytes), Some(end)) = (bytes, end) else {
            let name = &storage.key;
            return Err(WeightsError::damaged(format!("storage `{name:.80}` is not whole at byte {at}")));
        };
        found[index] = Some(bytes);
        at = end;
    }
    found
        .into_iter()
        .zip(&object.storages)
        .map(|(bytes, storage)| {
            bytes.ok_or_else(|| WeightsError::damaged(format!("storage `{:.80}` is missing", storage.key)))
        })
        .collect()
}
