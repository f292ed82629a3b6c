//! What can go wrong in a run.

use std::path::PathBuf;

use longtail_bank::BankError;
use longtail_data::DataError;
use longtail_detect::DetectError;
use longtail_emoji::EmojiError;
use longtail_eval::EvalError;
use longtail_formats::FormatError;
use longtail_head::{HeadError, SettingError};
use longtail_loss::LossError;
use longtail_run::RunError;
use longtail_weights::WeightsError;

/// An error of training: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
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
    /// The run's folder, log or results cannot be used.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A resumed run would not be the one that was begun.
    #[error(
        "{path} was begun with another recipe; it differs in {}; resume with the same one or choose another --out",
        differences.join(", ")
    )]
    AnotherRecipe {
        /// The recipe of the run folder.
        path: PathBuf,
        /// Keys that differ.
        differences: Vec<String>,
    },
    /// Weights of a file cannot be used.
    #[error("{path}: {reason}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file of weights cannot be read.
    #[error(transparent)]
    WeightFile(#[from] WeightsError),
    /// A checkpoint does not belong to this model, or is damaged.
    #[error("checkpoint {path}: {reason}")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// A loss or the norm of its gradient became NaN or infinite; the step was not taken and nothing was written.
    #[error(
        "not finite at step {step} of stage `{stage}`: {terms}; images {images:?}. \
         Lower the learning rate, lengthen the warm-up, or look at these images with `longtail data check`"
    )]
    NotFinite {
        /// Stage name.
        stage: String,
        /// Iteration within the stage, from 0.
        step: u64,
        /// Loss terms with their values, or the gradient norm.
        terms: String,
        /// Image ids of the batch.
        images: Vec<i64>,
    },
    /// A tensor holds other values than f32.
    #[error("{what} holds {dtype} values, expected f32")]
    Dtype {
        /// Which tensor.
        what: String,
        /// Its type.
        dtype: String,
    },
    /// The user asked to stop; a checkpoint was written.
    #[error("interrupted at step {step} of stage `{stage}`; a checkpoint is written")]
    Interrupted {
        /// Stage name.
        stage: String,
        /// Iterations done in the stage.
        step: u64,
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
    /// A worker thread ended before its work was done.
    #[error(
        "{task}: the worker that prepares images ended after {done} of {total} of a shard; this is a mistake of the \
         program, please report it with the message above"
    )]
    WorkerEnded {
        /// What was made.
        task: String,
        /// Image views that came.
        done: usize,
        /// Image views of the shard.
        total: usize,
    },
    /// A head cannot be trained or does not fit.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// A bank has no proposals of its training images to cross-validate on.
    #[error(
        "{path} is not there: cross-validation makes detections on training images; make the bank with `longtail features \
         extract RUN --training-proposals`, or give the run folder"
    )]
    NoTrainingProposals {
        /// The folder of proposals.
        path: PathBuf,
    },
    /// A feature bank cannot be used.
    #[error(transparent)]
    Bank(#[from] BankError),
    /// The data cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// An annotation file cannot be read or written.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The embedded benchmark cannot be made.
    #[error(transparent)]
    Emoji(#[from] EmojiError),
    /// The detector refuses its configuration or input.
    #[error(transparent)]
    Detect(#[from] DetectError),
    /// A run has no classifier of that name, or none at all yet.
    #[error("run {path} has no classifier `{name}`; it has: {known}")]
    NoClassifier {
        /// The run folder.
        path: PathBuf,
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A loss refuses its configuration or input.
    #[error(transparent)]
    Loss(#[from] LossError),
    /// The evaluator refuses its input.
    #[error(transparent)]
    Eval(#[from] EvalError),
}

impl TrainError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn recipe(field: impl Into<String>, reason: impl Into<String>) -> Self {
        SettingError::new(field, reason).into()
    }

    /// Whether the user asked to stop.
    pub fn is_interruption(&self) -> bool {
        match self {
            Self::Interrupted { .. } | Self::Stopped { .. } => true,
            Self::Head(error) => error.is_interruption(),
            _ => false,
        }
    }
}
