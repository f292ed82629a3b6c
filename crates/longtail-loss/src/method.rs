//! What a loss or a correction is before it is built, and what it says of itself: `longtail explain`, reports
//! and checks of a recipe ask it.

use std::fmt;

use crate::{
    classification::{ClassContext, ClassificationLoss},
    error::LossError,
};

/// A loss as a recipe has it: settings that know what they are in words, and how to build the loss.
///
/// Losses of this crate are the list in [`crate::config`]. A loss of another crate goes into a recipe by
/// [`LossConfig::external`](crate::LossConfig::external).
pub trait LossMethod: fmt::Debug + Send + Sync {
    /// The loss in words.
    fn description(&self) -> Description;

    /// What background does under the loss, in one to four words of a table.
    fn background(&self) -> &'static str;

    /// Whether the loss is convex in the weights of a linear layer, and the same at every step: no running
    /// state, no draws.
    fn is_convex(&self) -> bool {
        false
    }

    /// Builds the loss for the classes of a data set.
    ///
    /// # Errors
    /// If a setting is out of range, or the loss reads counts that are missing or forbidden.
    fn build(&self, context: &ClassContext<'_>) -> Result<Box<dyn ClassificationLoss>, LossError>;
}

/// A method in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// Full name.
    pub name: &'static str,
    /// Where it is from.
    pub source: &'static str,
    /// The loss of a RoI with logits z and true class k; of a correction, the score of class c.
    pub formula: &'static str,
    /// Width K of the head; of a correction, what it takes.
    pub outputs: &'static str,
    /// What it reads.
    pub reads: Statistics,
    /// When to use it.
    pub when: &'static str,
}

/// [`Description::outputs`] of a sigmoid head.
pub(crate) const SIGMOID_OUTPUTS: &str = "C, or C + 1 with a background logit";

/// What a method reads besides logits and labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistics {
    /// Nothing.
    Nothing,
    /// Training images of each class.
    ImageCounts,
    /// Share of the training images that hold each class.
    ImageFrequencies,
    /// Boxes of each class in the training set.
    BoxCounts,
    /// Running sums that it keeps itself, in the checkpoint.
    Online,
}

impl Statistics {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::ImageCounts => "image counts",
            Self::ImageFrequencies => "image frequencies",
            Self::BoxCounts => "box counts",
            Self::Online => "running sums of its own",
        }
    }
}
