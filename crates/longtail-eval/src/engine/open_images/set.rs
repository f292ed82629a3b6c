//! The challenge's metric for annotation sets and detections in pixels, as a run has them in memory.

use std::sync::Arc;

use longtail_annotations::{AnnotationSet, Layout};
use longtail_formats::open_images::{
    ImageLabel, OpenImagesBox, OpenImagesClass, Prediction, image_id, relative_corners,
};
use rustc_hash::{FxHashMap, FxHashSet};

use super::{evaluation::OpenImagesEvaluation, predictions::OpenImagesPredictions, truth::OpenImagesTruth};
use crate::{bins::ClassBins, detection::Detection, error::EvalError, report::EvalReport};

/// An annotation set as ground truth of the challenge, with what its detections need.
///
/// Crowd boxes are boxes around groups; classes verified absent, and those present without boxes, are
/// image-level labels; in a COCO set every class without a box is absent. Boxes to be ignored are left out.
/// Where there is a hierarchy the set must be expanded. Classes have the frequency groups of the set's
/// categories.
#[derive(Debug)]
pub struct OpenImagesSet {
    truth: OpenImagesTruth,
    label: String,
    /// `ImageID`, width and height.
    images: FxHashMap<i64, (Arc<str>, [f64; 2])>,
    classes: FxHashMap<i64, Arc<str>>,
}

impl OpenImagesSet {
    /// Checks and sorts.
    ///
    /// # Errors
    /// If two images would have one `ImageID` (their name without its ending), an image has no size, a box or
    /// list names no image or class of the set, or as [`OpenImagesTruth::new`].
    pub fn new(set: &AnnotationSet) -> Result<Self, EvalError> {
        let label = set.label();
        let fail = |reason: String| EvalError::GroundTruth { set: label.clone(), reason };
        let (mut images, mut seen) = (FxHashMap::default(), FxHashSet::default());
        for image in &set.images {
            let id: Arc<str> = image_id(image).into();
            if image.width == 0 || image.height == 0 {
                return Err(fail(format!("image {}: its width or height is 0", image.id)));
            }
            if !seen.insert(id.clone()) {
                return Err(fail(format!("image {}: another image has the ImageID {id} too", image.id)));
            }
            images.insert(image.id, (id, [f64::from(image.width), f64::from(image.height)]));
        }
        let mut uses: FxHashMap<&str, usize> = FxHashMap::default();
        set.categories.iter().for_each(|category| *uses.entry(&category.name).or_default() += 1);
        let mut classes: FxHashMap<i64, Arc<str>> = FxHashMap::default();
        for category in &set.categories {
            let name = &category.name;
            let label = if uses[&**name] > 1 { format!("{name} ({})", category.id) } else { name.clone() };
            classes.insert(category.id, label.into());
        }
        let image_of = |id: i64, what: &str| {
            images.get(&id).ok_or_else(|| fail(format!("{what}: image_id {id} is not an image of the set")))
        };
        let class_of = |id: i64, what: &str| {
            let class = classes.get(&id).cloned();
            class.ok_or_else(|| fail(format!("{what}: category_id {id} is not a category of the set")))
        };
        let mut boxes = Vec::with_capacity(set.annotations.len());
        let mut boxed: FxHashSet<(i64, i64)> = FxHashSet::default();
        for annotation in set.annotations.iter().filter(|annotation| !annotation.ignore) {
            let what = format!("annotation {}", annotation.id);
            let (image_id, size) = image_of(annotation.image_id, &what)?;
            boxed.insert((annotation.image_id, annotation.category_id));
            let (corners, label) =
                (relative_corners(annotation.bbox, *size), class_of(annotation.category_id, &what)?);
            boxes.push(OpenImagesBox::new(image_id.clone(), label, corners, annotation.iscrowd));
        }
        let mut labels = Vec::new();
        for image in &set.images {
            let what = format!("image {}", image.id);
            let mut say = |category: i64, confidence| -> Result<(), EvalError> {
                let (image_id, label) = (images[&image.id].0.clone(), class_of(category, &what)?);
                labels.push(ImageLabel { image_id, label, source: None, confidence });
                Ok(())
            };
            let absent = image.neg_category_ids.iter().flatten();
            absent.copied().try_for_each(|category| say(category, 0.0))?;
            let open = image.not_exhaustive_category_ids.iter().flatten();
            open.copied().try_for_each(|category| say(category, 1.0))?;
            if set.layout == Layout::Coco {
                let others = set.categories.iter().map(|category| category.id);
                others
                    .filter(|category| !boxed.contains(&(image.id, *category)))
                    .try_for_each(|category| say(category, 0.0))?;
            }
        }
        let class = |category: &longtail_annotations::Category| OpenImagesClass {
            id: category.id,
            label: classes[&category.id].to_string(),
            name: category.name.clone(),
        };
        let given = set.categories.iter().map(class).collect();
        let mut truth = OpenImagesTruth::new(label.clone(), &boxes, &labels, Some(given))?;
        for class in &mut truth.classes {
            class.frequency = set.categories.iter().find(|c| c.id == class.id).and_then(|c| c.frequency);
        }
        Ok(Self { truth, label, images, classes })
    }

    /// Scores detections in pixels; a group counts as one box.
    ///
    /// # Errors
    /// If a detection is of no image or class of the set, or is not finite.
    pub fn evaluate(
        &self,
        detections: &[Detection],
        bins: Option<&ClassBins>,
    ) -> Result<EvalReport, EvalError> {
        let mut predictions = OpenImagesPredictions::new(&self.truth);
        let mut batch = Vec::with_capacity(detections.len());
        for (index, detection) in detections.iter().enumerate() {
            let fail = |field: &str, id: i64, what: &str| EvalError::Detection {
                index,
                reason: format!("`{field}` {id} is not an {what} of {}", self.label),
            };
            let Detection { image_id, category_id, bbox, score } = *detection;
            let image = self.images.get(&image_id).ok_or_else(|| fail("image_id", image_id, "image"))?;
            let class = self.classes.get(&category_id);
            let [x_min, x_max, y_min, y_max] = relative_corners(bbox, image.1);
            batch.push(Prediction {
                image_id: &image.0,
                label: class.ok_or_else(|| fail("category_id", category_id, "category"))?,
                score,
                x_min,
                x_max,
                y_min,
                y_max,
            });
        }
        predictions.extend(&batch)?;
        Ok(OpenImagesEvaluation::new(&predictions, 1.0)?.report(bins))
    }
}
