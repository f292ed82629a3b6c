//! A loss as weighted binary cross-entropy whose weights are known before the logits: all that a kernel on another device
//! needs to know of it.

use crate::{
    classification::{LossState, Workers},
    error::LossError,
    sigmoid::Columns,
    targets::RoiTargets,
};

/// Which negatives count, and how much. A negative in column i of RoI n counts `weights[set of n][i]` where its logit is at least the
/// threshold of n, and nothing elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Suppression {
    /// Columns of the head.
    pub(crate) columns: Columns,
    /// One a RoI.
    pub rows: Vec<RowRule>,
    /// Sets of weights, `[sets × K]`.
    pub weights: Vec<f32>,
}

/// What decides over the negatives of a RoI.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowRule {
    /// Least logit of a negative that counts.
    pub threshold: f32,
    /// Place of its weights.
    pub set: usize,
}

/// What running statistics are made of: sums over the RoIs of a step, by class, `[C]` each. Ignored RoIs do not count.
#[derive(Debug, Clone, PartialEq)]
pub struct GradientSums {
    /// `1 - p` of the RoIs of the class.
    pub of_positives: Vec<f64>,
    /// p of background RoIs.
    pub of_background: Vec<f64>,
}

/// A loss that is a [`Suppression`] at every step.
pub trait SuppressionLoss: Sync {
    /// The loss at a step, or `None` if weights depend on more than thresholds.
    ///
    /// # Errors
    /// If the state is not of this loss.
    fn suppression(&self, targets: &RoiTargets, state: &LossState) -> Result<Option<Suppression>, LossError>;

    /// The running statistics after a step; most losses keep none.
    ///
    /// # Errors
    /// As [`Self::suppression`].
    fn state_after(
        &self,
        _sums: GradientSums,
        _targets: &RoiTargets,
        _state: &LossState,
        _workers: &dyn Workers,
    ) -> Result<LossState, LossError> {
        Ok(LossState::Stateless)
    }
}

impl Suppression {
    /// With a rule for each RoI and sets of weights `[sets × K]`, over a head with or without a background logit in column 0.
    pub fn new(background_logit: bool, rows: Vec<RowRule>, weights: Vec<f32>) -> Self {
        Self { columns: Columns { background: background_logit }, rows, weights }
    }

    /// Binary cross-entropy: every negative counts.
    pub(crate) fn none(columns: Columns, targets: &RoiTargets) -> Self {
        Self::by_sets(columns, targets, vec![1.0; columns.count(targets.num_classes())], |_| 0)
    }

    /// Every negative counts by a set of weights, chosen by `set_of(RoI)`.
    pub(crate) fn by_sets(
        columns: Columns,
        targets: &RoiTargets,
        weights: Vec<f32>,
        set_of: impl Fn(usize) -> usize,
    ) -> Self {
        let rule = |row| RowRule { threshold: f32::MIN, set: set_of(row) };
        Self { columns, rows: (0..targets.len()).map(rule).collect(), weights }
    }
}
