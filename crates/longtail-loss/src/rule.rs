//! What a sigmoid loss does at a step to every cell, a pair of RoI and column: data, of which one engine
//! ([`crate::sigmoid`]) makes values, gradients, the fused layer and the count of kept negatives, and
//! `longtail-ops` a kernel on a GPU.

use std::borrow::Cow;

use longtail_draw::{Purpose, unit};

use crate::{
    numerics::{focal_negative, sigmoid, softplus_and_sigmoid},
    running::Tracked,
    targets::RoiTargets,
};

/// Columns of a sigmoid head: C classes, and a background logit before them if asked for. The background
/// logit is trained like a class whose RoIs are the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SigmoidHead {
    /// Whether column 0 is a background logit.
    pub background: bool,
}

impl SigmoidHead {
    /// Width K for so many classes.
    pub fn count(self, num_classes: usize) -> usize {
        num_classes + usize::from(self.background)
    }

    /// Column of a class.
    pub fn of_class(self, class: usize) -> usize {
        class + usize::from(self.background)
    }

    /// Column of a label; `None` for background without a background logit.
    pub fn of_label(self, label: u32) -> Option<usize> {
        if self.background { Some(label as usize) } else { (label as usize).checked_sub(1) }
    }
}

/// A sigmoid loss at a step. With `p = sigmoid(z)` and γ the exponent of the column, a cell of RoI n and
/// column i adds
///
/// - `-v_i (1 - p)^γ log p` where the column is the RoI's own,
/// - `-w_i p^γ log(1 - p)` elsewhere, if z is at least the threshold of the RoI and the cell is drawn; or
///   else nothing.
///
/// Thresholds, weights and draws are constants for differentiation.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// One a RoI.
    pub rows: Vec<RowRule>,
    /// Sets of weights w, of which every RoI names one.
    pub negatives: Vec<ColumnWeights>,
    /// Weights v.
    pub positives: ColumnWeights,
    /// Exponents γ.
    pub focus: Focus,
    /// Which cells of drawn RoIs are kept.
    pub draw: CellDraw,
    /// What the loss remembers of the step.
    pub tracked: Tracked,
}

/// What decides over the negatives of a RoI.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowRule {
    /// Least logit of a negative that counts.
    pub threshold: f32,
    /// Index of its set of weights.
    pub set: usize,
    /// Whether [`Rule::draw`] holds for it.
    pub drawn: bool,
}

impl RowRule {
    /// Every negative counts, by the first set of weights.
    pub const EVERY: Self = Self { threshold: f32::NEG_INFINITY, set: 0, drawn: false };
}

/// Weights of the columns of a head.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnWeights {
    /// The same for all.
    All(f32),
    /// One a column, `[K]`.
    Each(Vec<f32>),
}

impl ColumnWeights {
    /// Weight of a column.
    #[inline(always)]
    pub fn at(&self, column: usize) -> f32 {
        match self {
            Self::All(weight) => *weight,
            Self::Each(weights) => weights[column],
        }
    }

    /// Of every column, `[K]`.
    pub fn to_vec(&self, columns: usize) -> Vec<f32> {
        (0..columns).map(|column| self.at(column)).collect()
    }
}

/// Exponents γ of focal losses.
#[derive(Debug, Clone, PartialEq)]
pub enum Focus {
    /// 0: cross-entropy.
    None,
    /// The same for all columns.
    All(f32),
    /// One a column, `[K]`.
    Each(Vec<f32>),
}

impl Focus {
    /// `-p^γ log(1 - p)` and its derivative by z; a positive is the negative of `-z`.
    #[inline(always)]
    pub(crate) fn negative(&self, column: usize, z: f32) -> (f32, f32) {
        match self {
            Self::None => softplus_and_sigmoid(z),
            Self::All(gamma) => focal_negative(z, *gamma),
            Self::Each(gammas) => focal_negative(z, gammas[column]),
        }
    }
}

/// Draws over the negatives of a RoI, each a function of the step's key, the RoI and the column.
#[derive(Debug, Clone, PartialEq)]
pub enum CellDraw {
    /// All are kept.
    None,
    /// A negative of score p is kept with probability `min(1, p / divisor)`.
    ByScore {
        /// The divisor.
        divisor: f64,
    },
    /// Negatives of some classes are kept with a probability.
    ByShare {
        /// The probability.
        share: f64,
        /// The classes, `[C]`.
        classes: Vec<bool>,
    },
}

