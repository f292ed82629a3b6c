//! The trait of a classification loss, what it reads and what it keeps.

use rayon::prelude::*;

use crate::{
    error::LossError,
    fused::{LinearEvaluation, LinearLayer, evaluate_linear_dense},
    numerics::vectorised,
    sigmoid::SigmoidLoss,
    state::{LossState, Workers},
    targets::{Column, RoiTargets, clear, hide},
};

/// What a loss may know about the classes when it is built. Counts are those of the training set in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClassContext<'a> {
    /// Number of foreground classes C.
    pub num_classes: usize,
    /// Training images that hold each class, `[C]`.
    pub image_counts: Option<&'a [u64]>,
    /// Boxes of each class in the training set, `[C]`.
    pub instance_counts: Option<&'a [u64]>,
    /// Training images.
    pub total_images: Option<u64>,
    /// Whether a loss that reads counts is refused.
    pub statistics_free: bool,
}

impl<'a> ClassContext<'a> {
    /// A context without counts.
    pub fn new(num_classes: usize) -> Self {
        Self { num_classes, ..Self::default() }
    }

    /// Image counts, one a class.
    ///
    /// # Errors
    /// If there are none, their number is not C, or losses may not read any.
    pub fn image_counts(&self, loss: &'static str) -> Result<&'a [u64], LossError> {
        self.counts(loss, self.image_counts)
    }

    /// Box counts, one a class.
    ///
    /// # Errors
    /// As [`Self::image_counts`].
    pub fn instance_counts(&self, loss: &'static str) -> Result<&'a [u64], LossError> {
        self.counts(loss, self.instance_counts)
    }

    /// Share of the training images that hold each class.
    ///
    /// # Errors
    /// As [`Self::image_counts`].
    pub fn image_frequencies(&self, loss: &'static str) -> Result<Vec<f64>, LossError> {
        let counts = self.image_counts(loss)?;
        let total = self.total_images.filter(|&n| n > 0).ok_or(LossError::MissingCounts { loss })?;
        Ok(counts.iter().map(|&n| n as f64 / total as f64).collect())
    }

    fn counts(&self, loss: &'static str, counts: Option<&'a [u64]>) -> Result<&'a [u64], LossError> {
        if self.statistics_free {
            return Err(LossError::StatisticsForbidden { loss });
        }
        let counts = counts.ok_or(LossError::MissingCounts { loss })?;
        if counts.len() != self.num_classes {
            return Err(LossError::CountsLength { found: counts.len(), expected: self.num_classes });
        }
        Ok(counts)
    }
}

/// A loss at a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The loss.
    pub value: f64,
    /// Its gradient with respect to the logits, `[N × K]`.
    pub gradient: Vec<f32>,
    /// The running statistics after the step.
    pub state: LossState,
}

/// Negatives (RoI × class pairs in which the class is not the RoI's) of a step, by class.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptNegatives {
    /// Negatives that push the class down, `[C]`; one of weight w counts as w, at most 1.
    pub kept: Vec<f64>,
    /// All negatives, `[C]`.
    pub total: Vec<u64>,
}

/// A step of a loss: logits `[N × K]` with the RoIs that they are of.
#[derive(Clone, Copy)]
pub struct Step<'a> {
    /// Logits, those of other labels hidden.
    pub logits: &'a [f32],
    /// The RoIs.
    pub targets: &'a RoiTargets,
    /// Running statistics before the step.
    pub state: &'a LossState,
    /// Who shares the step.
    pub workers: &'a dyn Workers,
}

/// A classification loss, built for the classes of a data set: output width K, loss with gradient, and class
/// scores.
pub trait ClassificationLoss: Send + Sync {
    /// Width K of the head's output for `num_classes` foreground classes.
    fn num_outputs(&self, num_classes: usize) -> usize;

    /// What each of the K columns is about: the classes, after a background column if K = C + 1.
    fn columns(&self, num_classes: usize) -> Vec<Column> {
        let background = (self.num_outputs(num_classes) > num_classes).then_some(Column::Background);
        background.into_iter().chain((0..num_classes).map(Column::Class)).collect()
    }

