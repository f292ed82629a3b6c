//! Which classes claim each other's objects: the question of sunglasses and eye masks.

use longtail_annotations::{AnnotationSet, boxes::overlap};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::detection::Detection;

/// IoU from which a detection claims a ground-truth box.
const CLAIM_IOU: f64 = 0.5;

/// Boxes of one class that are claimed with the highest score by another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Category of the ground-truth boxes.
    pub truth: i64,
    /// Category of the detection that scored highest on them.
    pub claimed: i64,
    /// Boxes claimed so.
    pub count: u64,
    /// Boxes of the true category.
    pub total: u64,
}

/// All confused pairs, most frequent first, ties by ids. Ground truth that is not to be scored (crowds,
/// ignored) is left out.
pub fn confusions(truth: &AnnotationSet, detections: &[Detection]) -> Vec<Confusion> {
    let mut of_image: FxHashMap<i64, Vec<&Detection>> = FxHashMap::default();
    for detection in detections {
        of_image.entry(detection.image_id).or_default().push(detection);
    }
    let mut totals: FxHashMap<i64, u64> = FxHashMap::default();
    let counted: Vec<_> = truth.annotations.iter().filter(|a| !a.iscrowd && !a.ignore).collect();
    for annotation in &counted {
        *totals.entry(annotation.category_id).or_default() += 1;
    }
    let claims: Vec<(i64, i64)> = counted
        .par_iter()
        .filter_map(|annotation| {
            let near = of_image.get(&annotation.image_id)?.iter();
            let best = near
                .filter(|d| overlap(&d.bbox, &annotation.bbox, false) >= CLAIM_IOU)
                .max_by(|a, b| a.score.total_cmp(&b.score).then(b.category_id.cmp(&a.category_id)))?;
            (best.category_id != annotation.category_id).then_some((annotation.category_id, best.category_id))
        })
        .collect();
    let mut pairs: FxHashMap<(i64, i64), u64> = FxHashMap::default();
    for pair in claims {
        *pairs.entry(pair).or_default() += 1;
    }
    let mut result: Vec<Confusion> = pairs
        .into_iter()
        .map(|((truth, claimed), count)| Confusion { truth, claimed, count, total: totals[&truth] })
        .collect();
    result.sort_by_key(|l| (std::cmp::Reverse(l.count), l.truth, l.claimed));
    result
}
