//! What can go wrong in a run.

use std::path::PathBuf;

use longtail_bank::BankError;
use longtail_data::DataError;
use longtail_detect::DetectError;
use longtail_emoji::EmojiError;
use longtail_eval::EvalError;
use longtail_loss::LossError;
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
    #[error("recipe: `{field}` {reason}")]
    Recipe {
        /// Dotted key, such as `stages.0.optimizer.learning_rate`.
        field: String,
        /// What is wrong and what is accepted.
        reason: String,
    },
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
    /// A loss became NaN or infinite.
    #[error(
        "non-finite loss at step {step} of stage `{stage}`: {terms}; images {images:?}. \
         Lower the learning rate, lengthen the warm-up, or look at these images with `longtail data check`"
    )]
    NonFiniteLoss {
        /// Stage name.
        stage: String,
        /// Iteration within the stage, from 0.
        step: u64,
        /// Every loss term with its value.
        terms: String,
        /// Image ids of the batch.
        images: Vec<i64>,
    },
    /// The user asked to stop; a checkpoint was written.
    #[error("interrupted at step {step} of stage `{stage}`; continue with --resume")]
    Interrupted {
        /// Stage name.
        stage: String,
        /// Iterations done in the stage.
        step: u64,
    },
    /// The user asked to stop work that goes on when its command is given again.
    #[error("interrupted after {done} of {total} {what}; give the same command again and it goes on there")]
    Stopped {
        /// What was made.
        what: String,
        /// How much is done.
        done: usize,
        /// How much there is to do.
        total: usize,
    },
    /// A head does not fit a bank or a detector, or its file is damaged.
    #[error("head {path}: {reason}")]
    Head {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// A feature bank cannot be used.
    #[error(transparent)]
    Bank(#[from] BankError),
    /// The data cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
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
        Self::Recipe { field: field.into(), reason: reason.into() }
    }
}
