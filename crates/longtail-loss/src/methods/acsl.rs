//! ACSL: adaptive class suppression loss (Wang et al., CVPR 2021, arXiv 2104.00885).

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{
        ClassContext, ClassificationLoss, Evaluation, KeptNegatives, LossState, ROWS, SparseEvaluation,
        SparseGradient, Workers, by_rows,
    },
    error::LossError,
    fused::{LinearEvaluation, LinearLayer, evaluate_linear_dense},
    methods::acsl_background::{Background, Plan, Rule, Suppressed, check_threshold, logit},
    numerics::{negatives, softplus_and_sigmoid, vectorised, weighted_negatives},
    sigmoid::{Columns, own_column},
    suppression::{GradientSums, RowRule, Suppression, SuppressionLoss},
    targets::RoiTargets,
};

/// Settings of [`Acsl`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
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

    /// Calls `keep` with the columns that push their class down in a row, its own among them or not, and their weights.
    #[inline(always)]
    fn kept_columns(&self, plan: &Plan, row: usize, z: &[f32], mut keep: impl FnMut(usize, f32)) {
        match plan.rows[row] {
            Suppressed::AtLeast(threshold) => each_at_least(z, threshold, |column| keep(column, 1.0)),
            Suppressed::All => (0..z.len()).for_each(|column| keep(column, 1.0)),
            Suppressed::Weighted(set) => {
                let weights = plan.weights[set].iter().enumerate();
                weights
                    .filter(|(_, weight)| **weight > 0.0)
                    .for_each(|(column, weight)| keep(column, *weight));
            }
            Suppressed::Drawn => {
                for (column, z) in z.iter().enumerate() {
                    if plan.is_drawn(row, column, *z) {
                        keep(column, 1.0);
                    }
                }
            }
        }
    }

    /// The loss of `logits [N × K]` with its gradient as triples: what [`ClassificationLoss::evaluate`] gives, without
    /// the zeros. Rules that suppress all classes give as many triples as logits.
    ///
    /// # Errors
    /// If the logits do not fit the targets or are not finite.
    pub fn evaluate_sparse(
        &self,
        logits: &[f32],
        targets: &RoiTargets,
        state: &LossState,
        workers: &dyn Workers,
    ) -> Result<SparseEvaluation, LossError> {
        let outputs = self.columns.count(targets.num_classes());
        targets.check(logits, outputs)?;
        let plan = self.plan(targets, state)?;
        let scales = targets.scales();
        let task = |(task, z): (usize, &[f32])| {
            vectorised(
                #[inline(always)]
                || {
                    let (mut sum, mut triples) = (0.0, SparseGradient::default());
                    for (place, z) in z.chunks_exact(outputs).enumerate() {
                        let row = task * ROWS + place;
                        if scales[row] != 0.0 {
                            sum += f64::from(scales[row])
                                * self.sparse_row(&plan, targets, row, scales[row], z, &mut triples);
                        }
                    }
                    (sum, triples)
                },
            )
        };
        let parts: Vec<(f64, SparseGradient)> =
            logits.par_chunks((ROWS * outputs).max(1)).enumerate().map(task).collect();
        let (mut value, mut gradient) = (0.0, SparseGradient::default());
        for (sum, part) in parts {
            value += sum;
            gradient.rows.extend(part.rows);
            gradient.columns.extend(part.columns);
            gradient.values.extend(part.values);
        }
        let state = self.background.next_state(logits, targets, self.columns, state, workers)?;
        Ok(SparseEvaluation { value, gradient, state })
    }

    /// Unscaled loss of a row; its scaled gradients are appended.
    #[inline(always)]
    fn sparse_row(
        &self,
        plan: &Plan,
        targets: &RoiTargets,
        row: usize,
        scale: f32,
        z: &[f32],
        triples: &mut SparseGradient,
    ) -> f64 {
        let own = self.columns.of_label(targets.labels()[row]);
        let (mut loss, mut pending) = (0.0, own);
        let mut add = |column: usize, gradient: f32| {
            triples.rows.push(row as u32);
            triples.columns.push(column as u32);
            triples.values.push(scale * gradient);
        };
        self.kept_columns(plan, row, z, |column, weight| {
            if pending.is_some_and(|own| own <= column) {
                let own = pending.take().unwrap_or(column);
                let (softplus, sigmoid) = softplus_and_sigmoid(z[own]);
                loss += f64::from(softplus) - f64::from(z[own]);
                add(own, sigmoid - 1.0);
            }
            if own != Some(column) {
                let (softplus, sigmoid) = softplus_and_sigmoid(z[column]);
                loss += f64::from(weight * softplus);
                add(column, weight * sigmoid);
            }
        });
        if let Some(own) = pending {
            let (softplus, sigmoid) = softplus_and_sigmoid(z[own]);
            loss += f64::from(softplus) - f64::from(z[own]);
            add(own, sigmoid - 1.0);
        }
        loss
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
                        self.kept_columns(&plan, n, z, |column, _| {
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

    /// With adaptive background and ξ above 0 the outputs are never stored; the other rules suppress most columns of
    /// background RoIs and take the dense path.
    fn evaluate_linear(
        &self,
        layer: LinearLayer<'_>,
        targets: &RoiTargets,
        state: &LossState,
        workers: &dyn Workers,
    ) -> Result<LinearEvaluation, LossError> {
        match self.sparse_threshold() {
            Some(threshold) => self.evaluate_linear_sparse(layer, targets, threshold),
            None => evaluate_linear_dense(self, layer, targets, state, workers),
        }
    }

    fn class_scores(&self, logits: &[f32], columns: usize) -> Vec<f32> {
        self.columns.scores(logits, columns)
    }

    fn as_suppression(&self) -> Option<&dyn SuppressionLoss> {
        Some(self)
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
            self.kept_columns(&plan, row, &logits[row * columns..(row + 1) * columns], |column, weight| {
                if let Some(class) = column.checked_sub(usize::from(self.columns.background)) {
                    keep(class, weight);
                }
            });
        }))
    }
}

impl SuppressionLoss for Acsl {
    /// None where negatives are drawn by their score.
    fn suppression(&self, targets: &RoiTargets, state: &LossState) -> Result<Option<Suppression>, LossError> {
        let plan = self.plan(targets, state)?;
        let Suppression { columns, mut rows, mut weights } = Suppression::none(self.columns, targets);
        for (rule, suppressed) in rows.iter_mut().zip(&plan.rows) {
            match *suppressed {
                Suppressed::All => (),
                // Thresholds of 0 and 1 lie at infinity, which not every device has.
                Suppressed::AtLeast(logit) => rule.threshold = logit.clamp(f32::MIN, f32::MAX),
                Suppressed::Weighted(set) => *rule = RowRule { set: set + 1, ..*rule },
                Suppressed::Drawn => return Ok(None),
            }
        }
        plan.weights.iter().for_each(|set| weights.extend(set));
        Ok(Some(Suppression { columns, rows, weights }))
    }

    fn state_after(
        &self,
        sums: GradientSums,
        targets: &RoiTargets,
        state: &LossState,
        workers: &dyn Workers,
    ) -> Result<LossState, LossError> {
        self.background.state_after(sums, targets, state, workers)
    }
}
