//! What can go wrong with a head.

use std::path::PathBuf;

use longtail_bank::BankError;
use longtail_files::FileError;
use longtail_loss::LossError;

use crate::settings::SettingError;

/// An error of a head's training or file: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The recipe cannot be read.
    #[error("recipe {path}: {reason}")]
    RecipeFile {
        /// The file.
        path: PathBuf,
        /// The parser's reason with its line.
        reason: String,
    },
    /// A value of the recipe is out of range or does not fit another.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A file cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried: `write`, `create`, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A head does not fit a bank or a detector, or its file is damaged.
    #[error("head {path}: {reason}")]
    Head {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// The loss or its gradient became NaN or infinite; the step was not taken and nothing was written.
    #[error(
        "not finite at step {step} of head `{name}`: {quantity} = {value}. Lower the learning rate or lengthen the warm-up"
    )]
    NotFinite {
        /// The head.
        name: String,
        /// The step, from 0.
        step: u64,
        /// `classification` or `gradient norm`.
        quantity: &'static str,
        /// Its value.
        value: f64,
    },
    /// The user asked to stop work that goes on when its command is given again.
    #[error("interrupted after {done} of {total} {what}; what is done stays")]
    Stopped {
        /// What was made.
        what: String,
        /// How much is done.
        done: usize,
        /// How much there is to do.
        total: usize,
    },
    /// Another process works in a folder.
    #[error("{path} is in use by another tuning; wait for it, or choose another --out")]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// A feature bank cannot be used.
    #[error(transparent)]
    Bank(#[from] BankError),
    /// A loss refuses its configuration or input.
    #[error(transparent)]
    Loss(#[from] LossError),
    /// Detections on held-out images cannot be made or scored.
    #[error(transparent)]
    Score(Box<dyn std::error::Error + Send + Sync>),
}

impl HeadError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// Whether the user asked to stop.
    pub fn is_interruption(&self) -> bool {
        matches!(self, Self::Stopped { .. })
    }
}

impl From<FileError> for HeadError {
    fn from(FileError { action, path, source }: FileError) -> Self {
        Self::Io { action, path, source }
    }
}
