//! What can be wrong with data, and where.

use std::path::{Path, PathBuf};

/// An error of reading or using detection data: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
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
    /// An annotation file is no valid COCO or LVIS JSON.
    #[error("{path} is no COCO or LVIS annotation file: {reason}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// The parser's reason, with line and column.
        reason: String,
    },
    /// A row of a table, or a line of another text file, cannot be used.
    #[error("{path}, line {line}: {reason}")]
    Table {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What is wrong with which column.
        reason: String,
    },
    /// A file is no tree of classes.
    #[error("{path} is no class hierarchy: {reason}; expected nodes of LabelName, Subcategory and Part")]
    Hierarchy {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column or the class.
        reason: String,
    },
    /// A row cannot be expanded by a tree of classes.
    #[error("{entry}: {reason}")]
    Expansion {
        /// The row, as `box 17`.
        entry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of a data set breaks the rules of its format.
    #[error("{path}{}: {reason}", line.map_or_else(String::new, |line| format!(", line {line}")))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line from 1, where one is to blame.
        line: Option<u64>,
        /// What is wrong and what is expected.
        reason: String,
    },
    /// Nothing that any reader knows, or a choice is needed.
    #[error("{path}: {reason}")]
    Unrecognised {
        /// File or folder.
        path: PathBuf,
        /// What is missing or has to be chosen.
        reason: String,
    },
    /// A set cannot be written in a format.
    #[error("cannot write {path}: {reason}")]
    Unwritable {
        /// File or folder.
        path: PathBuf,
        /// Which entry the format cannot have, and what to do.
        reason: String,
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
    /// A set without images or classes.
    #[error("{set} has no {what}; there is nothing to train on or to evaluate")]
    Empty {
        /// The file, or a word for a set made in memory.
        set: String,
        /// Images or categories.
        what: &'static str,
    },
    /// An image file cannot be decoded.
    #[error("cannot decode image {path}: {reason}; replace it or remove it from the annotation file")]
    Decode {
        /// The file.
        path: PathBuf,
        /// The decoder's reason.
        reason: String,
    },
    /// An image's header claims more pixels than are allowed; nothing was decoded.
    #[error(
        "image {path} is {width} x {height} pixels by its header, above the limit of {max_pixels}; remove it, or raise \
         `data.max_pixels` if it is what it should be"
    )]
    TooManyPixels {
        /// The file.
        path: PathBuf,
        /// Width in the header.
        width: u32,
        /// Height in the header.
        height: u32,
        /// Most pixels of an image.
        max_pixels: u64,
    },
    /// The pixels have another size than the annotation file says, so that boxes would be wrong.
    #[error(
        "image {path} is {} x {} pixels, its annotation says {} x {}; fix width and height, or the file",
        .found[0], .found[1], .expected[0], .expected[1]
    )]
    SizeMismatch {
        /// The file.
        path: PathBuf,
        /// Width and height of the pixels.
        found: [u32; 2],
        /// Width and height of the annotation.
        expected: [u32; 2],
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

impl From<longtail_files::FileError> for DataError {
    fn from(error: longtail_files::FileError) -> Self {
        Self::Io { action: error.action, path: error.path, source: error.source }
    }
}

impl DataError {
    pub(crate) fn malformed(path: &Path, line: impl Into<Option<u64>>, reason: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), line: line.into(), reason: reason.into() }
    }

    pub(crate) fn unrecognised(path: &Path, reason: impl Into<String>) -> Self {
        Self::Unrecognised { path: path.to_owned(), reason: reason.into() }
    }

    pub(crate) fn unwritable(path: &Path, reason: impl Into<String>) -> Self {
        Self::Unwritable { path: path.to_owned(), reason: reason.into() }
    }

    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
