//! Assigns detections to ground truth, one image and class at a time.

use crate::{
    input::{Cell, detection_area, truth_area},
    numerics::{AREAS, IOU_COUNT, iou_thresholds},
};

/// Outcome of a detection: bit t stands for IoU threshold t.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Outcome {
    pub score: f64,
    /// Matched a ground-truth box.
    pub hit: u16,
    /// Counts neither as right nor as wrong.
    pub ignored: u16,
}

/// What differs between the protocols.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Crowd regions match any number of detections, by the share of the detection inside.
    pub crowds: bool,
    /// Ground truth can be marked as ignored by its `ignore` field.
    pub ignore_field: bool,
    /// Best detections of an image and class that take part.
    pub cap: usize,
}

/// Result of one image and class in one area range.
pub(crate) struct Matched {
    /// Detections by descending score.
    pub outcomes: Vec<Outcome>,
    /// Ground-truth boxes that count.
    pub countable: u64,
}

/// Overlap of a detection and a ground-truth box, x, y, width, height. For a crowd the union is the detection.
pub(crate) fn overlap(detection: &[f64; 4], truth: &[f64; 4], crowd: bool) -> f64 {
    let [dx, dy, dw, dh] = *detection;
    let [gx, gy, gw, gh] = *truth;
    let width = (dx + dw).min(gx + gw) - dx.max(gx);
    if width <= 0.0 {
        return 0.0;
    }
    let height = (dy + dh).min(gy + gh) - dy.max(gy);
    if height <= 0.0 {
        return 0.0;
    }
    let shared = width * height;
    let union = if crowd { dw * dh } else { dw * dh + gw * gh - shared };
    shared / union
}

/// Matches a cell in every area range.
pub(crate) fn match_cell(cell: &Cell<'_>, rules: Rules) -> [Matched; AREAS.len()] {
    let detections = &cell.detections[..cell.detections.len().min(rules.cap)];
    let crowd: Vec<bool> = cell.truths.iter().map(|t| rules.crowds && t.iscrowd).collect();
    let overlaps: Vec<Vec<f64>> = detections
        .iter()
        .map(|d| cell.truths.iter().zip(&crowd).map(|(t, &c)| overlap(&d.bbox, &t.bbox, c)).collect())
        .collect();
    AREAS.map(|[least, most]| {
        let outside = |area: f64| area < least || area > most;
        let ignored: Vec<bool> = cell
            .truths
            .iter()
            .zip(&crowd)
            .map(|(t, &crowd)| crowd || (rules.ignore_field && t.ignore) || outside(truth_area(t)))
            .collect();
        // Countable boxes first, each part in file order.
        let mut order: Vec<usize> = (0..cell.truths.len()).collect();
        order.sort_by_key(|&g| ignored[g]);
        let mut outcomes: Vec<Outcome> =
            detections.iter().map(|d| Outcome { score: d.score, hit: 0, ignored: 0 }).collect();
        for (t, threshold) in iou_thresholds().into_iter().enumerate() {
            let bit = 1 << t;
            let mut taken = vec![false; cell.truths.len()];
            for (d, outcome) in outcomes.iter_mut().enumerate() {
                let mut best = threshold.min(1.0 - 1e-10);
                let mut matched: Option<usize> = None;
                for &g in &order {
                    if taken[g] && !crowd[g] {
                        continue;
                    }
                    if matched.is_some_and(|m| !ignored[m]) && ignored[g] {
                        break;
                    }
                    if overlaps[d][g] < best {
                        continue;
                    }
                    best = overlaps[d][g];
                    matched = Some(g);
                }
                if let Some(g) = matched {
                    taken[g] = true;
                    // The references store the matched id, so that id 0 reads as no match.
                    if cell.truths[g].id != 0 {
                        outcome.hit |= bit;
                    }
                    if ignored[g] {
                        outcome.ignored |= bit;
                    }
                }
                if outcome.hit & bit == 0 && (outside(detection_area(detections[d])) || cell.not_exhaustive) {
                    outcome.ignored |= bit;
                }
            }
        }
        const { assert!(IOU_COUNT <= 16, "outcomes are 16 bits") };
        Matched { outcomes, countable: ignored.iter().filter(|i| !**i).count() as u64 }
    })
}
