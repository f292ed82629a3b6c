//! Checks that hold for every protocol, and the input sorted by class and image.

use std::collections::BTreeMap;

use longtail_data::{Annotation, AnnotationSet, Category};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::{detection::Detection, error::EvalError, numerics::descending};

/// Ids named in a message; more would hide the rest of it.
const NAMED: usize = 3;

/// Refuses input that no protocol can score.
pub(crate) fn check(truth: &AnnotationSet, detections: &[Detection]) -> Result<(), EvalError> {
    let fail = |reason: String| EvalError::GroundTruth { set: truth.label(), reason };
    unique("image", truth.images.iter().map(|i| i.id)).map_err(fail)?;
    unique("category", truth.categories.iter().map(|c| c.id)).map_err(fail)?;
    unique("annotation", truth.annotations.iter().map(|a| a.id)).map_err(fail)?;
    for annotation in &truth.annotations {
        let about = |reason: String| fail(format!("annotation {}: {reason}", annotation.id));
        check_box(&annotation.bbox).map_err(about)?;
        if annotation.area.is_some_and(f64::is_nan) {
            return Err(about("`area` is NaN; leave it out to use the box's".into()));
        }
    }
    let images: FxHashSet<i64> = truth.images.iter().map(|i| i.id).collect();
    for (index, detection) in detections.iter().enumerate() {
        check_numbers(index, detection)?;
        if !images.contains(&detection.image_id) {
            let unknown = detections[index..].iter().map(|d| d.image_id).filter(|id| !images.contains(id));
            let reason = format!(
                "`image_id` {} is no image of {}; were detections and ground truth made from the same set?",
                first_few(unknown),
                truth.label()
            );
            return Err(EvalError::Detection { index, reason });
        }
    }
    Ok(())
}

/// Refuses a detection whose numbers mean nothing.
pub(crate) fn check_numbers(index: usize, detection: &Detection) -> Result<(), EvalError> {
    check_box(&detection.bbox).map_err(|reason| EvalError::Detection { index, reason })?;
    if !detection.score.is_finite() {
        let reason = format!("`score` is {}, expected a finite number", detection.score);
        return Err(EvalError::Detection { index, reason });
    }
    Ok(())
}

/// Refuses a box, x, y, width, height, that is not finite or has a negative size. Empty boxes are left to the
/// protocols, which differ about them.
fn check_box(bbox: &[f64; 4]) -> Result<(), String> {
    if bbox.iter().any(|v| !v.is_finite()) {
        return Err(format!("`bbox` {bbox:?} is not finite"));
    }
    if bbox[2] < 0.0 || bbox[3] < 0.0 {
        return Err(format!(
            "`bbox` {bbox:?} has a negative width or height; expected x, y, width, height, not two corners"
        ));
    }
    Ok(())
}

/// Refuses repeated ids: the references keep the last entry of an id without a word.
fn unique(what: &str, ids: impl Iterator<Item = i64>) -> Result<(), String> {
    let mut seen = FxHashSet::default();
    let mut repeated = ids.filter(|&id| !seen.insert(id)).peekable();
    if repeated.peek().is_none() {
        return Ok(());
    }
    Err(format!("{what} id {} is repeated; give every {what} its own", first_few(repeated)))
}

/// The first few different ids, for a message.
fn first_few(ids: impl Iterator<Item = i64>) -> String {
    let mut different: Vec<i64> = Vec::new();
    for id in ids {
        if !different.contains(&id) {
            if different.len() == NAMED {
                let named: Vec<String> = different.iter().map(i64::to_string).collect();
                return format!("{}, …", named.join(", "));
            }
            different.push(id);
        }
    }
    different.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
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
            cell.detections.sort_by(|a, b| descending(a.score, b.score));
        }
        Self { categories, by_category }
    }
}
