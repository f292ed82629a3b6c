//! What can go wrong when a world is made.

use std::path::PathBuf;

use longtail_formats::FormatError;

/// An error of making or exporting a world.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmojiError {
    /// A setting is out of range.
    #[error("world setting `{field}` is {value}; it must be {expected}")]
    Config {
        /// Key in the recipe, or option of the command.
        field: &'static str,
        /// Its value.
        value: usize,
        /// What is accepted.
        expected: String,
    },
    /// Labels of a hierarchy are chosen where there is none.
    #[error("world setting `labels` needs `layout = \"open-images\"`; LVIS has no tree of classes")]
    LabelsWithoutTree,
    /// The embedded data or artwork is damaged.
    #[error("embedded {what} cannot be used: {reason}")]
    Embedded {
        /// The part.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// The folder to export to holds something already.
    #[error("{path} is not empty; choose a new folder, so that no file of another world remains")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("cannot write {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// An annotation file cannot be written.
    #[error(transparent)]
    Format(#[from] FormatError),
}

impl From<longtail_files::FileError> for EmojiError {
    fn from(error: longtail_files::FileError) -> Self {
        Self::Io { path: error.path, source: error.source }
    }
}
