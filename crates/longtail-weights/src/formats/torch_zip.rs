//! Files of torch 1.6 and later: a zip archive with `<root>/data.pkl` and a storage an entry. A wheel or other
//! archive around a single file of weights is opened too.
//!
//! Source: `_save` in torch's `serialization.py`.

use std::{
    collections::HashMap,
    io::{Cursor, Read},
    ops::Range,
    sync::Arc,
};

use zip::{CompressionMethod, ZipArchive};

use crate::{
    collect::collect,
    error::WeightsError,
    file::{Format, Nesting, WeightFile},
    pickle,
    tensor::Bytes,
};

/// Largest file of weights that is unpacked from a compressed archive.
const MAX_UNPACKED: u64 = 2 << 30;
/// Names of files of weights.
const EXTENSIONS: [&str; 4] = [".pth", ".pt", ".safetensors", ".pkl"];

type Archive<'a> = ZipArchive<Cursor<&'a [u8]>>;

/// Reads the file; one that lay in another archive is not unpacked again.
pub(crate) fn parse(bytes: Vec<u8>, nesting: Nesting) -> Result<WeightFile, WeightsError> {
    let file = Arc::new(bytes);
    let mut archive = ZipArchive::new(Cursor::new(file.as_slice())).map_err(damaged)?;
    let names = archive.file_names().map(|name| name.map(|name| name.into_owned()));
    let names = names.collect::<Result<Vec<String>, _>>().map_err(damaged)?;
    let Some(root) = names.iter().find_map(|name| name.strip_suffix("data.pkl")) else {
        let mut found = names.iter().filter(|name| EXTENSIONS.iter().any(|end| name.ends_with(end)));
        return match (found.next(), found.next(), nesting) {
            (Some(name), None, Nesting::Outermost) => {
                super::parse(unpack(&mut archive, name)?, Nesting::Inside)
            }
            _ => Err(WeightsError::UnknownFormat { found: other_archive(&names).into() }),
        };
    };
    let entries = entries(&mut archive, file.len())?;
    let range = |name: &str| {
        let entry = entries.get(name);
        let entry = entry.ok_or_else(|| WeightsError::damaged(format!("entry `{name:.120}` is missing")))?;
        let bytes = file.get(entry.range.clone()).ok_or_else(|| outside(name))?;
        // Torch can be told to leave the sums out; it writes 0 then.
        if entry.crc32 != 0 && crc32fast::hash(bytes) != entry.crc32 {
            return Err(WeightsError::damaged(format!("entry `{name:.120}` does not have its check sum")));
        }
        Ok(entry.range.clone())
    };
    if entries.contains_key(&format!("{root}byteorder"))
        && file[range(&format!("{root}byteorder"))?].starts_with(b"big")
    {
        return Err(WeightsError::damaged(
            "it was written on a big-endian machine; save it again on another",
        ));
    }
    let pickled = Arc::new(file[range(&format!("{root}data.pkl"))?].to_vec());
    let pickle = pickle::read(&pickled, 0)?;
    let storages = pickle.storages.iter().map(|storage| {
        let name = format!("{root}data/{}", storage.key);
        let range = range(&name)?;
        let expected = storage.elements.checked_mul(storage.dtype.size());
        if expected.is_none_or(|expected| expected > range.len()) {
            let (found, wanted) = (range.len(), storage.elements);
            let reason = format!("entry `{name:.120}` has {found} bytes, too few for {wanted} elements");
            return Err(WeightsError::damaged(reason));
        }
        Bytes::new(&file, range).ok_or_else(|| outside(&name))
    });
    let storages = storages.collect::<Result<Vec<_>, _>>()?;
    collect(&pickle, &pickled, &storages, Format::TorchZip)
}

/// What an archive without a pickle of torch is.
fn other_archive(names: &[String]) -> &'static str {
    let any = |end: &str| names.iter().any(|name| name.ends_with(end));
    if !names.is_empty() && names.iter().all(|name| name.ends_with(".npy")) {
        "it is an archive of numpy arrays (.npz); save them as safetensors"
    } else if any("model.weights.h5") || any("keras_metadata.pb") {
        "it is a model of Keras; export its weights as safetensors"
    } else if any("serialized_exported_program.json") || any("archive_format") {
        "it is a program of torch.export, without the names of a checkpoint; take the checkpoint it was exported from"
    } else if any("model.json") && any("attributes.pkl") {
        "it is TorchScript of torch 1.0 to 1.3; torch.save(torch.jit.load(path).state_dict(), ...) where it was made"
    } else {
        "it is a zip archive without data.pkl and without a single file of weights"
    }
}

/// Where an entry lies.
struct Entry {
    range: Range<usize>,
    crc32: u32,
}

/// Where the entries' bytes lie. Torch never compresses.
fn entries(archive: &mut Archive<'_>, length: usize) -> Result<HashMap<String, Entry>, WeightsError> {
    let mut entries = HashMap::new();
    let mut total = 0_u64;
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(damaged)?;
        let name = entry.name().map_err(damaged)?.into_owned();
        if entry.compression() != CompressionMethod::Stored || entry.encrypted() {
            let reason = format!("entry `{name:.120}` is compressed or encrypted, which torch never does");
            return Err(WeightsError::damaged(reason));
        }
        let start = entry.data_start().ok_or_else(|| outside(&name))?;
        let end = start.checked_add(entry.size()).ok_or_else(|| outside(&name))?;
        let (Ok(start), Ok(end)) = (usize::try_from(start), usize::try_from(end)) else {
            return Err(outside(&name));
        };
        total = total.saturating_add(entry.size());
        if total > length as u64 {
            return Err(WeightsError::damaged("its entries lie over each other"));
        }
        let found = Entry { range: start..end, crc32: entry.crc32() };
        if entries.insert(name.clone(), found).is_some() {
            return Err(WeightsError::damaged(format!("entry `{name:.120}` is there twice")));
        }
    }
    Ok(entries)
}

/// The bytes of an entry.
fn unpack(archive: &mut Archive<'_>, name: &str) -> Result<Vec<u8>, WeightsError> {
    let entry = archive.by_name(name).map_err(damaged)?;
    let mut bytes = Vec::new();
    let io = |e: std::io::Error| WeightsError::damaged(format!("entry `{name:.120}`: {e}"));
    entry.take(MAX_UNPACKED + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_UNPACKED {
        return Err(WeightsError::damaged(format!("entry `{name:.120}` unpacks to more than 2 GiB")));
    }
    Ok(bytes)
}

fn damaged(error: zip::result::ZipError) -> WeightsError {
    WeightsError::damaged(error.to_string())
}

fn outside(name: &str) -> WeightsError {
    WeightsError::damaged(format!("entry `{name:.120}` lies outside the file"))
}
