//! What can be wrong with a file of weights.

use std::path::PathBuf;

use crate::names::Unread;

/// An error of reading, mapping or writing weights.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file, with what is wrong in it.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<WeightsError>,
    },
    /// Not in a format that is read here.
    #[error("is not a file of weights: {found}. Safetensors, .pth, .pt and detectron2's .pkl are read")]
    UnknownFormat {
        /// What it is or looks like, and what to do.
        found: String,
    },
    /// The pickle asks for something that reaches outside of it.
    #[error(
        "byte {at}: the pickle asks for `{global}`, which runs programs or reaches outside of the file; weights have no \
         use for it, and nothing of it was executed. Do not load the file elsewhere either; get the weights from \
         another source"
    )]
    Refused {
        /// Module and name of what was asked for.
        global: String,
        /// Byte of the pickle.
        at: usize,
    },
    /// The weights lie inside an object of somebody's code.
    #[error(
        "is a whole model as Python pickled it: its weights lie inside {found}, which is made by code of its own; \
         nothing of it was executed. Load it where it was made and save its weights alone: {remedy}"
    )]
    WholeModel {
        /// Class and path of the object.
        found: String,
        /// What to type there.
        remedy: &'static str,
    },
    /// A model that is known and not read.
    #[error("{0}")]
    Unread(Unread),
    /// The pickle is cut short, damaged, or uses what no file of weights needs.
    #[error("byte {at} of the pickle: {reason}")]
    Pickle {
        /// Byte of the pickle.
        at: usize,
        /// What is wrong.
        reason: String,
    },
    /// The container is cut short or damaged.
    #[error("the file is damaged or cut short: {reason}")]
    Damaged {
        /// What is wrong.
        reason: String,
    },
    /// A tensor cannot be used.
    #[error("tensor `{name}`: {reason}")]
    Tensor {
        /// Its name in the file.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

impl WeightsError {
    pub(crate) fn damaged(reason: impl Into<String>) -> Self {
        Self::Damaged { reason: reason.into() }
    }
}
