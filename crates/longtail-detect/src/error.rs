//! What can be wrong with a detector's settings or input.

use longtail_loss::LossError;

/// An error of building or running a detector.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DetectError {
    /// A setting is out of range.
    #[error("detector setting `{field}` {reason}")]
    Config {
        /// Key in the recipe.
        field: &'static str,
        /// What is wrong and what is accepted.
        reason: String,
    },
    /// The classification loss refuses its input.
    #[error(transparent)]
    Loss(#[from] LossError),
}
