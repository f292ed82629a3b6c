//! Requests about masks, and what the library answers.

use longtail_mask::{Merge, Rle, Segmentation, Size, boundary_iou, box_iou, iou, merge};
use serde::Deserialize;
use serde_json::{Value, json};

/// What is asked; masks are compressed texts, bitmaps strings of 0 and 1 in column order.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// Encode a bitmap.
    Encode { size: [u32; 2], bitmap: String },
    /// Area, box, counts and bitmap of a mask.
    Mask { size: [u32; 2], text: String },
    /// Text, area and box of uncompressed counts.
    Counts { size: [u32; 2], counts: Vec<u32> },
    /// Union or intersection.
    Merge { size: [u32; 2], texts: Vec<String>, intersect: bool },
    /// Overlaps of masks.
    Iou { size: [u32; 2], detections: Vec<String>, truths: Vec<String>, crowd: Vec<bool> },
    /// Overlaps of boxes.
    BoxIou { detections: Vec<[f64; 4]>, truths: Vec<[f64; 4]>, crowd: Vec<bool> },
    /// A segmentation of any form: its parts and the whole.
    Polygons { size: [u32; 2], segmentation: Segmentation },
    /// Boxes rasterised.
    Boxes { size: [u32; 2], boxes: Vec<[f64; 4]> },
    /// Boundary of a mask.
    Boundary { size: [u32; 2], text: String, ratio: f64 },
    /// Overlaps by mask and boundary.
    BoundaryIou { size: [u32; 2], detections: Vec<String>, truths: Vec<String>, crowd: Vec<bool>, ratio: f64 },
    /// Polygons of a mask.
    Outlines { size: [u32; 2], text: String },
}

/// The answer, or `{"error": …}`.
pub fn answer(request: &Value) -> Value {
    let answer = Request::deserialize(request)
        .map_err(|e| e.to_string())
        .and_then(|request| result(request).map_err(|e| e.to_string()));
    answer.unwrap_or_else(|error| json!({ "error": error }))
}

fn result(request: Request) -> Result<Value, longtail_mask::MaskError> {
    let image = |size: [u32; 2]| Size::new(size[0], size[1]);
    let masks = |size: [u32; 2], texts: Vec<String>| {
        texts.iter().map(|text| Rle::from_text(image(size)?, text)).collect::<Result<Vec<_>, _>>()
    };
    Ok(match request {
        Request::Encode { size, bitmap } => {
            let bitmap: Vec<u8> = bitmap.bytes().map(|b| b - b'0').collect();
            json!(Rle::encode_columns(image(size)?, &bitmap)?.to_text())
        }
        Request::Mask { size, text } => {
            let mask = Rle::from_text(image(size)?, text)?;
            let bitmap: String = mask.decode_columns()?.iter().map(|b| char::from(b + b'0')).collect();
            json!({ "area": mask.area(), "box": mask.to_bbox(), "bitmap": bitmap, "text": mask.to_text() })
        }
        Request::Counts { size, counts } => {
            let mask = Rle::new(image(size)?, counts)?;
            json!({ "area": mask.area(), "box": mask.to_bbox(), "text": mask.to_text() })
        }
        Request::Merge { size, texts, intersect } => {
            let how = if intersect { Merge::Intersection } else { Merge::Union };
            json!(merge(&masks(size, texts)?, how)?.to_text())
        }
        Request::Iou { size, detections, truths, crowd } => {
            json!(iou(&masks(size, detections)?, &masks(size, truths)?, &crowd)?)
        }
        Request::BoxIou { detections, truths, crowd } => json!(box_iou(&detections, &truths, &crowd)?),
        Request::Polygons { size, segmentation } => {
            let parts = segmentation.to_rles(image(size)?)?;
            let parts: Vec<String> = parts.iter().map(Rle::to_text).collect();
            json!({ "parts": parts, "whole": segmentation.to_rle(image(size)?)?.to_text() })
        }
        Request::Boxes { size, boxes } => {
            let masks = boxes.iter().map(|&numbers| Ok(Rle::from_box(image(size)?, numbers)?.to_text()));
            json!(masks.collect::<Result<Vec<_>, _>>()?)
        }
        Request::Boundary { size, text, ratio } => {
            json!(Rle::from_text(image(size)?, text)?.boundary(ratio)?.to_text())
        }
        Request::BoundaryIou { size, detections, truths, crowd, ratio } => {
            json!(boundary_iou(&masks(size, detections)?, &masks(size, truths)?, &crowd, ratio)?)
        }
        Request::Outlines { size, text } => json!(Rle::from_text(image(size)?, text)?.to_polygons()?),
    })
}
