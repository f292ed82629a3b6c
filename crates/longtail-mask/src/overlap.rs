//! Intersection over union of masks and of boxes.

use crate::{MaskError, Rle, Spans};

/// Overlaps of detections (rows) with ground truths (columns): entry (d, g) at `d * truths.len() + g`.
///
/// Intersection over union, or over the detection's area where the ground truth is a crowd; 0 for masks
/// without a common pixel. O(runs of all masks) and, for each pair, as [`Spans::intersection`].
///
/// # Errors
/// If sizes differ (the reference gives −1 for such a pair if the boxes overlap, else 0), or there is not one
/// flag for each ground truth.
pub fn iou(detections: &[Rle], truths: &[Rle], crowd: &[bool]) -> Result<Vec<f64>, MaskError> {
    let detections: Vec<_> = detections.iter().map(Spans::new).collect();
    let truths: Vec<_> = truths.iter().map(Spans::new).collect();
    iou_of_spans(&detections, &truths, crowd)
}

/// As [`iou`], for masks that are prepared already.
///
/// # Errors
/// As [`iou`].
pub fn iou_of_spans(detections: &[Spans], truths: &[Spans], crowd: &[bool]) -> Result<Vec<f64>, MaskError> {
    overlaps(detections, truths, crowd, |mask| mask)
}

impl Spans {
    /// The overlap of a detection with a ground truth of the same size, as [`iou`] has it. O(columns in
    /// common), as [`Spans::intersection`].
    pub fn overlap(&self, truth: &Self, crowd: bool) -> f64 {
        let common = self.intersection(truth);
        let whole = if crowd { self.area() } else { self.area() - common + truth.area() };
        if common == 0 { 0.0 } else { f64::from(common) / f64::from(whole) }
    }
}

/// As [`iou`], for what holds prepared masks.
pub(crate) fn overlaps<T>(
    detections: &[T],
    truths: &[T],
    crowd: &[bool],
    spans: impl Fn(&T) -> &Spans,
) -> Result<Vec<f64>, MaskError> {
    flags_fit(crowd.len(), truths.len())?;
    let Some(left) = detections.first().or(truths.first()).map(|mask| spans(mask).size()) else {
        return Ok(Vec::new());
    };
    for (what, masks) in [("detection", detections), ("ground truth", truths)] {
        if let Some(index) = masks.iter().position(|mask| spans(mask).size() != left) {
            let right = spans(&masks[index]).size();
            return Err(MaskError::SizesDiffer { left, right, index }.at(what, index));
        }
    }
    let mut overlaps = Vec::with_capacity(detections.len() * truths.len());
    for detection in detections.iter().map(&spans) {
        for (truth, &crowd) in truths.iter().map(&spans).zip(crowd) {
            overlaps.push(detection.overlap(truth, crowd));
        }
    }
    Ok(overlaps)
}

fn flags_fit(flags: usize, truths: usize) -> Result<(), MaskError> {
    if flags == truths { Ok(()) } else { Err(MaskError::CrowdFlags { flags, truths }) }
}

/// Overlaps of boxes x, y, width, height, as [`iou`] lays them out; no clipping to an image. O(pairs).
///
/// # Errors
/// If a number is not finite, or there is not one flag for each ground truth.
pub fn box_iou(detections: &[[f64; 4]], truths: &[[f64; 4]], crowd: &[bool]) -> Result<Vec<f64>, MaskError> {
    flags_fit(crowd.len(), truths.len())?;
    for (what, boxes) in [("detection", detections), ("ground truth", truths)] {
        for (index, numbers) in boxes.iter().enumerate() {
            if let Some(at) = numbers.iter().position(|v| !v.is_finite()) {
                return Err(MaskError::Coordinate { at, value: numbers[at], limit: f64::MAX }.at(what, index));
            }
        }
    }
    let overlaps = detections.iter().flat_map(|&[dx, dy, dw, dh]| {
        truths.iter().zip(crowd).map(move |(&[gx, gy, gw, gh], &crowd)| {
            let width = (dw + dx).min(gw + gx) - dx.max(gx);
            let height = (dh + dy).min(gh + gy) - dy.max(gy);
            if width <= 0.0 || height <= 0.0 {
                return 0.0;
            }
            let common = width * height;
            common / if crowd { dw * dh } else { dw * dh + gw * gh - common }
        })
    });
    Ok(overlaps.collect())
}
