//! What can go wrong with a run's folder.

use std::path::PathBuf;

use longtail_files::FileError;

/// An error of a run's folder: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A file of the run cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried: `write`, `create`, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Another process works in the run folder.
    #[error("run folder {path} is locked by another run; wait for it to end or choose another --out")]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds a run already.
    #[error("run folder {path} already holds a run; continue it with --resume or choose another --out")]
    RunExists {
        /// The folder.
        path: PathBuf,
    },
    /// There is nothing to resume.
    #[error("{path} holds no checkpoint to resume from; start the run without --resume")]
    NothingToResume {
        /// The folder.
        path: PathBuf,
    },
    /// The results cannot be read.
    #[error(
        "{path} is not a results file of this program: {reason}; put back a copy of it, or begin another run"
    )]
    Results {
        /// The file.
        path: PathBuf,
        /// The parser's reason.
        reason: String,
    },
    /// A line of the log cannot be read.
    #[error(
        "line {line} of {path} cannot be read: {reason}; remove the line, or put back a copy of the file"
    )]
    LogLine {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The parser's reason.
        reason: String,
    },
    /// A value is not finite, and JSON has no word for it.
    #[error("cannot write {path}: {reason}")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What cannot be written.
        reason: String,
    },
}

impl RunError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

impl From<FileError> for RunError {
    fn from(FileError { action, path, source }: FileError) -> Self {
        Self::Io { action, path, source }
    }
}
