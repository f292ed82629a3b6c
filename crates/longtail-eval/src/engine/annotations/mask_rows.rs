//! Detections with masks, checked.

use std::borrow::Cow;

use longtail_mask::Segmentation;
use serde::{Deserialize, Serialize};

use super::{
    detections::{Problem, Row},
    ground_truth::{GroundTruth, NOT_CHOSEN},
    masks::Mask,
};
use crate::{
    checks::check_box,
    detection::{MaskDetection, check_score},
    reading::{Entry, segmentation},
};

/// A detection with a mask by indices instead of ids.
pub(crate) struct MaskRow {
    /// Its box is all 0 where there is none.
    pub row: Row,
    pub boxed: bool,
    /// `None` where the image was not chosen.
    pub mask: Option<Mask>,
}

impl MaskRow {
    /// Of an entry of the usual form; `None` where the thorough reader has to explain what is wrong.
    pub(crate) fn of_entry(truth: &GroundTruth, entry: &Entry<'_>) -> Option<Self> {
        let (fields, boxed, json) = entry.masked()?;
        let (bbox, score) = (boxed.then_some(fields.bbox), fields.score);
        let given = Cow::Owned(segmentation(json)?);
        Self::new(truth, fields.image_id, fields.category_id, bbox, score, Some(given)).ok()
    }

    /// Checks a detection and finds its indices.
    pub(crate) fn of(truth: &GroundTruth, detection: &MaskDetection) -> Result<Self, Problem> {
        let MaskDetection { image_id, category_id, bbox, segmentation, score } = detection;
        let given = segmentation.as_ref().map(Cow::Borrowed);
        Self::new(truth, *image_id, *category_id, *bbox, *score, given)
    }

    fn new(
        truth: &GroundTruth,
        image_id: i64,
        category_id: i64,
        bbox: Option<[f64; 4]>,
        score: f64,
        given: Option<Cow<'_, Segmentation>>,
    ) -> Result<Self, Problem> {
        let wrong = Problem::Number;
        bbox.as_ref().map_or(Ok(()), check_box).map_err(wrong)?;
        check_score(score).map_err(wrong)?;
        let image = truth.image(image_id).ok_or(Problem::UnknownImage)?;
        let missing = "`segmentation` is missing, and masks are scored; score boxes with --iou-type bbox";
        let given = given.ok_or_else(|| wrong(missing.into()))?;
        let mask = match &truth.masks {
            Some(masks) if image != NOT_CHOSEN => {
                let size = masks.size(image as usize).map_err(wrong)?;
                Some(Mask::new(given, size).map_err(|error| wrong(format!("`segmentation`: {error}")))?)
            }
            _ => None,
        };
        let class = truth.classes.index(category_id);
        let row = Row { bbox: bbox.unwrap_or_default(), score, image, class };
        Ok(Self { row, boxed: bbox.is_some(), mask })
    }
}

/// Whether areas are those of the boxes, which the first detection decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct AreaSource(Option<bool>);

impl AreaSource {
    /// Whether areas are those of the boxes.
    pub(crate) fn boxes(self) -> bool {
        self.0.unwrap_or(false)
    }

    /// That of detections together with others; `None` where one has those of boxes and the other those of
    /// masks.
    pub(crate) fn joined(self, other: Self) -> Option<Self> {
        match (self.0, other.0) {
            (Some(one), Some(another)) if one != another => None,
            (one, another) => Some(Self(one.or(another))),
        }
    }

    /// The next detections, each with or without a box.
    ///
    /// # Errors
    /// The index of one that lacks the box that the first has; the references crash.
    pub(crate) fn add(&mut self, boxed: impl Iterator<Item = bool>) -> Result<(), usize> {
        for (index, boxed) in boxed.enumerate() {
            if *self.0.get_or_insert(boxed) && !boxed {
                return Err(index);
            }
        }
        Ok(())
    }
}