impl Rule {
    /// Binary cross-entropy: every negative counts.
    pub fn every(targets: &RoiTargets) -> Self {
        Self {
            rows: vec![RowRule::EVERY; targets.len()],
            negatives: vec![ColumnWeights::All(1.0)],
            positives: ColumnWeights::All(1.0),
            focus: Focus::None,
            draw: CellDraw::None,
            tracked: Tracked::Nothing,
        }
    }

    /// With `of_row(label)` for every RoI.
    pub fn by_label(mut self, targets: &RoiTargets, of_row: impl Fn(u32) -> RowRule) -> Self {
        self.rows = targets.labels().iter().map(|label| of_row(*label)).collect();
        self
    }

    /// Whether few negatives are expected to count, so that triples serve better than a matrix: every RoI has
    /// a threshold and nothing but it decides.
    pub(crate) fn is_sparse(&self) -> bool {
        let by_threshold = |row: &RowRule| row.threshold > f32::NEG_INFINITY && !row.drawn;
        let plain = self.focus == Focus::None && self.positives == ColumnWeights::All(1.0);
        plain && self.tracked == Tracked::Nothing && self.rows.iter().all(by_threshold)
    }

    /// The same with every draw turned into a set of weights; `None` where draws depend on the logits.
    pub fn without_draws(mut self, head: SigmoidHead, targets: &RoiTargets) -> Option<Self> {
        if let CellDraw::ByScore { .. } = self.draw {
            return None;
        }
        let cells = Cells { head, rule: &self, targets };
        let drawn: Vec<_> = (0..targets.len()).filter(|&row| self.rows[row].drawn).collect();
        let sets: Vec<Vec<f32>> = drawn.iter().map(|&row| cells.weights_of(row).into_owned()).collect();
        for (row, weights) in drawn.into_iter().zip(sets) {
            self.rows[row].set = self.negatives.len();
            self.rows[row].drawn = false;
            self.negatives.push(ColumnWeights::Each(weights));
        }
        Some(self)
    }
}

/// A rule with what it is applied to.
#[derive(Clone, Copy)]
pub(crate) struct Cells<'a> {
    pub(crate) head: SigmoidHead,
    pub(crate) rule: &'a Rule,
    pub(crate) targets: &'a RoiTargets,
}

impl<'a> Cells<'a> {
    /// Width K.
    pub(crate) fn outputs(&self) -> usize {
        self.head.count(self.targets.num_classes())
    }

    /// The column of a RoI's label, if it has one.
    #[inline(always)]
    pub(crate) fn own(&self, row: usize) -> Option<usize> {
        self.head.of_label(self.targets.labels()[row])
    }

    /// Weight of a cell as a negative.
    #[inline(always)]
    pub(crate) fn weight(&self, row: usize, column: usize, z: f32) -> f32 {
        let RowRule { threshold, set, drawn } = self.rule.rows[row];
        if z < threshold || (drawn && !self.is_drawn(row, column, z)) {
            return 0.0;
        }
        self.rule.negatives[set].at(column)
    }

    /// Weights of a RoI's negatives by its set and the draws that do not depend on logits, `[K]`.
    pub(crate) fn weights_of(&self, row: usize) -> Cow<'a, [f32]> {
        let RowRule { set, drawn, .. } = self.rule.rows[row];
        match &self.rule.negatives[set] {
            ColumnWeights::Each(weights) if !drawn => Cow::Borrowed(weights),
            weights => {
                let mut weights = weights.to_vec(self.outputs());
                if drawn {
                    let kept = |column: usize| self.is_drawn(row, column, 0.0);
                    weights
                        .iter_mut()
                        .enumerate()
                        .filter(|(column, _)| !kept(*column))
                        .for_each(|(_, w)| *w = 0.0);
                }
                Cow::Owned(weights)
            }
        }
    }

    /// Whether the draw keeps a negative of a drawn RoI.
    #[inline(always)]
    fn is_drawn(&self, row: usize, column: usize, z: f32) -> bool {
        let key = self.targets.draw();
        match &self.rule.draw {
            CellDraw::None => true,
            CellDraw::ByScore { divisor } => {
                let index = ((row as u64) << 32) | column as u64;
                unit(key, Purpose::AcslScores, index) * divisor < f64::from(sigmoid(z))
            }
            CellDraw::ByShare { share, classes } => {
                let Some(class) = column.checked_sub(self.head.of_class(0)) else { return true };
                let index = (row * classes.len() + class) as u64;
                !classes[class] || (*share > 0.0 && unit(key, Purpose::DropLossBackground, index) <= *share)
            }
        }
    }
}
