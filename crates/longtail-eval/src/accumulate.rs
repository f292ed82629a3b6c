//! Precision and recall of a class over all images.

use crate::{
    matching::{Matched, Outcome},
    numerics::{IOU_COUNT, RECALL_COUNT, descending, mean, recall_thresholds},
};

/// Precision and recall of a class in one area range and under one cap; all that the metrics are made of.
pub(crate) struct Curves {
    /// Precision at each recall threshold, by IoU threshold.
    pub precision: [[f64; RECALL_COUNT]; IOU_COUNT],
    /// Largest recall, by IoU threshold.
    pub recall: [f64; IOU_COUNT],
}

impl Curves {
    /// Joins the images of a class, in ascending order of their ids, the best `cap` detections of each. `None`
    /// without countable ground truth.
    pub fn of<'a>(images: impl Iterator<Item = &'a Matched> + Clone, cap: usize) -> Option<Self> {
        let countable: u64 = images.clone().map(|m| m.countable).sum();
        if countable == 0 {
            return None;
        }
        let mut rows: Vec<Outcome> =
            images.flat_map(|m| m.outcomes[..m.outcomes.len().min(cap)].iter().copied()).collect();
        rows.sort_by(|a, b| descending(a.score, b.score));
        let mut curves = Self { precision: [[0.0; RECALL_COUNT]; IOU_COUNT], recall: [0.0; IOU_COUNT] };
        let (mut recall, mut precision) = (vec![0.0; rows.len()], vec![0.0; rows.len()]);
        for t in 0..IOU_COUNT {
            let bit = 1 << t;
            let (mut right, mut wrong) = (0.0, 0.0);
            for (row, outcome) in rows.iter().enumerate() {
                if outcome.ignored & bit == 0 {
                    if outcome.hit & bit != 0 {
                        right += 1.0;
                    } else {
                        wrong += 1.0;
                    }
                }
                recall[row] = right / countable as f64;
                precision[row] = right / ((wrong + right) + f64::EPSILON);
            }
            for row in (1..rows.len()).rev() {
                precision[row - 1] = f64::max(precision[row - 1], precision[row]);
            }
            curves.recall[t] = recall.last().copied().unwrap_or(0.0);
            for (cell, threshold) in curves.precision[t].iter_mut().zip(recall_thresholds()) {
                let row = recall.partition_point(|r| *r < threshold);
                *cell = precision.get(row).copied().unwrap_or(0.0);
            }
        }
        Some(curves)
    }

    /// Mean precision over the IoU thresholds in `ious`.
    pub fn average_precision(&self, ious: std::ops::Range<usize>) -> Option<f64> {
        mean(&self.precision[ious].concat())
    }

    /// Mean recall over all IoU thresholds.
    pub fn average_recall(&self) -> Option<f64> {
        mean(&self.recall)
    }
}

/// Mean precision of several classes, summed in the references' order: IoU, recall, class.
pub(crate) fn mean_precision<'a>(
    classes: impl Iterator<Item = &'a Curves>,
    ious: std::ops::Range<usize>,
) -> Option<f64> {
    let classes: Vec<&Curves> = classes.collect();
    let mut cells = Vec::with_capacity(ious.len() * RECALL_COUNT * classes.len());
    for t in ious {
        for r in 0..RECALL_COUNT {
            cells.extend(classes.iter().map(|c| c.precision[t][r]));
        }
    }
    mean(&cells)
}

/// Mean recall of several classes, summed in the references' order: IoU, class.
pub(crate) fn mean_recall<'a>(classes: impl Iterator<Item = &'a Curves>) -> Option<f64> {
    let classes: Vec<&Curves> = classes.collect();
    let cells: Vec<f64> = (0..IOU_COUNT).flat_map(|t| classes.iter().map(move |c| c.recall[t])).collect();
    mean(&cells)
}
