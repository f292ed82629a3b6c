//! Federated loss (Zhou, Koltun and Krähenbühl, arXiv 2103.07461).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss, Evaluation, KeptNegatives, LossState, Workers},
    draw::weighted_without_replacement,
    error::LossError,
    sigmoid::{Columns, RowWeights, weighted_bce},
    suppression::{Suppression, SuppressionLoss},
    targets::RoiTargets,
};

/// Purpose of the draws of classes.
const DRAW: u64 = 11;

/// Settings of [`Federated`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FederatedConfig {
    /// Classes that take part in a step, those of the batch included.
    pub classes: usize,
    /// Exponent of the image count in the probability of drawing a class.
    pub count_power: f64,
    /// Whether column 0 is a background logit.
    pub background_logit: bool,
}

impl Default for FederatedConfig {
    fn default() -> Self {
        Self { classes: 50, count_power: 0.5, background_logit: false }
    }
}

/// Binary cross-entropy over the classes of the batch and others drawn without replacement with probability ∝
/// `count^power`, up to a number; the rest gets no gradient. K = C, or C + 1 with a background logit. Reads image counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Federated {
    columns: Columns,
    classes: usize,
    /// Unscaled probability of each class.
    probabilities: Vec<f64>,
}

impl Federated {
    /// Builds the loss.
    ///
    /// # Errors
    /// If a setting is out of range or there are no counts.
    pub fn new(config: &FederatedConfig, context: &ClassContext<'_>) -> Result<Self, LossError> {
        if config.classes == 0 {
            return Err(LossError::Setting { field: "classes", value: 0.0, expected: "at least 1" });
        }
        if !config.count_power.is_finite() {
            let expected = "a finite number";
            return Err(LossError::Setting { field: "count_power", value: config.count_power, expected });
        }
        let counts = context.image_counts("the federated loss")?;
        let probabilities = counts.iter().map(|&n| (n as f64).powf(config.count_power)).collect();
        let columns = Columns { background: config.background_logit };
        Ok(Self { columns, classes: config.classes, probabilities })
    }

    /// Weight of each column, `[K]`: 1 on classes that take part and on the background logit.
    fn weights(&self, targets: &RoiTargets) -> Vec<f32> {
        let mut probabilities = self.probabilities.clone();
        let mut chosen: Vec<usize> = Vec::new();
        for (n, &label) in targets.labels().iter().enumerate().filter(|(_, label)| **label > 0) {
            let class = label as usize - 1;
            if !targets.is_ignored(n) && !chosen.contains(&class) {
                chosen.push(class);
                probabilities[class] = 0.0;
            }
        }
        let more = self.classes.saturating_sub(chosen.len());
        chosen.extend(weighted_without_replacement(targets.draw(), DRAW, &probabilities, more));
        let mut weights = vec![0.0; self.columns.count(probabilities.len())];
        if self.columns.background {
            weights[0] = 1.0;
        }
        for class in chosen {
            weights[self.columns.of_class(class)] = 1.0;
        }
        weights
    }
}

impl ClassificationLoss for Federated {
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
        let weights = self.weights(targets);
        weighted_bce(logits, self.columns, targets, |_| RowWeights::Each(&weights))
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
        let weights = self.weights(targets);
        Some(self.columns.kept_negatives(targets, |_, keep| {
            (0..self.probabilities.len())
                .filter(|&c| weights[self.columns.of_class(c)] > 0.0)
                .for_each(|class| keep(class, 1.0));
        }))
    }
}

impl SuppressionLoss for Federated {
    fn suppression(&self, targets: &RoiTargets, _: &LossState) -> Result<Option<Suppression>, LossError> {
        Ok(Some(Suppression::by_sets(self.columns, targets, self.weights(targets), |_| 0)))
    }
}
