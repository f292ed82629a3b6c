//! The confusion matrix of a detector at one score: which class each object was taken for, which were missed,
//! and what was found where nothing is.

use std::collections::BTreeMap;

use longtail_annotations::{Annotation, AnnotationSet, ImageRecord, boxes::overlap};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use crate::{detection::Detection, order::descending};

/// IoU from which a detection may take an object.
const TAKEN_IOU: f64 = 0.5;

/// A cell of the matrix that is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatrixCell {
    /// Category of the objects; `null` for the background, which is a detection that took no object.
    pub truth: Option<i64>,
    /// Category of the detections; `null` for objects that none took.
    pub claimed: Option<i64>,
    /// How many.
    pub count: u64,
}

/// Objects and detections, each once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfusionMatrix {
    /// Least score of the detections.
    pub score: f64,
    /// Every cell that is not 0, by category of the objects, then of the detections; background and missed
    /// first.
    pub cells: Vec<MatrixCell>,
    /// Detections that took no object and say nothing: on a crowd or an ignored object, or under LVIS of a
    /// class that is not verified in the image or not annotated exhaustively.
    pub left_out: u64,
}

/// The matrix of detections of at least `score`, in boxes at IoU 0.5.
///
/// By descending score each detection takes, whatever its class, the free object that it overlaps most; of
/// equal overlaps one of its own class, then the first. This is the matching of a detector in use, and not
/// that of AP, which looks at one class at a time. Annotations and detections of unknown images or classes
/// are left aside.
pub fn confusion_matrix(truth: &AnnotationSet, detections: &[Detection], score: f64) -> ConfusionMatrix {
    let known: FxHashSet<i64> = truth.categories.iter().map(|category| category.id).collect();
    let mut objects: FxHashMap<i64, Vec<&Annotation>> = FxHashMap::default();
    for annotation in truth.annotations.iter().filter(|a| known.contains(&a.category_id)) {
        objects.entry(annotation.image_id).or_default().push(annotation);
    }
    let mut found: FxHashMap<i64, Vec<&Detection>> = FxHashMap::default();
    for detection in detections.iter().filter(|d| d.score >= score && known.contains(&d.category_id)) {
        found.entry(detection.image_id).or_default().push(detection);
    }
    let of_image = |image: &ImageRecord| {
        let of = |id: &i64| objects.get(id).map_or(&[][..], Vec::as_slice);
        let mut detections = found.get(&image.id).cloned().unwrap_or_default();
        detections.sort_by(|a, b| descending(a.score, b.score));
        match_image(image, of(&image.id), &detections)
    };
    let add = |(mut cells, left): (Cells, u64), (more, left_too): (Cells, u64)| {
        more.into_iter().for_each(|(key, count)| *cells.entry(key).or_default() += count);
        (cells, left + left_too)
    };
    let (cells, left_out) = truth.images.par_iter().map(of_image).reduce(|| (Cells::new(), 0), add);
    let cell = |((truth, claimed), count)| MatrixCell { truth, claimed, count };
    ConfusionMatrix { score, cells: cells.into_iter().map(cell).collect(), left_out }
}

type Cells = BTreeMap<(Option<i64>, Option<i64>), u64>;

/// Cells of an image, and detections that say nothing.
fn match_image(image: &ImageRecord, objects: &[&Annotation], detections: &[&Detection]) -> (Cells, u64) {
    let (counted, aside): (Vec<&Annotation>, Vec<&Annotation>) =
        objects.iter().copied().partition(|object| !object.iscrowd && !object.ignore);
    let (mut cells, mut left_out) = (Cells::new(), 0);
    let mut taken = vec![false; counted.len()];
    for detection in detections {
        let mut best: Option<(usize, (f64, bool))> = None;
        for (index, object) in counted.iter().enumerate().filter(|(index, _)| !taken[*index]) {
            let iou = overlap(&detection.bbox, &object.bbox, false);
            let rank = (iou, object.category_id == detection.category_id);
            if iou >= TAKEN_IOU && best.is_none_or(|(_, held)| rank > held) {
                best = Some((index, rank));
            }
        }
        let claimed = Some(detection.category_id);
        if let Some((index, _)) = best {
            taken[index] = true;
            *cells.entry((Some(counted[index].category_id), claimed)).or_default() += 1;
        } else if says_nothing(image, objects, &aside, detection) {
            left_out += 1;
        } else {
            *cells.entry((None, claimed)).or_default() += 1;
        }
    }
    for (object, _) in counted.iter().zip(&taken).filter(|(_, taken)| !**taken) {
        *cells.entry((Some(object.category_id), None)).or_default() += 1;
    }
    (cells, left_out)
}

/// Whether a detection that took no object may be right all the same.
fn says_nothing(
    image: &ImageRecord,
    objects: &[&Annotation],
    aside: &[&Annotation],
    detection: &Detection,
) -> bool {
    let of_class = |list: &Vec<i64>| list.contains(&detection.category_id);
    let not_verified = image.neg_category_ids.as_ref().is_some_and(|negative| {
        !of_class(negative) && !objects.iter().any(|object| object.category_id == detection.category_id)
    });
    let open = image.not_exhaustive_category_ids.as_ref().is_some_and(of_class);
    let on_aside = |object: &&Annotation| overlap(&detection.bbox, &object.bbox, object.iscrowd) >= TAKEN_IOU;
    not_verified || open || aside.iter().any(on_aside)
}
