//! Assigns predictions to boxes, one image and class at a time.

use super::truth::Corners;

/// Overlap from which on a prediction can be right.
const THRESHOLD: f64 = 0.5;

/// A row of a class's list: a prediction, or a group that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outcome {
    pub score: f64,
    /// 1 if right, 0 if wrong; for a group its weight.
    pub label: f64,
}

fn area([y_min, x_min, y_max, x_max]: Corners) -> f64 {
    (y_max - y_min) * (x_max - x_min)
}

fn intersection(a: Corners, b: Corners) -> f64 {
    let height = f64::max(0.0, f64::min(a[2], b[2]) - f64::max(a[0], b[0]));
    let width = f64::max(0.0, f64::min(a[3], b[3]) - f64::max(a[1], b[1]));
    height * width
}

fn iou(prediction: Corners, truth: Corners) -> f64 {
    let shared = intersection(prediction, truth);
    shared / (area(prediction) + area(truth) - shared)
}

/// Index and overlap of the best of `boxes`, the first of equals. NaN, where areas vanish or overflow, counts
/// as the largest, as in NumPy's `argmax`.
fn best(boxes: &[Corners], overlap: impl Fn(Corners) -> f64) -> Option<(usize, f64)> {
    let overlaps = boxes.iter().map(|&b| overlap(b)).enumerate();
    overlaps.reduce(
        |best, next| if next.1 > best.1 || (next.1.is_nan() && !best.1.is_nan()) { next } else { best },
    )
}

/// Outcomes of predictions by descending score, the later of equals first, then those of the groups that were
/// found, appended to `outcomes`.
pub(super) fn match_cell(
    predictions: &[(f64, Corners)],
    [plain, groups]: [&[Corners]; 2],
    group_of_weight: f64,
    outcomes: &mut Vec<Outcome>,
) {
    let mut taken = vec![false; plain.len()];
    let mut group_scores = vec![0.0; groups.len()];
    for &(score, corners) in predictions {
        // The best box alone: when it is taken, there is no second choice.
        let right = match best(plain, |b| iou(corners, b)) {
            Some((index, overlap)) if overlap >= THRESHOLD => !std::mem::replace(&mut taken[index], true),
            _ => false,
        };
        if !right {
            let inside = |group| intersection(group, corners) / area(corners);
            if let Some((index, overlap)) = best(groups, inside)
                && overlap >= THRESHOLD
            {
                group_scores[index] = f64::max(group_scores[index], score);
                continue;
            }
        }
        outcomes.push(Outcome { score, label: f64::from(u8::from(right)) });
    }
    if group_of_weight > 0.0 {
        let found = group_scores.into_iter().filter(|&score| score > 0.0);
        outcomes.extend(found.map(|score| Outcome { score, label: group_of_weight }));
    }
}
