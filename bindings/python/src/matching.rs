//! One image and class, matched as `evaluateImg` of `pycocotools` 2.0.11 and `evaluate_img` of `lvis` 0.5.3
//! do, with the ids of what was matched: callers of these libraries read them, and the engine below
//! `longtail.evaluate` does not keep them.

use std::cmp::Ordering;

/// Ground truth or detections of an image and class.
#[derive(Debug, Default, Clone)]
pub(crate) struct Boxes {
    /// x, y, width, height.
    pub bbox: Vec<[f64; 4]>,
    pub area: Vec<f64>,
    pub id: Vec<f64>,
    /// Of ground truth: left out of scoring in every area range. Of detections: unmatched, they are not
    /// counted.
    pub ignore: Vec<bool>,
    /// Of ground truth: a region that holds many objects.
    pub crowd: Vec<bool>,
    /// Of detections.
    pub score: Vec<f64>,
}

/// Values of an image and class: detections × ground truths, detections by descending score.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Overlaps {
    pub values: Vec<f64>,
    pub columns: usize,
}

/// What is matched how.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// IoU thresholds.
    pub thresholds: Vec<f64>,
    /// Smallest and largest area of each range, both included.
    pub areas: Vec<[f64; 2]>,
    /// Best detections of an image and class.
    pub most: usize,
}

/// One image and class in one area range; `T × D` and `T × G` where thresholds matter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Matched {
    /// Ground truths, those that count first.
    pub truths: Vec<u32>,
    /// Of these.
    pub truth_ignored: Vec<bool>,
    /// Index of the detection, by descending score, that each ground truth was matched to; -1 for none.
    pub truth_match: Vec<i32>,
    /// Index in `truths` for each detection; -1 for none.
    pub found_match: Vec<i32>,
    pub found_ignored: Vec<bool>,
}

/// `a` before `b`: the larger score first, NaN last, as NumPy sorts negated scores.
pub(crate) fn by_score(a: f64, b: f64) -> Ordering {
    b.partial_cmp(&a).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// Indices of detections by descending score, ties as they came, at most `most`.
pub(crate) fn order(scores: &[f64], most: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_by(|&a, &b| by_score(scores[a as usize], scores[b as usize]));
    order.truncate(most);
    order
}

/// Matches in every area range.
#[expect(clippy::neg_cmp_op_on_partial_ord, reason = "NaN passes, as in the references")]
pub(crate) fn match_boxes(
    truth: &Boxes,
    found: &Boxes,
    order: &[u32],
    ious: &Overlaps,
    rules: &Rules,
) -> Vec<Matched> {
    let in_range = |&[least, most]: &[f64; 2]| {
        let outside = |area: f64| area < least || area > most;
        let mut truths: Vec<u32> = (0..truth.id.len() as u32).collect();
        let ignored = |g: u32| truth.ignore[g as usize] || outside(truth.area[g as usize]);
        truths.sort_by_key(|&g| ignored(g));
        let truth_ignored: Vec<bool> = truths.iter().map(|&g| ignored(g)).collect();
        let (width, columns) = (order.len(), truths.len());
        let mut matched = Matched {
            truth_match: vec![-1; rules.thresholds.len() * columns],
            found_match: vec![-1; rules.thresholds.len() * width],
            found_ignored: vec![false; rules.thresholds.len() * width],
            truths,
            truth_ignored,
        };
        for (t, &threshold) in rules.thresholds.iter().enumerate() {
            let taken = &mut matched.truth_match[t * columns..][..columns];
            for (d, &of_list) in order.iter().enumerate() {
                let mut best = if threshold <= 1.0 - 1e-10 { threshold } else { 1.0 - 1e-10 };
                let mut hit: Option<usize> = None;
                for (g, &index) in matched.truths.iter().enumerate() {
                    // A detection of id 0 takes nothing, as in the references.
                    let is_taken = taken[g] >= 0 && found.id[order[taken[g] as usize] as usize] > 0.0;
                    if is_taken && !truth.crowd[index as usize] {
                        continue;
                    }
                    if hit.is_some_and(|held| !matched.truth_ignored[held]) && matched.truth_ignored[g] {
                        break;
                    }
                    let overlap = ious.values[d * ious.columns + index as usize];
                    // The later of equal overlaps; a NaN passes.
                    if !(overlap < best) {
                        best = overlap;
                        hit = Some(g);
                    }
                }
                let at = t * width + d;
                if let Some(g) = hit {
                    matched.found_match[at] = g as i32;
                    matched.found_ignored[at] = matched.truth_ignored[g];
                    taken[g] = d as i32;
                }
                // The references keep the id of the match, so that id 0 reads as none.
                let is_hit = hit.is_some_and(|g| truth.id[matched.truths[g] as usize] != 0.0);
                let of_list = of_list as usize;
                matched.found_ignored[at] |=
                    !is_hit && (outside(found.area[of_list]) || found.ignore[of_list]);
            }
        }
        matched
    };
    rules.areas.iter().map(in_range).collect()
}
