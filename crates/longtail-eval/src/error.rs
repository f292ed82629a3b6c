//! What can be wrong with the input of an evaluation.

use std::path::{Path, PathBuf};

use longtail_files::FileError;

use crate::engine::annotations::protocol::{Protocol, UnknownProtocol};

/// An error of reading or scoring detections: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A detections file is not a JSON list of detections.
    #[error(
        "{path} is not a list of detections: {reason}; \
         expected [{{\"image_id\", \"category_id\", \"bbox\": [x, y, width, height], \"score\"}}, …]"
    )]
    Parse {
        /// The file.
        path: PathBuf,
        /// The parser's reason, with line and column.
        reason: String,
    },
    /// A file of detections of another tool breaks the rules of its format.
    #[error("{path}{}: {reason}", if *line > 0 { format!(", line {line}") } else { String::new() })]
    Results {
        /// The file.
        path: PathBuf,
        /// Line from 1; 0 where none is to blame.
        line: u64,
        /// What is wrong and what is expected.
        reason: String,
    },
    /// More detections than memory holds.
    #[error(
        "{path} may need {} GiB of memory for its detections; score a part of the images at a time with --shard and \
         join the parts with --merge", bytes >> 30
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Memory that was asked for.
        bytes: u64,
    },
    /// A Parquet file is not a table of detections.
    #[error(
        "{path} is not a table of detections: {reason}; expected columns image_id, category_id, x, y, w, h, score"
    )]
    Table {
        /// The file.
        path: PathBuf,
        /// What is wrong with which column.
        reason: String,
    },
    /// An annotation file, or tables of Open Images.
    #[error(transparent)]
    Format(#[from] longtail_formats::FormatError),
    /// A detection cannot be scored.
    #[error("detection {index} (counted from 0): {reason}")]
    Detection {
        /// Index in the list.
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
    #[error(transparent)]
    UnknownProtocol(#[from] UnknownProtocol),
    /// A parameter of an evaluation that has no meaning, or that the protocol cannot honour.
    #[error("{name}: {reason}")]
    Parameter {
        /// Which one.
        name: &'static str,
        /// Why, and what to give instead.
        reason: String,
    },
    /// A cap of detections where the protocol has none to choose.
    #[error(
        "the {protocol} protocol has its own cap of detections; lvis takes another an image, coco others an image and \
         class"
    )]
    CapHasNoMeaning {
        /// The protocol.
        protocol: Protocol,
    },
    /// A protocol that caps detections over all images.
    #[error(
        "the {protocol} protocol keeps the best detections of a class over all images, which no part knows; run it whole"
    )]
    NoShards {
        /// The protocol.
        protocol: Protocol,
    },
    /// A file that is not a part of an evaluation.
    #[error("{path}: {reason}")]
    Partial {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Parts that do not make a whole.
    #[error("the parts of the evaluation cannot be joined: {reason}")]
    Parts {
        /// Why.
        reason: String,
    },
    /// A protocol whose metrics are not means over classes.
    #[error("the {protocol} protocol cannot be resampled by class; compare with lvis, lvis-fixed or coco")]
    NoResampling {
        /// The protocol.
        protocol: Protocol,
    },
    /// Evaluations that differ in more than their detections.
    #[error("only two or more evaluations of the same ground truth by the same protocol can be compared")]
    NotComparable,
    /// A weight of boxes around groups that has no meaning.
    #[error("a box around a group cannot have the weight {weight}; give 1, as in the challenge, or 0")]
    GroupOfWeight {
        /// As given.
        weight: f64,
    },
    /// Bounds of bins that do not ascend.
    #[error("bins {bounds:?} do not ascend; give largest image counts, such as 10,100,1000")]
    Bins {
        /// As given.
        bounds: Vec<u64>,
    },
}

impl EvalError {
    /// What was tried with which file, and what the system says.
    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::File(FileError { action, path: path.to_owned(), source })
    }
}
