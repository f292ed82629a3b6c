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

pub(crate) fn check(
    field: &'static str,
    value: impl std::fmt::Display,
    holds: bool,
    expected: &str,
) -> Result<(), DetectError> {
    if holds {
        return Ok(());
    }
    Err(DetectError::Config { field, reason: format!("is {value}; it must be {expected}") })
}
