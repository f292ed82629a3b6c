//! Non-maximum suppression.

use crate::boxes::{Xyxy, iou};

/// Indices of the boxes that survive, in descending order of score, at most `limit`. `order` lists indices by
/// descending score; two boxes compete if `group` gives them the same number.
pub fn suppress(
    boxes: &[Xyxy],
    order: &[usize],
    group: impl Fn(usize) -> usize,
    threshold: f32,
    limit: usize,
) -> Vec<usize> {
    let mut kept: Vec<usize> = Vec::with_capacity(limit.min(order.len()));
    // Survivors by group, so that a box meets only its rivals.
    let mut by_group: Vec<Vec<usize>> = Vec::new();
    for &index in order {
        if kept.len() == limit {
            break;
        }
        let group = group(index);
        if by_group.len() <= group {
            by_group.resize(group + 1, Vec::new());
        }
        let rivals = &mut by_group[group];
        if rivals.iter().all(|&rival| iou(&boxes[rival], &boxes[index]) <= threshold) {
            rivals.push(index);
            kept.push(index);
        }
    }
    kept
}

/// The indices of `scores` in descending order; equal scores keep their order.
pub fn descending(scores: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOXES: [Xyxy; 4] =
        [[0.0, 0.0, 10.0, 10.0], [1.0, 0.0, 11.0, 10.0], [20.0, 0.0, 30.0, 10.0], [0.0, 0.0, 10.0, 9.0]];

    #[test]
    fn the_best_of_overlapping_boxes_survives() {
        let order = descending(&[0.5, 0.9, 0.1, 0.7]);
        assert_eq!(order, [1, 3, 0, 2]);
        assert_eq!(suppress(&BOXES, &order, |_| 0, 0.5, 10), [1, 2]);
        assert_eq!(suppress(&BOXES, &order, |index| index % 2, 0.5, 10), [1, 0, 2]);
        assert_eq!(suppress(&BOXES, &order, |_| 0, 0.5, 1), [1]);
    }

    #[test]
    fn an_overlap_of_exactly_the_threshold_survives() {
        let boxes = [[0.0, 0.0, 2.0, 1.0], [0.0, 0.0, 1.0, 1.0]];
        assert_eq!(suppress(&boxes, &[0, 1], |_| 0, 0.5, 9), [0, 1]);
    }
}
