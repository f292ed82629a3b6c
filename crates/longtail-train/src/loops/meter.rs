//! Averages the measurements of training steps between two lines of the log.

use std::{collections::BTreeMap, time::Duration};

use longtail_annotations::FrequencyGroup;
use longtail_loss::KeptNegatives;
use longtail_run::metrics::{Record, StepRecord, StepTime, kept_by_group, resident_memory_mib};

/// Sums since the last line.
#[derive(Debug)]
pub(crate) struct Meter {
    stage_index: usize,
    stage: String,
    /// Of each class.
    groups: Vec<FrequencyGroup>,
    steps: u64,
    images: usize,
    seconds: StepTime,
    losses: BTreeMap<String, f64>,
    gradient_norm: BTreeMap<String, f64>,
    kept: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Meter {
    pub(crate) fn new(stage_index: usize, stage: &str, groups: Vec<FrequencyGroup>) -> Self {
        Self {
            stage_index,
            stage: stage.to_owned(),
            groups,
            steps: 0,
            images: 0,
            seconds: StepTime::default(),
            losses: BTreeMap::new(),
            gradient_norm: BTreeMap::new(),
            kept: BTreeMap::new(),
        }
    }

    /// Takes in a step: its images, how long it took, how long it waited for data and worked on the host.
    pub(crate) fn step(&mut self, images: usize, total: Duration, data: Duration, host: Duration) {
        self.steps += 1;
        self.images += images;
        self.seconds.total += total.as_secs_f64();
        self.seconds.data += data.as_secs_f64();
        self.seconds.host += host.as_secs_f64();
    }

    /// Takes in what a step gave: loss terms, of which the mean is logged; gradient norms and negatives kept by a
    /// classifier, of which the last are.
    pub(crate) fn values(
        &mut self,
        losses: Vec<(String, f64)>,
        gradient_norms: Vec<(String, f64)>,
        kept: &[(String, KeptNegatives)],
    ) {
        for (name, value) in losses {
            *self.losses.entry(name).or_default() += value;
        }
        self.gradient_norm.extend(gradient_norms);
        let shares = kept.iter().map(|(name, kept)| (name.clone(), kept_by_group(kept, &self.groups)));
        self.kept.extend(shares);
    }

    /// The line for the log; starts over.
    pub(crate) fn record(&mut self, iteration: u64, learning_rate: f64) -> Record {
        let fresh = Self::new(self.stage_index, &self.stage, self.groups.clone());
        let done = std::mem::replace(self, fresh);
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
