//! What a file of detections is, by its first bytes.

use std::{
    fs::File,
    io::{BufReader, Read, Seek},
    path::Path,
};

use crate::error::EvalError;

/// What a Parquet table starts with.
const PARQUET: &[u8] = b"PAR1";

/// Refuses pipes and devices: what is unusual in a file is found by reading it again.
pub(super) fn whole_file(path: &Path) -> Result<(), EvalError> {
    // What does not exist, and folders, are for the system to name.
    if path.metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
        let source = std::io::Error::other("it is a pipe or a device; write it to a file first");
        return Err(EvalError::io("read", path, source));
    }
    Ok(())
}

/// Whether a file is a Parquet table.
pub(super) fn is_parquet(path: &Path) -> Result<bool, EvalError> {
    let mut magic = Vec::new();
    File::open(path)
        .and_then(|file| file.take(PARQUET.len() as u64).read_to_end(&mut magic))
        .map_err(|source| EvalError::io("read", path, source))?;
    Ok(magic == PARQUET)
}

/// Opens a file and unpacks what its first bytes say is compressed.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read + Send>, EvalError> {
    let io = |source| EvalError::io("read", path, source);
    let mut file = File::open(path).map_err(io)?;
    let mut magic = Vec::new();
    file.by_ref().take(4).read_to_end(&mut magic).map_err(io)?;
    file.rewind().map_err(io)?;
    Ok(match magic.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(file))),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::Decoder::new(file).map_err(io)?),
        _ => Box::new(file),
    })
}
