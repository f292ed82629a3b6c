//! ACSL: adaptive class suppression loss (Wang et al., CVPR 2021, arXiv 2104.00885).

use serde::{Deserialize, Serialize};

use crate::{
    classification::{
        ClassContext, ClassificationLoss, Evaluation, KeptNegatives, LossState, Workers, by_rows,
    },
    error::LossError,
    methods::acsl_background::{Background, Plan, Rule, Suppressed, check_threshold, logit},
    numerics::{negatives, softplus_and_sigmoid, weighted_negatives},
    sigmoid::{Columns, own_column},
    targets::RoiTargets,
};

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

/// `L = -log p_k - Σ_{i≠k} w_i log(1 - p_i)`, `p = sigmoid(z)`, `w_i = 1` where `p_i ≥ ξ`, else 0.
/// The weights are constants for differentiation. K = C, or C + 1 with a background logit.
#[derive(Debug, Clone, PartialEq)]
pub struct Acsl {
    columns: Columns,
    background: Rule,
    /// `p ≥ ξ` as `z ≥ ln(ξ / (1 - ξ))`.
    logit_threshold: f32,
}

impl Acsl {
    /// Builds the loss.
    ///
    /// # Errors
    /// If ξ is out of range, or the background mode needs class counts and there are none.
    pub fn new(config: &AcslConfig, context: &ClassContext<'_>) -> Result<Self, LossError> {
        check_threshold(config.threshold)?;
        Ok(Self {
            columns: Columns { background: config.background_logit },
            background: Rule::new(config.background, config.threshold, context)?,
            logit_threshold: logit(config.threshold),
        })
    }

    /// The logit from which a column is kept, if that rule holds for every RoI and keeps few columns.
    pub(crate) fn sparse_threshold(&self) -> Option<f32> {
        let sparse = matches!(self.background, Rule::Adaptive) && self.logit_threshold > f32::NEG_INFINITY;
        sparse.then_some(self.logit_threshold)
    }

    /// The column of a label, if it has one.
    pub(crate) fn own_column(&self, label: u32) -> Option<usize> {
        self.columns.of_label(label)
    }

    /// Calls `keep` with the columns that push their class down in a row, its own among them or not.
    #[inline(always)]
    fn kept_columns(&self, plan: &Plan, row: usize, z: &[f32], mut keep: impl FnMut(usize)) {
        match plan.rows[row] {
            Suppressed::AtLeast(threshold) => each_at_least(z, threshold, keep),
            Suppressed::All => (0..z.len()).for_each(keep),
            Suppressed::Weighted(set) => {
                let weights = plan.weights[set].iter().enumerate();
                weights.filter(|(_, weight)| **weight > 0.0).for_each(|(column, _)| keep(column));
            }
            Suppressed::Drawn => {
                for (column, z) in z.iter().enumerate() {
                    if plan.is_drawn(row, column, *z) {
                        keep(column);
                    }
                }
            }
        }
    }

    fn plan(&self, targets: &RoiTargets, state: &LossState) -> Result<Plan, LossError> {
        self.background.plan(targets, self.columns, self.logit_threshold, state)
    }
}

/// Calls `found` with every place whose value is at least `threshold`. Whole blocks below it are passed over with a
/// vectorised compare, which is what makes the sparse gradient cheap.
#[inline(always)]
pub(crate) fn each_at_least(values: &[f32], threshold: f32, mut found: impl FnMut(usize)) {
    const BLOCK: usize = 64;
    for (block, chunk) in values.chunks(BLOCK).enumerate() {
        let any = chunk.iter().fold(0_u32, |any, v| any | u32::from(*v >= threshold));
        if any != 0 {
            for (place, value) in chunk.iter().enumerate() {
                if *value >= threshold {
                    found(block * BLOCK + place);
                }
            }
        }
    }
}

impl ClassificationLoss for Acsl {
    fn num_outputs(&self, num_classes: usize) -> usize {
        self.columns.count(num_classes)
    }

    fn evaluate(
        &self,
        logits: &[f32],
        targets: &RoiTargets,
        state: &LossState,
        workers: &dyn Workers,
    ) -> Result<Evaluation, LossError> {
        let outputs = self.columns.count(targets.num_classes());
        targets.check(logits, outputs)?;
        let plan = self.plan(targets, state)?;
        let (value, gradient) = by_rows(
            logits,
            outputs,
            targets,
            #[inline(always)]
            |n, scale, z, gradient| {
                let mut loss = 0.0;
                match plan.rows[n] {
                    Suppressed::All | Suppressed::AtLeast(f32::NEG_INFINITY) => {
                        loss += negatives(z, scale, gradient);
                    }
                    Suppressed::Weighted(set) => {
                        loss += weighted_negatives(z, &plan.weights[set], scale, gradient);
                    }
                    Suppressed::AtLeast(_) | Suppressed::Drawn => {
                        self.kept_columns(&plan, n, z, |column| {
                            let (softplus, sigmoid) = softplus_and_sigmoid(z[column]);
                            loss += f64::from(softplus);
                            gradient[column] = scale * sigmoid;
                        });
                    }
                }
                if let Some(own) = self.columns.of_label(targets.labels()[n]) {
                    let as_negative = match plan.rows[n] {
                        Suppressed::AtLeast(threshold) => f32::from(u8::from(z[own] >= threshold)),
                        Suppressed::All => 1.0,
                        Suppressed::Weighted(set) => plan.weights[set][own],
                        Suppressed::Drawn => f32::from(u8::from(plan.is_drawn(n, own, z[own]))),
                    };
                    loss += own_column(z[own], as_negative, scale, &mut gradient[own]);
                }
                loss
            },
        );
        let state = self.background.next_state(logits, targets, self.columns, state, workers)?;
        Ok(Evaluation { value, gradient, state })
    }

    fn class_scores(&self, logits: &[f32], columns: usize) -> Vec<f32> {
        self.columns.scores(logits, columns)
    }

    fn kept_negatives(
        &self,
        logits: &[f32],
        targets: &RoiTargets,
        state: &LossState,
    ) -> Option<KeptNegatives> {
        let columns = self.columns.count(targets.num_classes());
        let plan = self.plan(targets, state).ok()?;
        Some(self.columns.kept_negatives(targets, |row, keep| {
            let weights = match plan.rows[row] {
                Suppressed::Weighted(set) => Some(&plan.weights[set]),
                Suppressed::AtLeast(_) | Suppressed::All | Suppressed::Drawn => None,
            };
            self.kept_columns(&plan, row, &logits[row * columns..(row + 1) * columns], |column| {
                if let Some(class) = column.checked_sub(usize::from(self.columns.background)) {
                    keep(class, weights.map_or(1.0, |weights| weights[column]));
                }
            });
        }))
    }
}