    /// What [`Self::evaluate`] gives, for logits in which the columns of other labels are hidden already. For
    /// implementations: callers use [`Self::evaluate`].
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    fn compute(&self, step: Step<'_>) -> Result<Evaluation, LossError>;

    /// The loss of `logits [N × K]`, with exact gradient. No RoI gives 0. Columns of other labels that hold
    /// for a RoI take no part in it.
    ///
    /// # Errors
    /// If the logits do not fit the targets or are not finite.
    fn evaluate(
        &self,
        logits: &[f32],
        targets: &RoiTargets,
        state: &LossState,
        workers: &dyn Workers,
    ) -> Result<Evaluation, LossError> {
        let outputs = self.num_outputs(targets.num_classes());
        let hidden = targets.hidden(|| self.columns(targets.num_classes()));
        if hidden.is_empty() || logits.len() != targets.len() * outputs {
            return self.compute(Step { logits, targets, state, workers });
        }
        let mut logits = logits.to_vec();
        hide(&mut logits, outputs, &hidden);
        let mut found = self.compute(Step { logits: &logits, targets, state, workers })?;
        clear(&mut found.gradient, outputs, &hidden);
        Ok(found)
    }

    /// Scores in `0..=1` of the foreground classes, `[N × C]`, for `logits [N × columns]`.
    fn class_scores(&self, logits: &[f32], columns: usize) -> Vec<f32>;

    /// The loss of a linear layer's outputs, with the gradients of its weights, its bias and, unless they are
    /// frozen, its inputs.
    ///
    /// # Errors
    /// If the shapes do not fit or an output is not finite.
    fn evaluate_linear(
        &self,
        layer: LinearLayer<'_>,
        targets: &RoiTargets,
        state: &LossState,
        workers: &dyn Workers,
    ) -> Result<LinearEvaluation, LossError> {
        evaluate_linear_dense(self, layer, targets, state, workers)
    }

    /// Whether the scores are softmax of the logits, column 0 background: what corrections and other programs
    /// take for granted.
    fn scores_are_softmax(&self) -> bool {
        false
    }

    /// Changes the weights `[inputs × columns]` of a trained layer to those that give the logits of
    /// [`Self::class_scores`]; for most losses they are the same.
    ///
    /// # Errors
    /// If the weights are not a whole number of rows.
    fn final_weights(&self, _weight: &mut [f32], _columns: usize) -> Result<(), LossError> {
        Ok(())
    }

    /// The loss as a rule over cells, if it is one: what kernels on other devices need to know of it.
    fn as_sigmoid(&self) -> Option<&dyn SigmoidLoss> {
        None
    }

    /// Which negatives of a step push their class down, given the state before it; `None` for losses that do
    /// not select.
    fn kept_negatives(
        &self,
        _logits: &[f32],
        _targets: &RoiTargets,
        _state: &LossState,
    ) -> Option<KeptNegatives> {
        None
    }
}

/// Rows of a task: fixed, so that sums are taken in the same order on any number of threads.
const ROWS: usize = 8;

/// Sums `row(n, scale, z, gradient)` over the RoIs: the row's unscaled loss is returned, its scaled gradient
/// written to a slice of zeros. Rows of scale 0 are left out.
pub(crate) fn by_rows(
    logits: &[f32],
    columns: usize,
    targets: &RoiTargets,
    row: impl Fn(usize, f32, &[f32], &mut [f32]) -> f64 + Sync,
) -> (f64, Vec<f32>) {
    let mut gradient = vec![0.0; logits.len()];
    let partial = write_rows(logits, &mut gradient, columns, &targets.scales(), row);
    (partial.iter().sum(), gradient)
}

/// As [`by_rows`], into a gradient that is there; returns the sum of each task.
pub(crate) fn write_rows(
    logits: &[f32],
    gradient: &mut [f32],
    columns: usize,
    scales: &[f32],
    row: impl Fn(usize, f32, &[f32], &mut [f32]) -> f64 + Sync,
) -> Vec<f64> {
    let task = |(task, (z, gradient)): (usize, (&[f32], &mut [f32]))| {
        vectorised(
            #[inline(always)]
            || {
                let mut sum = 0.0;
                let rows = z.chunks_exact(columns).zip(gradient.chunks_exact_mut(columns));
                for (n, (z, g)) in (task * ROWS..).zip(rows) {
                    if scales[n] != 0.0 {
                        sum += f64::from(scales[n]) * row(n, scales[n], z, g);
                    }
                }
                sum
            },
        )
    };
    let size = ROWS * columns;
    logits.par_chunks(size).zip(gradient.par_chunks_mut(size)).enumerate().map(task).collect()
}

/// Scores row by row: `row(z, scores)` with `scores [classes]`.
pub(crate) fn scores_by_rows(
    logits: &[f32],
    columns: usize,
    classes: usize,
    row: impl Fn(&[f32], &mut [f32]) + Sync,
) -> Vec<f32> {
    let mut scores = vec![0.0; logits.len() / columns * classes];
    logits.par_chunks(columns).zip(scores.par_chunks_mut(classes)).for_each(|(z, scores)| {
        vectorised(
            #[inline(always)]
            || row(z, scores),
        );
    });
    scores
}
