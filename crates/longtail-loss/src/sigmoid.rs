//! The engine of the sigmoid losses: a loss says its rule, and here it becomes value and gradient, the fused
//! layer, the running sums and the count of kept negatives.

use crate::{
    classification::{ClassificationLoss, Evaluation, KeptNegatives, Step, by_rows, scores_by_rows},
    error::LossError,
    fused::{LinearEvaluation, LinearLayer, by_strips, by_triples},
    numerics::{
        focal_negative, focal_negative_squared, map_and_sum, negatives, sigmoid, softplus_and_sigmoid,
        weighted_negatives,
    },
    rule::{CellDraw, Cells, ColumnWeights, Focus, RowRule, Rule, SigmoidHead},
    running::GradientSums,
    state::{LossState, Workers},
    targets::RoiTargets,
};

/// A loss that is a sum over cells of RoIs and columns: all it says is its rule. It is a
/// [`ClassificationLoss`] by itself, with a fused layer that never stores `[N × K]`, and with a kernel on
/// GPUs.
pub trait SigmoidLoss: Send + Sync {
    /// Columns of the head.
    fn head(&self) -> SigmoidHead;

    /// What it does at a step.
    ///
    /// # Errors
    /// If the state is not of this loss.
    fn rule(&self, targets: &RoiTargets, state: &LossState) -> Result<Rule, LossError>;

    /// Whether the scores of classes are multiplied by `1 - p` of the background logit.
    fn scores_times_foreground(&self) -> bool {
        false
    }
}

impl<L: SigmoidLoss> ClassificationLoss for L {
    fn num_outputs(&self, num_classes: usize) -> usize {
        self.head().count(num_classes)
    }

    fn compute(&self, step: Step<'_>) -> Result<Evaluation, LossError> {
        let Step { logits, targets, state, workers } = step;
        let outputs = self.num_outputs(targets.num_classes());
        targets.check(logits, outputs)?;
        let rule = self.rule(targets, state)?;
        let cells = Cells { head: self.head(), rule: &rule, targets };
        let (value, gradient) = by_rows(
            logits,
            outputs,
            targets,
            #[inline(always)]
            |n, scale, z, gradient| cells.row(n, scale, z, gradient),
        );
        let mut sums = GradientSums::of(&cells);
        sums.add(&cells, 0, logits);
        Ok(Evaluation { value, gradient, state: rule.state_after(sums, cells.head, state, workers)? })
    }

    fn class_scores(&self, logits: &[f32], columns: usize) -> Vec<f32> {
        let first = self.head().of_class(0);
        let times_foreground = self.scores_times_foreground();
        scores_by_rows(
            logits,
            columns,
            columns - first,
            #[inline(always)]
            |z, scores| {
                let foreground = if times_foreground { sigmoid(-z[0]) } else { 1.0 };
                for (score, z) in scores.iter_mut().zip(&z[first..]) {
                    *score = foreground * sigmoid(*z);
                }
            },
        )
    }

    /// Outputs are never stored: as triples where thresholds leave few of them, or else in strips of RoIs.
    fn evaluate_linear(
        &self,
        layer: LinearLayer<'_>,
        targets: &RoiTargets,
        state: &LossState,
        workers: &dyn Workers,
    ) -> Result<LinearEvaluation, LossError> {
        let rule = self.rule(targets, state)?;
        let cells = Cells { head: self.head(), rule: &rule, targets };
        let hidden = targets.hidden(|| self.columns(targets.num_classes()));
        if rule.is_sparse() {
            return by_triples(&cells, layer, &hidden);
        }
        let (mut found, sums) = by_strips(&cells, layer, &hidden)?;
        found.state = rule.state_after(sums, cells.head, state, workers)?;
        Ok(found)
    }

    fn as_sigmoid(&self) -> Option<&dyn SigmoidLoss> {
        Some(self)
    }

    /// None for focal losses, which damp and do not select. A label that holds for a RoI is not a negative of
    /// it.
    fn kept_negatives(
        &self,
        logits: &[f32],
        targets: &RoiTargets,
        state: &LossState,
    ) -> Option<KeptNegatives> {
        let rule = self.rule(targets, state).ok().filter(|rule| rule.focus == Focus::None)?;
        let cells = Cells { head: self.head(), rule: &rule, targets };
        let (classes, outputs) = (targets.num_classes(), cells.outputs());
        let mut counted = KeptNegatives { kept: vec![0.0; classes], total: vec![0; classes] };
        for row in (0..targets.len()).filter(|&row| !targets.is_ignored(row)) {
            let mut is_negative = vec![true; classes];
            let own = targets.labels()[row];
            let labels = targets.other_labels_of(row).chain((own > 0).then_some(own));
            labels.for_each(|label| is_negative[label as usize - 1] = false);
            counted.total.iter_mut().zip(&is_negative).for_each(|(n, negative)| *n += u64::from(*negative));
            cells.each_kept(row, 0, &logits[row * outputs..][..outputs], |column, weight| {
                let class = column.checked_sub(self.head().of_class(0));
                if let Some(class) = class.filter(|&class| is_negative[class]) {
                    counted.kept[class] += f64::from(weight);
                }
            });
        }
        Some(counted)
    }
}

