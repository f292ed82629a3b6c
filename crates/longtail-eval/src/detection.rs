//! Detections and their files.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::error::EvalError;

/// A detection, as in COCO's results format.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// The ground truth's image id.
    pub image_id: i64,
    /// The ground truth's category id.
    pub category_id: i64,
    /// x, y, width, height in pixels of the original image.
    pub bbox: [f64; 4],
    /// Higher is more certain.
    pub score: f64,
}

/// Reads a JSON list of detections; fields besides those of [`Detection`] are ignored.
///
/// # Errors
/// If the file cannot be read or is no such list; the message has line and column.
pub fn read_detections(path: &Path) -> Result<Vec<Detection>, EvalError> {
    let io = |source| EvalError::Io { action: "read", path: path.to_owned(), source };
    let parse = |reason: String| EvalError::Parse { path: path.to_owned(), reason };
    let file = File::open(path).map_err(io)?;
    if file.metadata().map_err(io)?.len() == 0 {
        return Err(parse("the file is empty".into()));
    }
    // SAFETY: the map is read-only and dropped here; a file that shrinks meanwhile is the caller's to avoid.
    let bytes = unsafe { memmap2::Mmap::map(&file) }.map_err(io)?;
    serde_json::from_slice(&bytes).map_err(|error| parse(error.to_string()))
}

/// Writes detections as a JSON list: whole, or not at all.
///
/// # Errors
/// If the file cannot be written.
pub fn write_detections(path: &Path, detections: &[Detection]) -> Result<(), EvalError> {
    let partial = path.with_extension("json.partial");
    let written = File::create(&partial)
        .and_then(|file| {
            let mut writer = BufWriter::new(file);
            serde_json::to_writer(&mut writer, detections)?;
            writer.flush()?;
            writer.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
        })
        .and_then(|()| fs::rename(&partial, path));
    written.map_err(|source| {
        // The message is about the write that failed; a leftover that cannot be removed changes nothing.
        let _ = fs::remove_file(&partial);
        EvalError::Io { action: "write", path: path.to_owned(), source }
    })
}
