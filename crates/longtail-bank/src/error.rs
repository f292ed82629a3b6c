//! What can go wrong with a bank.

use std::path::PathBuf;

use longtail_files::FileError;

/// An error of writing, reading or importing a bank: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BankError {
    /// A file cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried: `write`, `read`, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The folder holds no bank.
    #[error(
        "{path} is not a feature bank: it has no `bank.json`; make one with `longtail features extract` or `import`"
    )]
    NoBank {
        /// The folder.
        path: PathBuf,
    },
    /// The header cannot be used.
    #[error("{path}: {reason}")]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The bank was not finished.
    #[error(
        "{path} is not finished: {done} of {shards} shards are written; run the command that began it again, it goes on there"
    )]
    Unfinished {
        /// The folder.
        path: PathBuf,
        /// Shards that are whole.
        done: usize,
        /// Shards it shall have.
        shards: usize,
    },
    /// A finished bank is there already.
    #[error("{path} holds a finished bank already; choose another --out or remove it")]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// A bank was begun with other settings.
    #[error(
        "{path} was begun with other settings; they differ in {}; use the same ones or choose another --out",
        differences.join(", ")
    )]
    OtherSettings {
        /// The folder.
        path: PathBuf,
        /// Fields that differ.
        differences: Vec<String>,
    },
    /// Another process writes the bank.
    #[error("{path} is being written by another process; wait for it to end or choose another --out")]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// A shard is not what was written.
    #[error("shard {path} {reason}; make the bank again, or take an undamaged copy")]
    Shard {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A feature or another value is not a number.
    #[error(
        "{what} of image {image_id}, RoI {row}, is {value}; the detector's weights or its input are not finite"
    )]
    NotFinite {
        /// Which array.
        what: &'static str,
        /// The image.
        image_id: i64,
        /// RoI within the image.
        row: usize,
        /// The value.
        value: f32,
    },
    /// A feature is too large for the precision.
    #[error(
        "feature {column} of image {image_id}, RoI {row}, is {value}: beyond the 65,504 of float16; use --precision f32"
    )]
    Overflow {
        /// The image.
        image_id: i64,
        /// RoI within the image.
        row: usize,
        /// Place in the feature vector.
        column: usize,
        /// The value.
        value: f32,
    },
    /// A label is not a class.
    #[error(
        "RoI {row} of image {image_id} has label {label}, but the bank has {classes} classes: labels are 0 for background and \
         1 to {classes}"
    )]
    Label {
        /// The image.
        image_id: i64,
        /// RoI within the image.
        row: usize,
        /// The label.
        label: u32,
        /// Number of classes.
        classes: usize,
    },
    /// Arrays of an image do not fit together.
    #[error("image {image_id}: {array} has {found} values, expected {expected}")]
    Length {
        /// The image.
        image_id: i64,
        /// Which array.
        array: &'static str,
        /// Values found.
        found: usize,
        /// Values expected.
        expected: usize,
    },
    /// The disk has no room.
    #[error(
        "the bank needs about {} at {path}, {} are free; free some, choose fewer views, a smaller --background or --precision \
         int8, or another --out",
        crate::disk::size(*needed), crate::disk::size(*free)
    )]
    DiskFull {
        /// Where.
        path: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// An array file cannot be used.
    #[error("{path}: {reason}")]
    Array {
        /// The file.
        path: PathBuf,
        /// What is wrong and what is accepted.
        reason: String,
    },
}

impl BankError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn shard(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Shard { path: path.into(), reason: reason.into() }
    }
}

impl From<FileError> for BankError {
    fn from(FileError { action, path, source }: FileError) -> Self {
        Self::Io { action, path, source }
    }
}
