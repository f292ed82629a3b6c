//! Annotation sets with masks.

use std::borrow::Cow;

use longtail_annotations::AnnotationSet;
use longtail_formats::{Document, RawJson};
use longtail_mask::Segmentation;

use crate::{error::EvalError, reading::segmentation};

/// An annotation set with the masks of its annotations, for
/// [`GroundTruth::masked`](super::ground_truth::GroundTruth::masked).
#[derive(Debug)]
pub struct MaskedSet {
    /// Everything but the masks. Annotations may change, their number and order may not.
    pub set: AnnotationSet,
    masks: Vec<Source>,
}

/// A mask, read or still to be read: most of them are large, and each is needed once.
#[derive(Debug)]
enum Source {
    Missing,
    Json(RawJson),
    Read(Segmentation),
}

impl MaskedSet {
    /// A set with the mask of each annotation, in their order; annotations that take no part in an evaluation
    /// need none.
    ///
    /// # Errors
    /// If there is not one for each annotation.
    pub fn new(set: AnnotationSet, masks: Vec<Option<Segmentation>>) -> Result<Self, EvalError> {
        let (annotations, given) = (set.annotations.len(), masks.len());
        if annotations != given {
            let reason = format!("{given} masks for {annotations} annotations; give one for each, or None");
            return Err(EvalError::GroundTruth { set: set.label(), reason });
        }
        let masks = masks.into_iter().map(|mask| mask.map_or(Source::Missing, Source::Read)).collect();
        Ok(Self { set, masks })
    }

    /// A set with the masks that its file has.
    pub fn of(document: Document) -> Self {
        let source = |json: Option<&RawJson>| match json {
            Some(json) if json.as_str() != "null" => Source::Json(json.clone()),
            _ => Source::Missing,
        };
        let annotations = document.extras.annotations;
        let masks = annotations.iter().map(|members| source(members.get("segmentation"))).collect();
        Self { set: document.set, masks }
    }

    /// The mask of the annotation at an index.
    pub(crate) fn mask(&self, index: usize) -> Result<Option<Cow<'_, Segmentation>>, String> {
        Ok(match self.masks.get(index) {
            None => return Err("the set has more annotations than masks; it was changed".into()),
            Some(Source::Missing) => None,
            Some(Source::Read(mask)) => Some(Cow::Borrowed(mask)),
            Some(Source::Json(json)) => {
                let usual = segmentation(json.as_str().as_bytes()).map(Ok);
                let read = usual.unwrap_or_else(|| serde_json::from_str(json.as_str()));
                Some(Cow::Owned(read.map_err(|error| format!("`segmentation` is not a mask: {error}"))?))
            }
        })
    }
}
