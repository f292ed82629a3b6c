//! Averages the measurements of training steps between two lines of the log.

use std::{collections::BTreeMap, time::Duration};

use crate::metrics::{Record, StepRecord, StepTime, resident_memory_mib};

/// Sums since the last line.
#[derive(Debug)]
pub(crate) struct Meter {
    stage_index: usize,
    stage: String,
    steps: u64,
    images: usize,
    seconds: StepTime,
    losses: BTreeMap<String, f64>,
    gradient_norm: BTreeMap<String, f64>,
    kept: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Meter {
    pub(crate) fn new(stage_index: usize, stage: &str) -> Self {
        Self {
            stage_index,
            stage: stage.to_owned(),
            steps: 0,
            images: 0,
            seconds: StepTime::default(),
            losses: BTreeMap::new(),
            gradient_norm: BTreeMap::new(),
            kept: BTreeMap::new(),
        }
    }

    /// Takes in a step: its images, how long it took, how long it waited for data and worked on the host, and its
    /// loss terms.
    pub(crate) fn step(
        &mut self,
        images: usize,
        total: Duration,
        data: Duration,
        host: Duration,
        losses: Vec<(String, f64)>,
    ) {
        self.steps += 1;
        self.images += images;
        self.seconds.total += total.as_secs_f64();
        self.seconds.data += data.as_secs_f64();
        self.seconds.host += host.as_secs_f64();
        for (name, value) in losses {
            *self.losses.entry(name).or_default() += value;
        }
    }

    /// Takes in the gradient norm of the last step.
    pub(crate) fn gradient_norm(&mut self, name: &str, norm: f64) {
        self.gradient_norm.insert(name.to_owned(), norm);
    }

    /// Takes in the share of negatives that a classifier kept in this step.
    pub(crate) fn kept(&mut self, classifier: &str, shares: BTreeMap<String, f64>) {
        self.kept.insert(classifier.to_owned(), shares);
    }

    /// The line for the log; starts over.
    pub(crate) fn record(&mut self, iteration: u64, learning_rate: f64) -> Record {
        let done = std::mem::replace(self, Self::new(self.stage_index, &self.stage));
        let mean = |sum: f64| sum / done.steps.max(1) as f64;
        Record::Step(StepRecord {
            stage_index: done.stage_index,
            stage: done.stage,
            iteration,
            learning_rate,
            images_per_second: done.images as f64 / done.seconds.total.max(1e-9),
            memory_mib: resident_memory_mib(),
            device_memory_mib: None,
            seconds: StepTime {
                total: mean(done.seconds.total),
                data: mean(done.seconds.data),
                host: mean(done.seconds.host),
            },
            gradient_norm: done.gradient_norm,
            losses: done.losses.into_iter().map(|(name, sum)| (name, mean(sum))).collect(),
            kept_negatives: done.kept,
        })
    }
}
