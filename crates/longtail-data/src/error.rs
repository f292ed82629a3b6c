//! What can be wrong with training data, and where.

use std::path::PathBuf;

use longtail_formats::FormatError;

/// An error of using data for training: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file of annotations cannot be read, or an image file not be found.
    #[error(transparent)]
    Format(#[from] FormatError),
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
    /// A batch of images was not made, by a mistake of the program.
    #[error(
        "preparing the images {images} failed: {reason}; this is a mistake of the program, please report it with the \
         images, or remove them from the annotation file to go on"
    )]
    Panic {
        /// File names of the images, or the worker.
        images: String,
        /// What the panic said.
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

impl DataError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
