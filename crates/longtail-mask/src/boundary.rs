//! Boundaries of masks and their overlap, as the Boundary IoU challenge computes them.
//!
//! B. Cheng, R. Girshick, P. Dollár, A. C. Berg, A. Kirillov: Boundary IoU, CVPR 2021. The boundary of a mask
//! are its pixels that a 3 × 3 erosion, repeated as often as the boundary is wide, removes; outside the image
//! nothing is inside.

use crate::{
    MaskError, Rle, Size, Spans,
    overlap::overlaps,
    rle::{column_pieces, pieces},
};

/// Width of the boundary as a share of the image's diagonal in the challenge.
pub const DILATION_RATIO: f64 = 0.02;
/// Most runs after cutting them at the columns' ends, of which a boundary is made.
pub const MAX_PIECES: u64 = 1 << 26;

/// Width of the boundary in pixels: ratio × diagonal, rounded (halves to even), at least 1.
///
/// # Errors
/// If the ratio is negative or not finite.
pub fn boundary_width(size: Size, ratio: f64) -> Result<u32, MaskError> {
    if !(ratio >= 0.0 && ratio.is_finite()) {
        return Err(MaskError::DilationRatio { ratio });
    }
    let [height, width] = [size.height(), size.width()].map(u64::from);
    let diagonal = ((height * height + width * width) as f64).sqrt();
    Ok((ratio * diagonal).round_ties_even().max(1.0) as u32)
}

impl Rle {
    /// The pixels of the mask no farther than the boundary's width from a pixel outside, in the maximum norm;
    /// the challenge's ratio is [`DILATION_RATIO`]. O((runs + columns) × log width), without a bitmap.
    ///
    /// # Errors
    /// If the ratio is negative or not finite, or the runs, cut at the columns' ends, are more than 2²⁶.
    pub fn boundary(&self, ratio: f64) -> Result<Self, MaskError> {
        let toggles = boundary_toggles(self.size(), &self.toggles(), ratio)?;
        Ok(Self::from_toggles(self.size(), toggles.into_iter()))
    }
}

/// A mask and its boundary, prepared for many overlaps.
#[derive(Debug, Clone)]
pub struct BoundarySpans {
    /// The mask.
    pub mask: Spans,
    /// Its boundary.
    pub boundary: Spans,
}

impl Spans {
    /// The mask's boundary, prepared.
    ///
    /// # Errors
    /// As [`Rle::boundary`].
    pub fn boundary(&self, ratio: f64) -> Result<Self, MaskError> {
        Ok(Self::from_toggles(self.size(), boundary_toggles(self.size(), self.toggles(), ratio)?))
    }
}

impl BoundarySpans {
    /// Prepares a mask.
    ///
    /// # Errors
    /// As [`Rle::boundary`].
    pub fn new(mask: &Rle, ratio: f64) -> Result<Self, MaskError> {
        let mask = Spans::new(mask);
        Ok(Self { boundary: mask.boundary(ratio)?, mask })
    }
}

/// Overlaps as the challenge's evaluators match by: the smaller of the masks' and the boundaries' IoU, and
/// the masks' alone for a crowd. Laid out as [`iou`](crate::iou) does. The boundaries' IoU alone is `iou` of
/// [`Rle::boundary`].
///
/// # Errors
/// As [`iou`](crate::iou) and [`Rle::boundary`], with the index of the mask.
pub fn boundary_iou(
    detections: &[Rle],
    truths: &[Rle],
    crowd: &[bool],
    ratio: f64,
) -> Result<Vec<f64>, MaskError> {
    let prepare = |what, masks: &[Rle]| {
        let prepared = masks.iter().enumerate();
        prepared
            .map(|(index, mask)| BoundarySpans::new(mask, ratio).map_err(|e| e.at(what, index)))
            .collect::<Result<Vec<_>, _>>()
    };
    boundary_iou_of_spans(&prepare("detection", detections)?, &prepare("ground truth", truths)?, crowd)
}

