//! What a loss carries from step to step, and who shares a step.

use serde::{Deserialize, Serialize};

/// Running statistics of a loss: a value that the training loop carries and keeps in its checkpoints. Every
/// worker of a data-parallel run holds the same one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum LossState {
    /// None yet, or the loss keeps none.
    #[default]
    Stateless,
    /// Sums of positive and negative gradients by class, `[C]` each (`eql-v2`,
    /// `equalized-focal`).
    GradientSums {
        /// Of positives.
        positive: Vec<f64>,
        /// Of negatives.
        negative: Vec<f64>,
    },
    /// Foreground RoIs seen of each class, `[C]` (`seesaw`).
    SampleCounts {
        /// Counts.
        counts: Vec<f64>,
    },
}

/// The workers of a data-parallel step.
pub trait Workers: Sync {
    /// Replaces `values` by their sum over all workers; every worker calls it the same number of times.
    fn sum(&self, values: &mut [f64]);
}

/// A run with one worker.
#[derive(Debug, Clone, Copy)]
pub struct SingleWorker;

impl Workers for SingleWorker {
    fn sum(&self, _values: &mut [f64]) {}
}
