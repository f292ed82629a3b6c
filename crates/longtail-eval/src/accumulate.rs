//! Precision and recall of a class, or of a pool of classes, over all images.

use crate::{
    matches::Matched,
    matching::EVERY,
    numerics::{IOU_COUNT, RECALL_COUNT, mean, recall_thresholds},
};

/// Precision and recall of a class in one area range and under one cap; all that the metrics are made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Curves {
    /// Precision at each recall threshold, by IoU threshold.
    pub precision: [[f64; RECALL_COUNT]; IOU_COUNT],
    /// Largest recall, by IoU threshold.
    pub recall: [f64; IOU_COUNT],
    /// Score at each recall threshold, by IoU threshold; 0 beyond the largest recall. Empty unless asked for: with
    /// thousands of classes it is half of the memory.
    pub scores: Vec<[f64; RECALL_COUNT]>,
}

impl Curves {
    /// Of detections by descending score, with `countable` > 0 boxes of ground truth.
    ///
    /// Recall grows, and precision can peak, only where a detection is right; so the rows in between need no more
    /// than their number.
    pub fn of(rows: &[&Matched], area: usize, countable: u64) -> Self {
        Self::build(rows, area, countable, Vec::new())
    }

    /// The same with the scores.
    pub fn with_scores(rows: &[&Matched], area: usize, countable: u64) -> Self {
        Self::build(rows, area, countable, vec![[0.0; RECALL_COUNT]; IOU_COUNT])
    }

    fn build(rows: &[&Matched], area: usize, countable: u64, scores: Vec<[f64; RECALL_COUNT]>) -> Self {
        let mut curves =
            Self { precision: [[0.0; RECALL_COUNT]; IOU_COUNT], recall: [0.0; IOU_COUNT], scores };
        // Precision and row of each right detection, by threshold.
        let mut right: [Vec<(f64, u32)>; IOU_COUNT] = Default::default();
        // Wrong at every threshold; at some.
        let (mut always_wrong, mut wrong) = (0u64, [0u64; IOU_COUNT]);
        for (row, place) in rows.iter().zip(0..) {
            let outcome = row.outcomes[area];
            if outcome.hit | outcome.ignored == 0 {
                always_wrong += 1;
                continue;
            }
            if outcome.ignored == EVERY {
                continue;
            }
            for t in 0..IOU_COUNT {
                let bit = 1 << t;
                if outcome.ignored & bit != 0 {
                    continue;
                }
                if outcome.hit & bit == 0 {
                    wrong[t] += 1;
                } else {
                    let (tp, fp) = (right[t].len() as f64 + 1.0, (always_wrong + wrong[t]) as f64);
                    right[t].push((tp / ((fp + tp) + f64::EPSILON), place));
                }
            }
        }
        for t in 0..IOU_COUNT {
            let points = &mut right[t];
            for k in (1..points.len()).rev() {
                points[k - 1].0 = f64::max(points[k - 1].0, points[k].0);
            }
            curves.recall[t] = points.len() as f64 / countable as f64;
            let mut k = 0;
            for (r, threshold) in recall_thresholds().into_iter().enumerate() {
                while k < points.len() && ((k + 1) as f64 / countable as f64) < threshold {
                    k += 1;
                }
                let Some(&(precision, row)) = points.get(k) else { break };
                curves.precision[t][r] = precision;
                if let Some(scores) = curves.scores.get_mut(t) {
                    // The first row reaches recall 0, right or wrong.
                    scores[r] = if threshold == 0.0 { rows[0].score } else { rows[row as usize].score };
                }
            }
            if let (Some(scores), Some(first), true) =
                (curves.scores.get_mut(t), rows.first(), points.is_empty())
            {
                scores[0] = first.score;
            }
        }
        curves
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
