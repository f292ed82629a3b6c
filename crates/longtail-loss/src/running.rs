//! Running statistics of the sigmoid losses: sums of the gradients of every class, over the steps and the
//! workers.

use rayon::prelude::*;

use crate::{
    error::LossError,
    numerics::{sigmoid, vectorised},
    rule::{Cells, Rule, SigmoidHead},
    state::{LossState, Workers},
};

/// Added to negative gradients before dividing by them.
const TINY: f64 = 1e-10;

/// Which gradients of a class a loss sums over the steps, `1 - p` of its own RoIs against p of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracked {
    /// None.
    Nothing,
    /// Against all RoIs that are not its own.
    Negatives,
    /// As [`Self::Negatives`], both times the weights of the rule's first set and of its positives.
    WeightedNegatives,
    /// Against background RoIs.
    Background,
}

/// Sums over the RoIs of a step, by class, `[C]` each. Ignored RoIs do not count.
#[derive(Debug, Clone, PartialEq)]
pub struct GradientSums {
    /// `1 - p` of the RoIs of the class.
    pub of_positives: Vec<f64>,
    /// p of all other RoIs; where [`Tracked::Background`] is asked for, of background RoIs alone.
    pub of_negatives: Vec<f64>,
    /// p of background RoIs.
    pub of_background: Vec<f64>,
}

/// Ratio of positive to negative gradients of every class, `[C]`; `initial` before its first gradient.
///
/// # Errors
/// If the state is of another loss or another number of classes.
pub fn gradient_ratios(
    state: &LossState,
    num_classes: usize,
    loss: &'static str,
    initial: f64,
) -> Result<Vec<f64>, LossError> {
    match state {
        LossState::Stateless => Ok(vec![initial; num_classes]),
        LossState::GradientSums { positive, negative }
            if positive.len() == num_classes && negative.len() == num_classes =>
        {
            let ratio = |(p, n): (&f64, &f64)| if *p == 0.0 && *n == 0.0 { initial } else { p / (n + TINY) };
            Ok(positive.iter().zip(negative).map(ratio).collect())
        }
        _ => Err(LossError::State { loss, num_classes }),
    }
}

impl Rule {
    /// The state after the step, from the one before it and the step's sums over this worker.
    ///
    /// # Errors
    /// If the state is not one of gradient sums for so many classes.
    pub fn state_after(
        &self,
        sums: GradientSums,
        head: SigmoidHead,
        state: &LossState,
        workers: &dyn Workers,
    ) -> Result<LossState, LossError> {
        let classes = sums.of_positives.len();
        let GradientSums { of_positives: mut positives, of_negatives, of_background } = sums;
        let negatives = match self.tracked {
            Tracked::Nothing => return Ok(LossState::Stateless),
            Tracked::Background => of_background,
            Tracked::Negatives => of_negatives,
            Tracked::WeightedNegatives => {
                let column = |class: usize| head.of_class(class);
                let weight = |class: usize| f64::from(self.negatives[0].at(column(class)));
                let of_positives = |class: usize| f64::from(self.positives.at(column(class)));
                positives.iter_mut().enumerate().for_each(|(class, sum)| *sum *= of_positives(class));
                of_negatives.into_iter().enumerate().map(|(class, sum)| sum * weight(class)).collect()
            }
        };
        let (mut positive, mut negative) = match state {
            LossState::Stateless => (vec![0.0; classes], vec![0.0; classes]),
            LossState::GradientSums { positive, negative } if positive.len() == classes => {
                (positive.clone(), negative.clone())
            }
            _ => return Err(LossError::State { loss: "a loss with gradient sums", num_classes: classes }),
        };
        let mut step = [positives, negatives].concat();
        workers.sum(&mut step);
        positive.iter_mut().zip(&step[..classes]).for_each(|(total, new)| *total += new);
        negative.iter_mut().zip(&step[classes..]).for_each(|(total, new)| *total += new);
        Ok(LossState::GradientSums { positive, negative })
    }
}

impl GradientSums {
    /// Of no RoI yet; empty where the rule tracks nothing.
    pub(crate) fn of(cells: &Cells<'_>) -> Self {
        let tracked = cells.rule.tracked != Tracked::Nothing;
        let zeros = || vec![0.0; if tracked { cells.targets.num_classes() } else { 0 }];
        Self { of_positives: zeros(), of_negatives: zeros(), of_background: zeros() }
    }

    /// Adds the logits of RoIs from `first` on, one after the other.
    pub(crate) fn add(&mut self, cells: &Cells<'_>, first: usize, logits: &[f32]) {
        /// Classes of a task.
        const CLASSES: usize = 128;
        let (head, targets, outputs) = (cells.head, cells.targets, cells.outputs());
        let positives = self.of_positives.par_chunks_mut(CLASSES);
        let parts = positives
            .zip(self.of_negatives.par_chunks_mut(CLASSES))
            .zip(self.of_background.par_chunks_mut(CLASSES));
        parts.enumerate().for_each(|(task, ((positives, negatives), background))| {
            let (first_class, classes) = (task * CLASSES, positives.len());
            vectorised(
                #[inline(always)]
                || {
                    for (index, z) in logits.chunks_exact(outputs).enumerate() {
                        if targets.is_ignored(first + index) {
                            continue;
                        }
                        let z = &z[head.of_class(first_class)..][..classes];
                        let label = targets.labels()[first + index] as usize;
                        if label == 0 {
                            let sums = negatives.iter_mut().zip(background.iter_mut());
                            for ((negative, background), z) in sums.zip(z) {
                                let p = f64::from(sigmoid(*z));
                                *negative += p;
                                *background += p;
                            }
                            continue;
                        }
                        let own = (label - 1).checked_sub(first_class).filter(|&own| own < classes);
                        if let Some(own) = own {
                            positives[own] += 1.0 - f64::from(sigmoid(z[own]));
                        }
                        if cells.rule.tracked == Tracked::Background {
                            continue;
                        }
                        let end = own.unwrap_or(classes);
                        for columns in [0..end, (end + 1).min(classes)..classes] {
                            for (negative, z) in negatives[columns.clone()].iter_mut().zip(&z[columns]) {
                                *negative += f64::from(sigmoid(*z));
                            }
                        }
                    }
                },
            );
        });
    }
}
