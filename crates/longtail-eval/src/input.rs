//! Checks that hold for every protocol, and the input sorted by class and image.

use std::collections::BTreeMap;

use longtail_data::{Annotation, AnnotationSet, Category};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::{detection::Detection, error::EvalError};

/// Refuses input that no protocol can score.
pub(crate) fn check(truth: &AnnotationSet, detections: &[Detection]) -> Result<(), EvalError> {
    let fail = |reason: String| EvalError::GroundTruth { set: truth.label(), reason };
    let mut images = FxHashSet::default();
    for image in &truth.images {
        if !images.insert(image.id) {
            return Err(fail(format!("image id {} is repeated", image.id)));
        }
    }
    let mut categories = FxHashSet::default();
    for category in &truth.categories {
        if !categories.insert(category.id) {
            return Err(fail(format!("category id {} is repeated", category.id)));
        }
    }
    let mut annotations = FxHashSet::default();
    for annotation in &truth.annotations {
        if !annotations.insert(annotation.id) {
            return Err(fail(format!("annotation id {} is repeated", annotation.id)));
        }
        if annotation.bbox.iter().any(|v| !v.is_finite()) {
            return Err(fail(format!("annotation {} has bbox {:?}", annotation.id, annotation.bbox)));
        }
    }
    for (index, detection) in detections.iter().enumerate() {
        let fail = |reason: String| Err(EvalError::Detection { index, reason });
        if !images.contains(&detection.image_id) {
            return fail(format!(
                "image_id {} is no image of {}; were detections and ground truth made from the same set?",
                detection.image_id,
                truth.label()
            ));
        }
        if !detection.score.is_finite() || detection.bbox.iter().any(|v| !v.is_finite()) {
            return fail(format!("bbox {:?} or score {} is not finite", detection.bbox, detection.score));
        }
    }
    Ok(())
}

/// Area of an annotation as given, else its box's.
pub(crate) fn truth_area(annotation: &Annotation) -> f64 {
    annotation.area.unwrap_or(annotation.bbox[2] * annotation.bbox[3])
}

/// Area of a detection: its box's, whatever a file says.
pub(crate) fn detection_area(detection: &Detection) -> f64 {
    detection.bbox[2] * detection.bbox[3]
}

/// What one class has in one image.
#[derive(Default)]
pub(crate) struct Cell<'a> {
    /// Ground truth in file order.
    pub truths: Vec<&'a Annotation>,
    /// Detections by descending score, ties in the order given.
    pub detections: Vec<&'a Detection>,
    /// Whether the image's boxes of this class may be incomplete.
    pub not_exhaustive: bool,
}

/// Cells of every known class, by ascending category id, then ascending image id.
pub(crate) struct Cells<'a> {
    pub categories: Vec<&'a Category>,
    pub by_category: Vec<BTreeMap<i64, Cell<'a>>>,
}

impl<'a> Cells<'a> {
    /// Sorts what takes part; entries of unknown images or classes are left out.
    pub fn new(
        truth: &'a AnnotationSet,
        annotations: impl Iterator<Item = &'a Annotation>,
        detections: impl Iterator<Item = &'a Detection>,
    ) -> Self {
        let mut categories: Vec<&Category> = truth.categories.iter().collect();
        categories.sort_by_key(|c| c.id);
        let place: FxHashMap<i64, usize> = categories.iter().enumerate().map(|(k, c)| (c.id, k)).collect();
        let images: FxHashSet<i64> = truth.images.iter().map(|i| i.id).collect();
        let mut by_category: Vec<BTreeMap<i64, Cell<'a>>> =
            categories.iter().map(|_| BTreeMap::new()).collect();
        for annotation in annotations.filter(|a| images.contains(&a.image_id)) {
            if let Some(&k) = place.get(&annotation.category_id) {
                by_category[k].entry(annotation.image_id).or_default().truths.push(annotation);
            }
        }
        for detection in detections {
            if let Some(&k) = place.get(&detection.category_id) {
                by_category[k].entry(detection.image_id).or_default().detections.push(detection);
            }
        }
        for cell in by_category.iter_mut().flat_map(BTreeMap::values_mut) {
            cell.detections.sort_by(|a, b| b.score.total_cmp(&a.score));
        }
        Self { categories, by_category }
    }
}
