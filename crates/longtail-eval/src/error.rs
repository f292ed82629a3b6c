//! What can be wrong with the input of an evaluation.

use std::path::PathBuf;

/// An error of reading or scoring detections: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A file cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// Read or write.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A detections file is no JSON list of detections.
    #[error(
        "{path} is no list of detections: {reason}; \
         expected [{{\"image_id\", \"category_id\", \"bbox\": [x, y, width, height], \"score\"}}, …]"
    )]
    Parse {
        /// The file.
        path: PathBuf,
        /// The parser's reason, with line and column.
        reason: String,
    },
    /// A detection cannot be scored.
    #[error("detection {index} (counted from 0): {reason}")]
    Detection {
        /// Place in the list.
        index: usize,
        /// What is wrong with which field.
        reason: String,
    },
    /// The ground truth lacks what the protocol needs, or contradicts itself.
    #[error("ground truth {set}: {reason}")]
    GroundTruth {
        /// The file, or a word for a set made in memory.
        set: String,
        /// What is wrong with which entry.
        reason: String,
    },
    /// A protocol name that does not exist.
    #[error("`{name}` is no protocol; choose lvis or coco")]
    UnknownProtocol {
        /// The name.
        name: String,
    },
}
