//! What a loss is told about the sampled RoIs of a step.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::LossError;

/// Key of the random draws of a step: the same key draws the same, on any number of threads and after a resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DrawKey {
    /// Seed of the run or stage.
    pub seed: u64,
    /// Step.
    pub step: u64,
}

/// What the sum over RoIs is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Normalizer {
    /// RoIs that are not ignored.
    #[default]
    Rois,
    /// Foreground RoIs, at least 1: for dense predictors, most of whose places are background.
    Positives,
    /// A number.
    Constant(f64),
}

/// How the losses of the RoIs become one number: `weight · Σ w_n L_n / normalizer`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reduction {
    /// Weight of the whole loss.
    pub weight: f64,
    /// The divisor.
    pub normalizer: Normalizer,
}

impl Default for Reduction {
    fn default() -> Self {
        Self { weight: 1.0, normalizer: Normalizer::Rois }
    }
}

impl Reduction {
    /// Checks the settings.
    ///
    /// # Errors
    /// If the weight is negative, or a constant divisor not positive.
    pub fn validate(&self) -> Result<(), LossError> {
        if !(self.weight.is_finite() && self.weight >= 0.0) {
            let expected = "a number of at least 0";
            return Err(LossError::Setting { field: "weight", value: self.weight, expected });
        }
        match self.normalizer {
            Normalizer::Constant(value) if !(value.is_finite() && value > 0.0) => {
                Err(LossError::Setting { field: "normalizer", value, expected: "a number above 0" })
            }
            _ => Ok(()),
        }
    }
}

/// Labels and weights of the sampled RoIs: label 0 is background, `c + 1` the class `c`.
#[derive(Debug, Clone, PartialEq)]
pub struct RoiTargets {
    labels: Vec<u32>,
    /// One a RoI; 0 for those ignored. Empty: all 1.
    weights: Vec<f32>,
    ignored: usize,
    num_classes: usize,
    draw: DrawKey,
    reduction: Reduction,
}

impl RoiTargets {
    /// Targets of RoIs over `num_classes` foreground classes, all of weight 1, averaged over RoIs.
    ///
    /// # Errors
    /// If a label is above `num_classes`.
    pub fn new(labels: &[u32], num_classes: usize, draw: DrawKey) -> Result<Self, LossError> {
        if let Some((row, &label)) = labels.iter().enumerate().find(|(_, l)| **l as usize > num_classes) {
            return Err(LossError::Label { row, label, num_classes });
        }
        let (weights, reduction) = (Vec::new(), Reduction::default());
        Ok(Self { labels: labels.to_vec(), weights, ignored: 0, num_classes, draw, reduction })
    }

    /// With a weight for each RoI. A RoI of weight 0 still counts in the divisor.
    ///
    /// # Errors
    /// If there is not one finite weight of at least 0 a RoI.
    pub fn with_weights(mut self, weights: &[f32]) -> Result<Self, LossError> {
        if weights.len() != self.labels.len() {
            return Err(LossError::WeightsLength { found: weights.len(), expected: self.labels.len() });
        }
        if let Some(&bad) = weights.iter().find(|w| !(w.is_finite() && **w >= 0.0)) {
            let expected = "finite and at least 0";
            return Err(LossError::Setting { field: "RoI weight", value: f64::from(bad), expected });
        }
        self.weights = weights.to_vec();
        Ok(self)
    }

    /// Leaves RoIs out of the loss, its divisor and all statistics.
    ///
    /// # Errors
    /// If there is not one flag a RoI.
    pub fn ignoring(mut self, ignored: &[bool]) -> Result<Self, LossError> {
        if ignored.len() != self.labels.len() {
            return Err(LossError::WeightsLength { found: ignored.len(), expected: self.labels.len() });
        }
        if self.weights.is_empty() {
            self.weights = vec![1.0; self.labels.len()];
        }
        for (weight, _) in self.weights.iter_mut().zip(ignored).filter(|(_, ignored)| **ignored) {
            // Not a number: no weight that a caller can give.
            *weight = f32::NAN;
        }
        self.ignored = ignored.iter().filter(|i| **i).count();
        Ok(self)
    }

    /// With another reduction.
    pub fn with_reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// Labels, 0 for background.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Number of RoIs N, ignored ones too.
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

    /// Weight of a RoI, 0 if it is ignored.
    pub fn weight(&self, row: usize) -> f32 {
        if self.is_ignored(row) { 0.0 } else { self.weights.get(row).copied().unwrap_or(1.0) }
    }

    /// Whether a RoI takes no part.
    pub fn is_ignored(&self, row: usize) -> bool {
        self.weights.get(row).is_some_and(|w| w.is_nan())
    }

    /// Weight of the whole loss.
    pub fn loss_weight(&self) -> f64 {
        self.reduction.weight
    }

    /// What the weighted sum over RoIs is divided by; at least 1 unless it is a given constant.
    pub fn normalizer(&self) -> f64 {
        match self.reduction.normalizer {
            Normalizer::Rois => (self.len() - self.ignored).max(1) as f64,
            Normalizer::Positives => {
                let positive = |&n: &usize| self.labels[n] > 0 && !self.is_ignored(n);
                (0..self.len()).filter(positive).count().max(1) as f64
            }
            Normalizer::Constant(value) => value,
        }
    }

    /// Factor of each RoI's loss in the whole: `weight · w_n / normalizer`.
    pub fn scales(&self) -> Vec<f32> {
        let common = self.loss_weight() / self.normalizer();
        (0..self.len()).map(|row| (common * f64::from(self.weight(row))) as f32).collect()
    }

    /// Places of the background RoIs that are not ignored.
    pub fn background(&self) -> Vec<usize> {
        (0..self.len()).filter(|&n| self.labels[n] == 0 && !self.is_ignored(n)).collect()
    }

    /// Refuses logits that are not finite or not `[N, outputs]`.
    pub(crate) fn check(&self, logits: &[f32], outputs: usize) -> Result<(), LossError> {
        if logits.len() != self.len() * outputs {
            return Err(LossError::LogitsLength { found: logits.len(), rows: self.len(), outputs });
        }
        // 0 · z is 0, or NaN where z is infinite or NaN.
        if crate::numerics::vectorised(|| crate::numerics::sum_of(logits, |z| z * 0.0)) != 0.0 {
            let bad = logits.iter().position(|z| !z.is_finite());
            if let Some(place) = bad {
                let (row, column) = (place / outputs, place % outputs);
                return Err(LossError::NotFinite { row, column, value: logits[place] });
            }
        }
        Ok(())
    }
}
