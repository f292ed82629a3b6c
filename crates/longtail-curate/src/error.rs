//! What can go wrong when data sets are checked, repaired, or made from others.

use std::path::PathBuf;

use longtail_data::DataError;
use longtail_formats::FormatError;

/// An error of curation: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CurateError {
    /// An annotation file cannot be read or written.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// An image cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file or folder cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried: read, write, …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// An entry of an annotation set cannot be used.
    #[error("{set}: {entry}: {reason}; run `longtail data check` for all findings")]
    Entry {
        /// The file, or a word for a set made in memory.
        set: String,
        /// The entry, as `annotation 17`.
        entry: String,
        /// What is wrong with which field.
        reason: String,
    },
    /// An annotation file cannot be repaired.
    #[error("cannot repair {path}: {reason}")]
    Fix {
        /// The file.
        path: PathBuf,
        /// What is in the way.
        reason: String,
    },
    /// A setting is out of range.
    #[error("data setting `{field}` {reason}")]
    Setting {
        /// Key in the recipe.
        field: &'static str,
        /// What is wrong and what is accepted.
        reason: String,
    },
}

impl From<longtail_files::FileError> for CurateError {
    fn from(error: longtail_files::FileError) -> Self {
        Self::Io { action: error.action, path: error.path, source: error.source }
    }
}

impl CurateError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
