//! What can be wrong with a loss's settings or input.

/// An error of building or applying a loss.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum LossError {
    /// A setting is out of range.
    #[error("loss setting `{field}` is {value}; it must be {expected}")]
    Setting {
        /// Name of the setting.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What is accepted.
        expected: &'static str,
    },
    /// The loss reads class counts and got none.
    #[error("{loss} needs the training image count of every class; give it the counts of the training set")]
    MissingCounts {
        /// The loss.
        loss: &'static str,
    },
    /// The counts are not one a class.
    #[error("got {found} class counts for {expected} classes")]
    CountsLength {
        /// Number of counts.
        found: usize,
        /// Number of classes.
        expected: usize,
    },
    /// The logits do not fit the targets.
    #[error("logits have shape {found:?}, the targets need {expected:?}")]
    Shape {
        /// Shape of the logits.
        found: [usize; 2],
        /// Shape that fits.
        expected: [usize; 2],
    },
}
