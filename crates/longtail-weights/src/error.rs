//! What can be wrong with a file of weights.

use std::path::PathBuf;

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
    /// No format that is read here.
    #[error("is no file of weights: {found}; safetensors, .pth, .pt and detectron2's .pkl are read")]
    UnknownFormat {
        /// What it looks like.
        found: String,
    },
    /// The pickle asks for something that is neither a tensor nor a plain container.
    #[error(
        "byte {at}: the pickle asks for `{global}`, which is neither a tensor nor a plain container; nothing of it was \
         executed. Load it where it was made and save its state dict alone (torch.save(model.state_dict(), ...))"
    )]
    Refused {
        /// Module and name of what was asked for.
        global: String,
        /// Place in the pickle.
        at: usize,
    },
    /// The pickle is cut short, damaged, or uses what no file of weights needs.
    #[error("byte {at} of the pickle: {reason}")]
    Pickle {
        /// Place in the pickle.
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
