//! Precision and recall of a class, or of a pool of classes, over all images.

use super::{matches::Found, settings::Plan};
use crate::numerics::mean;

/// Precision and recall of a class in one area range and under one cap; all that the metrics are made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Curves {
    /// Precision at each recall threshold, `[T, R]`.
    pub precision: Vec<f64>,
    /// Largest recall, by IoU threshold.
    pub recall: Vec<f64>,
    /// Score at each recall threshold, `[T, R]`; 0 beyond the largest recall. Empty unless asked for: with
    /// thousands of classes it is half of the memory.
    pub scores: Vec<f64>,
}

impl Curves {
    /// Of detections by descending score, with `countable` > 0 boxes of ground truth.
    ///
    /// Recall grows, and precision can peak, only where a detection is right; so the rows in between need no
    /// more than their number.
    pub(crate) fn of(plan: &Plan, rows: &[Found<'_>], area: usize, countable: u64) -> Self {
        Self::build(plan, rows, area, countable, false)
    }

    /// The same with the scores.
    pub(crate) fn with_scores(plan: &Plan, rows: &[Found<'_>], area: usize, countable: u64) -> Self {
        Self::build(plan, rows, area, countable, true)
    }

    fn build(plan: &Plan, rows: &[Found<'_>], area: usize, countable: u64, with_scores: bool) -> Self {
        let (ious, recalls) = (plan.iou_thresholds.len(), plan.recall_thresholds.len());
        let mut curves = Self {
            precision: vec![0.0; ious * recalls],
            recall: vec![0.0; ious],
            scores: vec![0.0; if with_scores { ious * recalls } else { 0 }],
        };
        for chunk in 0..plan.planes.chunks() {
            let right = right_rows(plan, rows, area, chunk);
            for (t, points) in plan.planes.thresholds(chunk).zip(right) {
                curves.read(plan, rows, t, points, countable as f64);
            }
        }
        curves
    }

    /// Reads the curve of an IoU threshold from the precision and row of each right detection.
    fn read(
        &mut self,
        plan: &Plan,
        rows: &[Found<'_>],
        t: usize,
        mut points: Vec<(f64, u32)>,
        countable: f64,
    ) {
        for k in (1..points.len()).rev() {
            points[k - 1].0 = f64::max(points[k - 1].0, points[k].0);
        }
        self.recall[t] = points.len() as f64 / countable;
        let first = t * plan.recall_thresholds.len();
        let mut k = 0;
        for (cell, &threshold) in (first..).zip(&plan.recall_thresholds) {
            while k < points.len() && ((k + 1) as f64 / countable) < threshold {
                k += 1;
            }
            // The first row reaches recall 0, right or wrong.
            let score = if threshold > 0.0 { points.get(k).map(|p| p.1 as usize) } else { Some(0) };
            if let (Some(cell), Some(found)) =
                (self.scores.get_mut(cell), score.and_then(|row| rows.get(row)))
            {
                *cell = found.score;
            }
            let Some(&(precision, _)) = points.get(k) else { if threshold > 0.0 { break } else { continue } };
            self.precision[cell] = precision;
        }
    }

    /// Mean precision over the IoU thresholds at these indices.
    pub(crate) fn average_precision(&self, ious: &[usize]) -> Option<f64> {
        let recalls = self.precision.len() / self.recall.len();
        let of_iou = |&t: &usize| &self.precision[t * recalls..(t + 1) * recalls];
        mean(&ious.iter().flat_map(of_iou).copied().collect::<Vec<_>>())
    }

    /// Mean recall over all IoU thresholds.
    pub(crate) fn average_recall(&self) -> Option<f64> {
        mean(&self.recall)
    }
}

/// Precision and row of each right detection, for each threshold of a chunk.
fn right_rows(plan: &Plan, rows: &[Found<'_>], area: usize, chunk: usize) -> Vec<Vec<(f64, u32)>> {
    let plane = area * plan.planes.chunks() + chunk;
    let (thresholds, every) = (plan.planes.thresholds(chunk).len(), plan.planes.every(chunk));
    let mut right: Vec<Vec<(f64, u32)>> = vec![Vec::new(); thresholds];
    // Wrong at every threshold; at some.
    let (mut always_wrong, mut wrong) = (0u64, vec![0u64; thresholds]);
    for (row, index) in rows.iter().zip(0..) {
        let outcome = row.outcomes[plane];
        if outcome.hit | outcome.ignored == 0 {
            always_wrong += 1;
            continue;
        }
        if outcome.ignored == every {
            continue;
        }
        for t in 0..thresholds {
            let bit = 1 << t;
            if outcome.ignored & bit != 0 {
                continue;
            }
            if outcome.hit & bit == 0 {
                wrong[t] += 1;
            } else {
                let (tp, fp) = (right[t].len() as f64 + 1.0, (always_wrong + wrong[t]) as f64);
                right[t].push((tp / ((fp + tp) + f64::EPSILON), index));
            }
        }
    }
    right
}

/// Mean precision of several classes at some IoU thresholds, summed in the references' order: IoU, recall,
/// class.
pub(crate) fn mean_precision<'a>(classes: impl Iterator<Item = &'a Curves>, ious: &[usize]) -> Option<f64> {
    let classes: Vec<&Curves> = classes.collect();
    let recalls = classes.first().map_or(0, |c| c.precision.len() / c.recall.len());
    let mut cells = Vec::with_capacity(ious.len() * recalls * classes.len());
    for cell in ious.iter().flat_map(|t| t * recalls..(t + 1) * recalls) {
        cells.extend(classes.iter().map(|c| c.precision[cell]));
    }
    mean(&cells)
}

/// Mean recall of several classes, summed in the references' order: IoU, class.
pub(crate) fn mean_recall<'a>(classes: impl Iterator<Item = &'a Curves>) -> Option<f64> {
    let classes: Vec<&Curves> = classes.collect();
    let ious = classes.first().map_or(0, |c| c.recall.len());
    let cells: Vec<f64> = (0..ious).flat_map(|t| classes.iter().map(move |c| c.recall[t])).collect();
    mean(&cells)
}