impl Cells<'_> {
    /// Unscaled loss of a RoI; its scaled gradient is written to zeros.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize, scale: f32, z: &[f32], gradient: &mut [f32]) -> f64 {
        let rule = self.rule;
        let RowRule { threshold, set, drawn } = rule.rows[row];
        let by_score = drawn && matches!(rule.draw, CellDraw::ByScore { .. });
        let mut loss = 0.0;
        if threshold > f32::NEG_INFINITY || by_score {
            self.each_kept(row, 0, z, |column, weight| {
                let (value, slope) = rule.focus.negative(column, z[column]);
                loss += f64::from(weight * value);
                gradient[column] = scale * weight * slope;
            });
        } else {
            loss += match (&rule.focus, &rule.negatives[set]) {
                (Focus::None, ColumnWeights::All(1.0)) if !drawn => negatives(z, scale, gradient),
                (Focus::None, _) => weighted_negatives(z, &self.weights_of(row), scale, gradient),
                (Focus::All(gamma), ColumnWeights::All(weight)) if !drawn => {
                    let (gamma, factor) = (*gamma, scale * weight);
                    // With γ = 2 no power is needed, and the loop is vectorised.
                    f64::from(*weight)
                        * if gamma == 2.0 {
                            map_and_sum(z, gradient, |z| scaled(focal_negative_squared(z), factor))
                        } else {
                            map_and_sum(z, gradient, |z| scaled(focal_negative(z, gamma), factor))
                        }
                }
                (focus, _) => {
                    let weights = self.weights_of(row);
                    let cells = z.iter().zip(gradient.iter_mut()).zip(weights.iter()).enumerate();
                    cells.fold(0.0, |sum, (column, ((z, gradient), weight))| {
                        let (value, slope) = focus.negative(column, *z);
                        *gradient = scale * weight * slope;
                        sum + f64::from(weight * value)
                    })
                }
            };
        }
        match self.own(row) {
            None => loss,
            Some(own) => loss + self.own_column(row, own, scale, z[own], &mut gradient[own]),
        }
    }

    /// Turns the RoI's own column, which was added as a negative, into a positive; returns what its loss
    /// changes by.
    #[inline(always)]
    fn own_column(&self, row: usize, own: usize, scale: f32, z: f32, gradient: &mut f32) -> f64 {
        let negative = self.weight(row, own, z);
        match (&self.rule.focus, &self.rule.positives) {
            (Focus::None, ColumnWeights::All(1.0)) => {
                let (softplus, sigmoid) = softplus_and_sigmoid(z);
                *gradient = scale * (sigmoid - 1.0);
                f64::from((1.0 - negative) * softplus) - f64::from(z)
            }
            (Focus::None, weights) => {
                let (softplus, sigmoid) = softplus_and_sigmoid(z);
                let positive = weights.at(own);
                *gradient = scale * positive * (sigmoid - 1.0);
                f64::from(positive * (softplus - z) - negative * softplus)
            }
            (focus, weights) => {
                let (as_negative, _) = focus.negative(own, z);
                let (value, slope) = focus.negative(own, -z);
                let positive = weights.at(own);
                *gradient = -scale * positive * slope;
                f64::from(positive * value) - f64::from(negative * as_negative)
            }
        }
    }

    /// Calls `keep` with the columns that push their class down in a RoI and their weights, its own among
    /// them or not. `z` are the logits from column `first` on.
    #[inline(always)]
    pub(crate) fn each_kept(&self, row: usize, first: usize, z: &[f32], mut keep: impl FnMut(usize, f32)) {
        each_at_least(z, self.rule.rows[row].threshold, |index| {
            let weight = self.weight(row, first + index, z[index]);
            if weight > 0.0 {
                keep(first + index, weight);
            }
        });
    }
}

/// A value and its derivative times a factor.
#[inline(always)]
fn scaled((value, slope): (f32, f32), factor: f32) -> (f32, f32) {
    (value, factor * slope)
}

/// Calls `found` with every index whose value is at least `threshold`. Whole blocks below it are passed over
/// with a vectorised compare, which is what makes the sparse gradient cheap.
#[inline(always)]
fn each_at_least(values: &[f32], threshold: f32, mut found: impl FnMut(usize)) {
    const BLOCK: usize = 64;
    for (block, chunk) in values.chunks(BLOCK).enumerate() {
        let any = chunk.iter().fold(0_u32, |any, v| any | u32::from(*v >= threshold));
        if any != 0 {
            for (index, value) in chunk.iter().enumerate() {
                if *value >= threshold {
                    found(block * BLOCK + index);
                }
            }
        }
    }
}
