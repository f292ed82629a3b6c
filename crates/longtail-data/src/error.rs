//! What can be wrong with data, and where.

use std::path::PathBuf;

/// An error of reading or using detection data: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or folder cannot be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// An image file cannot be decoded.
    #[error("cannot decode image {path}: {reason}; re-download it or remove it from the annotation file")]
    Decode {
        /// The file.
        path: PathBuf,
        /// The decoder's reason.
        reason: String,
    },
}
