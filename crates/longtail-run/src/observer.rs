//! What a run tells whoever watches it. The library prints nothing itself.

use crate::metrics::{EvaluationRecord, StepRecord};

/// Something that happened in a run.
#[derive(Debug)]
pub enum Event<'a> {
    /// Work outside the training steps went on: drawing the world, evaluating.
    Progress {
        /// What is being done, in a few words.
        task: &'a str,
        /// Units done.
        done: u64,
        /// Units in all.
        total: u64,
    },
    /// A training step ended.
    Step {
        /// Stage name.
        stage: &'a str,
        /// Index of the stage.
        stage_index: usize,
        /// Number of stages.
        stages: usize,
        /// Iterations done.
        done: u64,
        /// Iterations of the stage.
        total: u64,
        /// Sum of the loss terms; of the first classifier in a classifier stage.
        loss: f64,
    },
    /// A line was added to `metrics.jsonl`.
    Logged(&'a StepRecord),
    /// An evaluation ended.
    Evaluated(&'a EvaluationRecord),
    /// A sentence worth reading.
    Note(&'a str),
}

/// Watches a run and may ask it to stop.
pub trait Observer {
    /// Takes note of an event.
    fn observe(&mut self, event: Event<'_>);

    /// Whether the run shall write a checkpoint and end after the current step.
    fn stop_requested(&self) -> bool {
        false
    }
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn observe(&mut self, _event: Event<'_>) {}
}
