//! A detection as files have it.

use std::path::Path;

use longtail_files::write_file;
use longtail_mask::Segmentation;
use serde::{Deserialize, Deserializer, Serialize, de::Error};

use crate::{checks::check_box, error::EvalError, reading::text::id};

/// A detection, as in COCO's results format.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// The ground truth's image id.
    #[serde(deserialize_with = "id")]
    pub image_id: i64,
    /// The ground truth's category id.
    #[serde(deserialize_with = "id")]
    pub category_id: i64,
    /// x, y, width, height in pixels of the original image.
    pub bbox: [f64; 4],
    /// Higher is more certain.
    pub score: f64,
}

/// A detection with a mask, as in COCO's results format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MaskDetection {
    /// The ground truth's image id.
    #[serde(deserialize_with = "id")]
    pub image_id: i64,
    /// The ground truth's category id.
    #[serde(deserialize_with = "id")]
    pub category_id: i64,
    /// x, y, width, height in pixels of the original image. Of a list's first detection it decides, as in the
    /// references, what areas are: those of the boxes where it has one, else those of the masks.
    #[serde(default, deserialize_with = "optional_box", skip_serializing_if = "Option::is_none")]
    pub bbox: Option<[f64; 4]>,
    /// Of the image's size. It can be missing where masks are read, and is refused where they are scored.
    pub segmentation: Option<Segmentation>,
    /// Higher is more certain.
    pub score: f64,
}

/// A box; an empty list is none, as in the references.
fn optional_box<'de, D: Deserializer<'de>>(from: D) -> Result<Option<[f64; 4]>, D::Error> {
    let Some(numbers) = Option::<Vec<f64>>::deserialize(from)? else { return Ok(None) };
    match numbers[..] {
        [] => Ok(None),
        [x, y, width, height] => Ok(Some([x, y, width, height])),
        _ => Err(D::Error::invalid_length(numbers.len(), &"four numbers: x, y, width, height")),
    }
}

/// Refuses a detection whose numbers mean nothing.
pub(crate) fn check_numbers(detection: &Detection) -> Result<(), String> {
    check_box(&detection.bbox)?;
    check_score(detection.score)
}

/// Refuses a score that cannot be sorted.
pub(crate) fn check_score(score: f64) -> Result<(), String> {
    if !score.is_finite() {
        return Err(format!("`score` is {score}, expected a finite number"));
    }
    Ok(())
}

/// Writes detections as a JSON list: whole, or not at all.
///
/// # Errors
/// If the file cannot be written, or a detection has no place in JSON (NaN, infinity) or a negative size.
pub fn write_detections(path: &Path, detections: &[Detection]) -> Result<(), EvalError> {
    // serde_json writes NaN as null, which no evaluator reads back.
    for (index, detection) in detections.iter().enumerate() {
        check_numbers(detection).map_err(|reason| EvalError::Detection { index, reason })?;
    }
    Ok(write_file(path, |writer| Ok(serde_json::to_writer(writer, detections)?))?)
}