/// As [`boundary_iou`], for masks that are prepared already.
///
/// # Errors
/// As [`iou`](crate::iou).
pub fn boundary_iou_of_spans(
    detections: &[BoundarySpans],
    truths: &[BoundarySpans],
    crowd: &[bool],
) -> Result<Vec<f64>, MaskError> {
    let mut of_masks = overlaps(detections, truths, crowd, |both| &both.mask)?;
    let of_boundaries = overlaps(detections, truths, crowd, |both| &both.boundary)?;
    for (index, (overlap, boundary)) in of_masks.iter_mut().zip(of_boundaries).enumerate() {
        if !crowd[index % crowd.len()] {
            *overlap = overlap.min(boundary);
        }
    }
    Ok(of_masks)
}

fn boundary_toggles(size: Size, toggles: &[u32], ratio: f64) -> Result<Vec<u32>, MaskError> {
    let core = eroded(size, toggles, boundary_width(size, ratio)?)?;
    Ok(difference(toggles, core.as_flattened()))
}

/// Runs of the pixels whose square of side 2 × distance + 1 is all inside. Each lies within one column.
fn eroded(size: Size, toggles: &[u32], distance: u32) -> Result<Vec<[u32; 2]>, MaskError> {
    let (spans, _) = toggles.as_chunks::<2>();
    let side = u64::from(distance) * 2 + 1;
    if side > size.height().min(size.width()).into() {
        return Ok(Vec::new());
    }
    let pieces = pieces(size, spans);
    if pieces > MAX_PIECES {
        return Err(MaskError::TooComplex { what: "columns of a boundary", pieces, limit: MAX_PIECES });
    }
    // Down the columns a run loses its ends.
    let mut runs: Vec<[u32; 2]> = column_pieces(size, spans)
        .filter(|[_, top, bottom]| u64::from(bottom - top) >= side)
        .map(|[column, top, bottom]| {
            let start = column * size.height();
            [start + top + distance, start + bottom - distance]
        })
        .collect();
    // Across, a pixel stays if it is there in `side` columns; twice as many columns each time, then the rest.
    let mut columns = 1;
    while columns < side && !runs.is_empty() {
        let shift = columns.min(side - columns);
        runs = with_shifted(&runs, shift as u32 * size.height());
        columns += shift;
    }
    // So far they are at the first of their columns.
    let shift = distance * size.height();
    runs.iter_mut().flatten().for_each(|at| *at += shift);
    Ok(runs)
}

/// The intersection of runs with themselves moved to lower positions, by whole columns.
fn with_shifted(runs: &[[u32; 2]], shift: u32) -> Vec<[u32; 2]> {
    let later = &runs[runs.partition_point(|run| run[0] < shift)..];
    let mut common = Vec::with_capacity(later.len());
    let (mut i, mut j) = (0, 0);
    while let (Some(&[start1, end1]), Some(&[start2, end2])) = (runs.get(i), later.get(j)) {
        let (start2, end2) = (start2 - shift, end2 - shift);
        let (start, end) = (start1.max(start2), end1.min(end2));
        if start < end {
            common.push([start, end]);
        }
        i += usize::from(end1 <= end2);
        j += usize::from(end2 <= end1);
    }
    common
}

/// Toggles of the pixels in a mask and not in a part of it.
fn difference(mask: &[u32], part: &[u32]) -> Vec<u32> {
    let mut toggles: Vec<u32> = Vec::with_capacity(mask.len() + part.len());
    let (mut i, mut j) = (0, 0);
    while i < mask.len() || j < part.len() {
        let a = mask.get(i).copied().unwrap_or(u32::MAX);
        let b = part.get(j).copied().unwrap_or(u32::MAX);
        i += usize::from(a <= b);
        j += usize::from(b <= a);
        if a != b {
            toggles.push(a.min(b));
        }
    }
    toggles
}
