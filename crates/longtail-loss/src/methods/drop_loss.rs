//! DropLoss (Hsieh et al., AAAI 2021, arXiv 2104.06402).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss, Evaluation, KeptNegatives, LossState, Workers},
    draw::unit,
    error::LossError,
    methods::eql::protected_classes,
    sigmoid::{Columns, RowWeights, weighted_bce},
    suppression::{Suppression, SuppressionLoss},
    targets::RoiTargets,
};

/// Purpose of the draws of kept background terms.
const DRAW: u64 = 10;

/// Settings of [`DropLoss`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DropLossConfig {
    /// λ in `0..=1`: classes in a smaller share of the training images are protected.
    pub frequency_threshold: f64,
    /// Whether column 0 is a background logit.
    pub background_logit: bool,
}

impl Default for DropLossConfig {
    fn default() -> Self {
        Self { frequency_threshold: 1.77e-3, background_logit: false }
    }
}

/// EQL on foreground RoIs. On background RoIs each term of a protected class is kept with the probability that a
/// foreground RoI of the batch is of a protected class: the fewer there are, the less background suppresses them.
/// K = C, or C + 1 with a background logit. Reads image frequencies.
#[derive(Debug, Clone, PartialEq)]
pub struct DropLoss {
    columns: Columns,
    protected: Vec<bool>,
}

impl DropLoss {
    /// Builds the loss.
    ///
    /// # Errors
    /// If λ is out of range or there are no frequencies.
    pub fn new(config: &DropLossConfig, context: &ClassContext<'_>) -> Result<Self, LossError> {
        let columns = Columns { background: config.background_logit };
        Ok(Self { columns, protected: protected_classes(config.frequency_threshold, context, "DropLoss")? })
    }

    /// Weights of all columns as negatives, `[N × K]`.
    fn weights(&self, targets: &RoiTargets) -> Vec<f32> {
        let columns = self.columns.count(targets.num_classes());
        let labels = targets.labels();
        let foreground: Vec<usize> =
            (0..targets.len()).filter(|&n| labels[n] > 0 && !targets.is_ignored(n)).collect();
        let of_protected = foreground.iter().filter(|&&n| self.protected[labels[n] as usize - 1]).count();
        // Without foreground nothing says how common they are: nothing is kept.
        let ratio = of_protected as f64 / foreground.len().max(1) as f64;
        let mut weights = vec![1.0; targets.len() * columns];
        for n in 0..targets.len() {
            for class in (0..self.protected.len()).filter(|&c| self.protected[c]) {
                let index = (n * self.protected.len() + class) as u64;
                let kept = labels[n] == 0 && unit(targets.draw(), DRAW, index) <= ratio && ratio > 0.0;
                weights[n * columns + self.columns.of_class(class)] = if kept { 1.0 } else { 0.0 };
            }
        }
        weights
    }
}

impl ClassificationLoss for DropLoss {
    fn num_outputs(&self, num_classes: usize) -> usize {
        self.columns.count(num_classes)
    }

    fn evaluate(
        &self,
        logits: &[f32],
        targets: &RoiTargets,
        _state: &LossState,
        _workers: &dyn Workers,
    ) -> Result<Evaluation, LossError> {
        let columns = self.columns.count(targets.num_classes());
        let weights = self.weights(targets);
        weighted_bce(logits, self.columns, targets, |n| {
            RowWeights::Each(&weights[n * columns..(n + 1) * columns])
        })
    }

    fn class_scores(&self, logits: &[f32], columns: usize) -> Vec<f32> {
        self.columns.scores(logits, columns)
    }

    fn as_suppression(&self) -> Option<&dyn SuppressionLoss> {
        Some(self)
    }

    fn kept_negatives(
        &self,
        _logits: &[f32],
        targets: &RoiTargets,
        _state: &LossState,
    ) -> Option<KeptNegatives> {
        let (columns, weights) = (self.columns.count(targets.num_classes()), self.weights(targets));
        Some(self.columns.kept_negatives(targets, |row, keep| {
            (0..self.protected.len())
                .filter(|&c| weights[row * columns + self.columns.of_class(c)] > 0.0)
                .for_each(|class| keep(class, 1.0));
        }))
    }
}

impl SuppressionLoss for DropLoss {
    fn suppression(&self, targets: &RoiTargets, _: &LossState) -> Result<Option<Suppression>, LossError> {
        Ok(Some(Suppression::by_sets(self.columns, targets, self.weights(targets), |row| row)))
    }
}
