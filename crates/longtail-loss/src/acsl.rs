//! ACSL: adaptive class suppression loss (Wang et al., CVPR 2021, arXiv 2104.00885).

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss, KeptNegatives, LossState, plain},
    draw::without_replacement,
    error::LossError,
    sigmoid::{Columns, matrix, weighted_bce},
    targets::RoiTargets,
};

/// Share of the background RoIs that supervise rare and common classes in [`Background::FrequencySampled`]; every
/// one supervises the frequent classes.
const RARE_SHARE: f64 = 0.01;
const COMMON_SHARE: f64 = 0.1;

/// Image counts up to which a class is rare and common (LVIS).
const RARE_IMAGES: u64 = 10;
const COMMON_IMAGES: u64 = 100;

/// What a background RoI suppresses. The paper's formula is about one RoI with one true class; for background its
/// authors' code departs from it, and the choice decides the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Background {
    /// The formula as published: the classes that score at least ξ. Reads no statistics.
    Adaptive,
    /// The authors' code: ξ is not used; of B background RoIs, ⌊0.01 B⌋ suppress all rare classes, ⌊0.1 B⌋ all common
    /// ones, and all of them the frequent ones, in independent draws. Reads the image counts of the training set.
    #[default]
    FrequencySampled,
    /// All classes, as binary cross-entropy does.
    Dense,
}

/// Settings of [`Acsl`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AcslConfig {
    /// ξ in `0..=1`: a negative is kept where the RoI scores its class at least so. 0 is binary cross-entropy, 1
    /// keeps positives only. The paper's best is 0.7.
    pub threshold: f64,
    /// What a background RoI suppresses.
    pub background: Background,
    /// Whether column 0 is a background logit, as in the authors' head: positive on background RoIs, always weighted
    /// there; on foreground RoIs suppressed where it scores at least ξ; unused in scores.
    pub background_logit: bool,
}

impl Default for AcslConfig {
    fn default() -> Self {
        Self { threshold: 0.7, background: Background::default(), background_logit: true }
    }
}

/// `L = -log p_k - Σ_{i≠k} w_i log(1 - p_i)`, `p = sigmoid(z)`, `w_i = 1` where `p_i ≥ ξ`, else 0; summed over
/// classes, averaged over RoIs. The weights are constants for differentiation. K = C, or C + 1 with a background logit.
#[derive(Debug, Clone, PartialEq)]
pub struct Acsl {
    columns: Columns,
    background: Background,
    /// `p ≥ ξ` as `z ≥ ln(ξ / (1 - ξ))`.
    logit_threshold: f32,
    /// Group of each class (0 rare, 1 common, 2 frequent), for [`Background::FrequencySampled`] alone.
    groups: Vec<usize>,
}

impl Acsl {
    /// Builds the loss.
    ///
    /// # Errors
    /// If ξ is out of range, or the background mode needs class counts and there are none.
    pub fn new(config: &AcslConfig, context: &ClassContext<'_>) -> Result<Self, LossError> {
        if !(0.0..=1.0).contains(&config.threshold) {
            let expected = "between 0 and 1";
            return Err(LossError::Setting { field: "threshold", value: config.threshold, expected });
        }
        let groups = match config.background {
            Background::Adaptive | Background::Dense => Vec::new(),
            Background::FrequencySampled => {
                let counts = context.counts("ACSL with frequency-sampled background")?;
                let group = |&n: &u64| usize::from(n > RARE_IMAGES) + usize::from(n > COMMON_IMAGES);
                counts.iter().map(group).collect()
            }
        };
        Ok(Self {
            columns: Columns { background: config.background_logit },
            background: config.background,
            logit_threshold: (config.threshold / (1.0 - config.threshold)).ln() as f32,
            groups,
        })
    }

    /// The weights that do not depend on scores, `[N × K]`: 1 on positives and on what background RoIs suppress by
    /// rule; and, row by row, whether the rest goes by ξ.
    fn fixed_weights(&self, targets: &RoiTargets) -> (Vec<f32>, Vec<f32>) {
        let classes = targets.num_classes();
        let columns = self.columns.count(classes);
        let mut weights = self.columns.one_hot(targets);
        let adaptive = self.background == Background::Adaptive;
        let mut by_threshold = vec![0.0; weights.len()];
        for (row, &label) in targets.labels().iter().enumerate() {
            if label > 0 || adaptive {
                by_threshold[row * columns..(row + 1) * columns].fill(1.0);
            }
        }
        let background = targets.background();
        let mut suppress = |row: usize, class: usize| {
            weights[row * columns + self.columns.of_class(class)] = 1.0;
        };
        match self.background {
            Background::Adaptive => {}
            Background::Dense => {
                for &row in &background {
                    (0..classes).for_each(|class| suppress(row, class));
                }
            }
            Background::FrequencySampled => {
                for (group, share) in [RARE_SHARE, COMMON_SHARE, 1.0].into_iter().enumerate() {
                    let count = (share * background.len() as f64).floor() as usize;
                    for place in without_replacement(targets.draw(), group as u64, background.len(), count) {
                        let members = (0..classes).filter(|&class| self.groups[class] == group);
                        members.for_each(|class| suppress(background[place], class));
                    }
                }
            }
        }
        (weights, by_threshold)
    }

    /// The weights w, `[N, K]`, 1 on positives.
    fn weights(&self, logits: &Tensor<2>, targets: &RoiTargets) -> Tensor<2> {
        let (fixed, by_threshold) = self.fixed_weights(targets);
        let kept = logits.clone().greater_equal_scalar(self.logit_threshold).float();
        matrix(fixed, logits).max_pair(kept * matrix(by_threshold, logits))
    }
}

impl ClassificationLoss for Acsl {
    fn num_outputs(&self, num_classes: usize) -> usize {
        self.columns.count(num_classes)
    }

    fn forward(
        &self,
        logits: Tensor<2>,
        targets: &RoiTargets,
        _state: &LossState,
    ) -> Result<(Tensor<1>, LossState), LossError> {
        targets.check(logits.dims(), self.columns.count(targets.num_classes()))?;
        if targets.is_empty() {
            return Ok((logits.sum(), LossState::Stateless));
        }
        let z = plain(&logits);
        let weights = self.weights(&z, targets);
        let one_hot = matrix(self.columns.one_hot(targets), &z);
        Ok((weighted_bce(logits, one_hot, weights), LossState::Stateless))
    }

    fn scores(&self, logits: Tensor<2>) -> Tensor<2> {
        self.columns.scores(logits)
    }

    fn kept_negatives(&self, logits: &Tensor<2>, targets: &RoiTargets) -> Option<KeptNegatives> {
        let weights = self.weights(&plain(logits), targets).into_data();
        let weights: Vec<f32> = weights.iter::<f32>().collect();
        Some(self.columns.kept_negatives(&weights, targets))
    }
}
