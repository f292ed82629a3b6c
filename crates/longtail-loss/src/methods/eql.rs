//! EQL: equalization loss (Tan et al., CVPR 2020, arXiv 2003.05176).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss, Evaluation, KeptNegatives, LossState, Workers},
    error::LossError,
    sigmoid::{Columns, RowWeights, weighted_bce},
    suppression::{Suppression, SuppressionLoss},
    targets::RoiTargets,
};

/// Settings of [`Eql`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EqlConfig {
    /// λ in `0..=1`: classes in a smaller share of the training images are protected. 0.00177 for LVIS v0.5, 0.0011
    /// for v1.
    pub frequency_threshold: f64,
    /// Whether column 0 is a background logit.
    pub background_logit: bool,
}

impl Default for EqlConfig {
    fn default() -> Self {
        Self { frequency_threshold: 1.1e-3, background_logit: false }
    }
}

/// Binary cross-entropy without the negatives of classes of image frequency below λ on foreground RoIs; background
/// RoIs suppress every class. K = C, or C + 1 with a background logit. Reads image frequencies.
#[derive(Debug, Clone, PartialEq)]
pub struct Eql {
    columns: Columns,
    /// Weight of each column on foreground RoIs, `[K]`.
    weights: Vec<f32>,
}

impl Eql {
    /// Builds the loss.
    ///
    /// # Errors
    /// If λ is out of range or there are no frequencies.
    pub fn new(config: &EqlConfig, context: &ClassContext<'_>) -> Result<Self, LossError> {
        let columns = Columns { background: config.background_logit };
        let protected = protected_classes(config.frequency_threshold, context, "EQL")?;
        let mut weights = vec![1.0; columns.count(context.num_classes)];
        for (class, _) in protected.iter().enumerate().filter(|(_, protected)| **protected) {
            weights[columns.of_class(class)] = 0.0;
        }
        Ok(Self { columns, weights })
    }
}

/// Classes in less than a share `threshold` of the images.
pub(crate) fn protected_classes(
    threshold: f64,
    context: &ClassContext<'_>,
    loss: &'static str,
) -> Result<Vec<bool>, LossError> {
    if !(0.0..=1.0).contains(&threshold) {
        let expected = "between 0 and 1";
        return Err(LossError::Setting { field: "frequency_threshold", value: threshold, expected });
    }
    Ok(context.image_frequencies(loss)?.into_iter().map(|f| f < threshold).collect())
}

impl ClassificationLoss for Eql {
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
        let labels = targets.labels();
        weighted_bce(logits, self.columns, targets, |n| {
            if labels[n] == 0 { RowWeights::Ones } else { RowWeights::Each(&self.weights) }
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
        let classes = targets.num_classes();
        Some(self.columns.kept_negatives(targets, |row, keep| {
            let background = targets.labels()[row] == 0;
            (0..classes)
                .filter(|&c| background || self.weights[self.columns.of_class(c)] > 0.0)
                .for_each(|class| keep(class, 1.0));
        }))
    }
}

impl SuppressionLoss for Eql {
    fn suppression(&self, targets: &RoiTargets, _: &LossState) -> Result<Option<Suppression>, LossError> {
        let labels = targets.labels();
        let mut weights = vec![1.0; self.weights.len()];
        weights.extend(&self.weights);
        let set_of = |row: usize| usize::from(labels[row] > 0);
        Ok(Some(Suppression::by_sets(self.columns, targets, weights, set_of)))
    }
}
