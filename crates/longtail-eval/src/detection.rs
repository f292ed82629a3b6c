//! A detection as files have it.

use std::path::Path;

use longtail_files::write_file;
use serde::{Deserialize, Serialize};

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

/// Refuses a detection whose numbers mean nothing.
pub(crate) fn check_numbers(detection: &Detection) -> Result<(), String> {
    check_box(&detection.bbox)?;
    if !detection.score.is_finite() {
        return Err(format!("`score` is {}, expected a finite number", detection.score));
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
