//! What the sigmoid losses share: the layout of their columns and weighted binary cross-entropy.

use crate::{
    classification::{Evaluation, KeptNegatives, LossState, by_rows, scores_by_rows},
    error::LossError,
    numerics::{negatives, sigmoid, weighted_negatives},
    targets::RoiTargets,
};

/// Columns of a sigmoid head: C classes, and a background logit before them if asked for. The background logit is
/// trained like a class whose RoIs are the background, and unused in scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Columns {
    pub background: bool,
}

impl Columns {
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

    /// Sigmoid of the class columns, `[N × C]`.
    pub fn scores(self, logits: &[f32], columns: usize) -> Vec<f32> {
        let first = usize::from(self.background);
        scores_by_rows(
            logits,
            columns,
            columns - first,
            #[inline(always)]
            |z, scores| {
                for (score, z) in scores.iter_mut().zip(&z[first..]) {
                    *score = sigmoid(*z);
                }
            },
        )
    }

    /// Sums the weights of the negatives that `kept_in_row(row, keep)` names by `keep(class, weight)`. A label that holds for
    /// a RoI is no negative of it.
    pub fn kept_negatives(
        self,
        targets: &RoiTargets,
        mut kept_in_row: impl FnMut(usize, &mut dyn FnMut(usize, f32)),
    ) -> KeptNegatives {
        let classes = targets.num_classes();
        let (mut kept, mut total) = (vec![0.0; classes], vec![0; classes]);
        for (row, &label) in targets.labels().iter().enumerate() {
            if targets.is_ignored(row) {
                continue;
            }
            let others: Vec<u32> = targets.other_labels_of(row).collect();
            let is_negative = |class: usize| {
                class + 1 != label as usize && !others.iter().any(|other| *other as usize == class + 1)
            };
            total.iter_mut().enumerate().for_each(|(class, n)| *n += u64::from(is_negative(class)));
            kept_in_row(row, &mut |class, weight| {
                if is_negative(class) {
                    kept[class] += f64::from(weight);
                }
            });
        }
        KeptNegatives { kept, total }
    }
}

/// Weight of each column of a row as a negative; what the row's own column says does not count.
pub(crate) enum RowWeights<'a> {
    /// All 1.
    Ones,
    /// One a column.
    Each(&'a [f32]),
}

/// Binary cross-entropy with constant weights on the negatives, summed over columns:
/// `-log p_k - Σ_{i≠k} w_i log(1 - p_i)`.
pub(crate) fn weighted_bce<'w>(
    logits: &[f32],
    columns: Columns,
    targets: &RoiTargets,
    weights_of: impl Fn(usize) -> RowWeights<'w> + Sync,
) -> Result<Evaluation, LossError> {
    let outputs = columns.count(targets.num_classes());
    targets.check(logits, outputs)?;
    let (value, gradient) = by_rows(
        logits,
        outputs,
        targets,
        #[inline(always)]
        |n, scale, z, gradient| {
            let weights = weights_of(n);
            let mut loss = match weights {
                RowWeights::Ones => negatives(z, scale, gradient),
                RowWeights::Each(weights) => weighted_negatives(z, weights, scale, gradient),
            };
            if let Some(own) = columns.of_label(targets.labels()[n]) {
                // The own column was taken as a negative of its weight; as a positive it is softplus(z) - z.
                let weight = match weights {
                    RowWeights::Ones => 1.0,
                    RowWeights::Each(weights) => weights[own],
                };
                loss += own_column(z[own], weight, scale, &mut gradient[own]);
            }
            loss
        },
    );
    Ok(Evaluation { value, gradient, state: LossState::Stateless })
}

/// Turns a column that was added as a negative of `weight` into a positive of weight 1; returns what its loss changes by.
#[inline(always)]
pub(crate) fn own_column(z: f32, weight: f32, scale: f32, gradient: &mut f32) -> f64 {
    let (softplus, sigmoid) = crate::numerics::softplus_and_sigmoid(z);
    *gradient = scale * (sigmoid - 1.0);
    f64::from((1.0 - weight) * softplus) - f64::from(z)
}
