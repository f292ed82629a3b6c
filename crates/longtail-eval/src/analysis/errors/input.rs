//! Checks, and the input by image.

use longtail_annotations::{Annotation, AnnotationSet, ImageRecord};
use rustc_hash::{FxHashMap, FxHashSet};

use super::ErrorOptions;
use crate::{
    checks::{check_box, unique},
    detection::{Detection, check_numbers},
    error::EvalError,
    order::descending,
};

/// What takes part of an image.
pub(super) struct Image<'a> {
    /// Ground truth that counts, in file order.
    pub truths: Vec<&'a Annotation>,
    /// Regions in which unmatched detections of the annotation's class are ignored.
    pub regions: Vec<&'a Annotation>,
    /// Detections by descending score, ties in the order given, up to the cap.
    pub detections: Vec<&'a Detection>,
    /// Classes not to be punished; `None` where all are annotated exhaustively.
    pub open: Option<OpenClasses<'a>>,
}

/// Classes whose unmatched detections in a federated image are ignored.
pub(super) struct OpenClasses<'a> {
    /// Classes that the set knows.
    known: &'a FxHashSet<i64>,
    /// Classes annotated or verified absent in the image.
    verified: FxHashSet<i64>,
    not_exhaustive: &'a [i64],
}

impl OpenClasses<'_> {
    pub(super) fn contain(&self, class: i64) -> bool {
        self.not_exhaustive.contains(&class)
            || (self.known.contains(&class) && !self.verified.contains(&class))
    }
}

/// The images of a set, in file order, and the classes it knows.
pub(super) struct Images<'a> {
    truth: &'a AnnotationSet,
    known: FxHashSet<i64>,
    /// Annotations of each image, in file order.
    annotations: Vec<Vec<&'a Annotation>>,
    detections: Vec<Vec<&'a Detection>>,
}

impl<'a> Images<'a> {
    /// Checks the input and sorts it by image; boxes of unknown images are left out.
    pub(super) fn new(truth: &'a AnnotationSet, detections: &'a [Detection]) -> Result<Self, EvalError> {
        let fail = |reason: String| EvalError::GroundTruth { set: truth.label(), reason };
        unique("image", truth.images.iter().map(|i| i.id)).map_err(fail)?;
        unique("category", truth.categories.iter().map(|c| c.id)).map_err(fail)?;
        unique("annotation", truth.annotations.iter().map(|a| a.id)).map_err(fail)?;
        let places: FxHashMap<i64, usize> =
            truth.images.iter().enumerate().map(|(place, image)| (image.id, place)).collect();
        let mut known: FxHashSet<i64> = truth.categories.iter().map(|c| c.id).collect();
        let mut annotations = vec![Vec::new(); truth.images.len()];
        for annotation in &truth.annotations {
            let about = |reason| fail(format!("annotation {}: {reason}", annotation.id));
            check_box(&annotation.bbox).map_err(about)?;
            if let Some(&place) = places.get(&annotation.image_id) {
                known.insert(annotation.category_id);
                annotations[place].push(annotation);
            }
        }
        let mut by_image = vec![Vec::new(); truth.images.len()];
        for (index, detection) in detections.iter().enumerate() {
            let fail = |reason| EvalError::Detection { index, reason };
            check_numbers(detection).map_err(fail)?;
            let Some(&place) = places.get(&detection.image_id) else {
                return Err(fail(format!(
                    "`image_id` {} is not an image of {}; were detections and ground truth made from the same set?",
                    detection.image_id,
                    truth.label()
                )));
            };
            by_image[place].push(detection);
        }
        Ok(Self { truth, known, annotations, detections: by_image })
    }

    /// What takes part of each image, in file order.
    ///
    /// # Errors
    /// If a federated analysis meets an image without its lists of classes.
    pub(super) fn select(&self, options: &ErrorOptions) -> Result<Vec<Image<'_>>, EvalError> {
        let rows = self.truth.images.iter().zip(&self.annotations).zip(&self.detections);
        rows.map(|((image, annotations), detections)| {
            let open = options.federated.then(|| self.open_classes(image, annotations)).transpose()?;
            let is_region = |a: &&&Annotation| if options.federated { a.ignore } else { a.iscrowd };
            let (regions, truths) = annotations.iter().partition(is_region);
            let mut detections = detections.clone();
            detections.sort_by(|a, b| descending(a.score, b.score));
            detections.truncate(options.max_detections.get());
            Ok(Image { truths, regions, detections, open })
        })
        .collect()
    }

    fn open_classes<'s>(
        &'s self,
        image: &'s ImageRecord,
        annotations: &[&Annotation],
    ) -> Result<OpenClasses<'s>, EvalError> {
        let missing = |field: &str| EvalError::GroundTruth {
            set: self.truth.label(),
            reason: format!(
                "image {} has no `{field}`, which a federated error analysis needs; switch `federated` off for COCO \
                 ground truth",
                image.id
            ),
        };
        let absent = image.neg_category_ids.as_ref().ok_or_else(|| missing("neg_category_ids"))?;
        let not_exhaustive = image.not_exhaustive_category_ids.as_ref();
        let not_exhaustive = not_exhaustive.ok_or_else(|| missing("not_exhaustive_category_ids"))?;
        let mut verified: FxHashSet<i64> = absent.iter().copied().collect();
        verified.extend(annotations.iter().map(|a| a.category_id));
        Ok(OpenClasses { known: &self.known, verified, not_exhaustive })
    }
}
