//! What can be wrong with annotation files, and where.

use std::path::{Path, PathBuf};

/// An error of reading or writing annotation files: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
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
    /// An annotation file is not valid COCO or LVIS JSON.
    #[error("{path} is not a COCO or LVIS annotation file: {reason}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the entry.
        reason: String,
    },
    /// An entry, line or file of a data set cannot be read.
    #[error(
        "{set}: {first}{}; `longtail data check` lists everything",
        if *others > 0 { format!(" ({others} more cannot be read)") } else { String::new() }
    )]
    Unreadable {
        /// The data set.
        set: PathBuf,
        /// The first: where, and what is wrong.
        first: String,
        /// How many more there are.
        others: usize,
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
    /// A file is not a tree of classes.
    #[error("{path} is not a class hierarchy: {reason}; expected nodes of LabelName, Subcategory and Part")]
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
    /// The size of an image file cannot be read from its header.
    #[error(
        "cannot read the size of image {path}: {reason}; replace it or remove it from the annotation file"
    )]
    ImageHeader {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl From<longtail_files::FileError> for FormatError {
    fn from(error: longtail_files::FileError) -> Self {
        Self::Io { action: error.action, path: error.path, source: error.source }
    }
}

impl FormatError {
    /// Something is wrong with a file of a data set, at a line from 1 where one is to blame.
    pub fn malformed(path: &Path, line: impl Into<Option<u64>>, reason: impl Into<String>) -> Self {
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
