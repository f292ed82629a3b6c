//! What a loss is told about the sampled RoIs of a step.

use crate::error::LossError;

/// Key of the random draws of a step: the same key draws the same, on any number of threads and after a resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DrawKey {
    /// Seed of the run or stage.
    pub seed: u64,
    /// Step.
    pub step: u64,
}

/// Labels of the sampled RoIs: 0 is background, `c + 1` the class `c`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoiTargets {
    labels: Vec<u32>,
    num_classes: usize,
    draw: DrawKey,
}

impl RoiTargets {
    /// Targets of RoIs over `num_classes` foreground classes.
    ///
    /// # Panics
    /// If a label is above `num_classes`: labels come from a matcher over the same classes.
    pub fn new(labels: &[u32], num_classes: usize, draw: DrawKey) -> Self {
        assert!(labels.iter().all(|&l| l as usize <= num_classes), "a label exceeds {num_classes} classes");
        Self { labels: labels.to_vec(), num_classes, draw }
    }

    /// Labels, 0 for background.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Number of RoIs N.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no RoI.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Number of foreground classes C.
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// Key of the step's draws.
    pub fn draw(&self) -> DrawKey {
        self.draw
    }

    /// Places of the background RoIs.
    pub fn background(&self) -> Vec<usize> {
        (0..self.len()).filter(|&n| self.labels[n] == 0).collect()
    }

    pub(crate) fn check(&self, logits: [usize; 2], outputs: usize) -> Result<(), LossError> {
        let expected = [self.len(), outputs];
        if logits == expected { Ok(()) } else { Err(LossError::Shape { found: logits, expected }) }
    }
}
