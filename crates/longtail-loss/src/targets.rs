//! What a loss is told about the sampled RoIs of a step.

pub use longtail_draw::DrawKey;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::LossError;

/// Logit of a column that takes no part: its exponential vanishes, and it is finite.
const HIDDEN: f32 = -1.0e4;

/// What a column of the head's output is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Background.
    Background,
    /// Any foreground class.
    Foreground,
    /// Everything outside a group of classes.
    Others(usize),
    /// A class.
    Class(usize),
}

/// What the sum over RoIs is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Normalizer {
    /// RoIs that are not ignored.
    #[default]
    Rois,
    /// Foreground RoIs, at least 1: for dense predictors, which see background almost everywhere.
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
    /// RoI and label, by RoI.
    other_labels: Vec<(usize, u32)>,
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
        let (weights, other_labels, reduction) = (Vec::new(), Vec::new(), Reduction::default());
        Ok(Self { labels: labels.to_vec(), weights, other_labels, ignored: 0, num_classes, draw, reduction })
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

    /// With labels that hold for a RoI beside its own, as pairs of RoI and label: the classes above or below
    /// in a hierarchy, of which one was drawn. In that RoI they are neither positives nor negatives: no
    /// softmax sums over their columns, no sigmoid pushes them down, and no running statistic counts them.
    ///
    /// # Errors
    /// If a pair names a RoI that does not exist, or its label is background, above C or the RoI's own.
    pub fn with_other_labels(mut self, others: &[(usize, u32)]) -> Result<Self, LossError> {
        for &(row, label) in others {
            let own = self.labels.get(row).copied();
            if own.is_none() || own == Some(label) || label == 0 || label as usize > self.num_classes {
                return Err(LossError::OtherLabel { row, label, own });
            }
        }
        self.other_labels = others.to_vec();
        self.other_labels.sort_unstable();
        self.other_labels.dedup();
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

    /// Pairs of RoI and label, by RoI: labels that hold for a RoI beside its own.
    pub fn other_labels(&self) -> &[(usize, u32)] {
        &self.other_labels
    }

    /// Labels that hold for a RoI beside its own.
    pub fn other_labels_of(&self, row: usize) -> impl Iterator<Item = u32> + '_ {
        let first = self.other_labels.partition_point(|(other, _)| *other < row);
        self.other_labels[first..].iter().take_while(move |(other, _)| *other == row).map(|(_, label)| *label)
    }

    /// RoI and column of the labels beside the RoIs' own, by RoI.
    pub(crate) fn hidden(&self, columns: impl FnOnce() -> Vec<Column>) -> Vec<(usize, usize)> {
        if self.other_labels.is_empty() {
            return Vec::new();
        }
        let mut of_class = vec![None; self.num_classes];
        for (index, column) in columns().into_iter().enumerate() {
            if let Column::Class(class) = column {
                of_class[class] = Some(index);
            }
        }
        let hidden = |&(row, label): &(usize, u32)| of_class[label as usize - 1].map(|column| (row, column));
        self.other_labels.iter().filter_map(hidden).collect()
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

    /// Indices of the background RoIs that are not ignored.
    pub fn background(&self) -> Vec<usize> {
        (0..self.len()).filter(|&n| self.labels[n] == 0 && !self.is_ignored(n)).collect()
    }

    /// Refuses logits that are not finite or not `[N, outputs]`; the first thing that a loss does.
    ///
    /// # Errors
    /// Names the first logit that is not finite, or tells both lengths.
    pub fn check(&self, logits: &[f32], outputs: usize) -> Result<(), LossError> {
        if logits.len() != self.len() * outputs {
            return Err(LossError::LogitsLength { found: logits.len(), rows: self.len(), outputs });
        }
        if !crate::numerics::all_finite(logits) {
            let bad = logits.iter().position(|z| !z.is_finite());
            if let Some(index) = bad {
                let (row, column) = (index / outputs, index % outputs);
                return Err(LossError::NotFinite { row, column, value: logits[index] });
            }
        }
        Ok(())
    }
}

/// Gives hidden columns a logit without effect.
pub(crate) fn hide(logits: &mut [f32], columns: usize, hidden: &[(usize, usize)]) {
    hidden.iter().for_each(|&(row, column)| logits[row * columns + column] = HIDDEN);
}

/// Sets the gradients of hidden columns to 0; what the vanishing exponential left of them says nothing.
pub(crate) fn clear(gradient: &mut [f32], columns: usize, hidden: &[(usize, usize)]) {
    hidden.iter().for_each(|&(row, column)| gradient[row * columns + column] = 0.0);
}
