//! Union and intersection.

use crate::{MaskError, Rle};

/// How masks are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// Pixels that are in some mask.
    Union,
    /// Pixels that are in all masks.
    Intersection,
}

/// One mask of several. O(runs of all × log masks). A single mask is returned as it is, others give a
/// canonical one.
///
/// Where masks have runs of length 0, the reference keeps some of them and may lose the rest of the mask;
/// here the result is what the pixels say. Masks of different sizes give it a mask of size 0 × 0.
///
/// # Errors
/// If there is no mask, or sizes differ.
pub fn merge(masks: &[Rle], how: Merge) -> Result<Rle, MaskError> {
    let (first, rest) = masks.split_first().ok_or(MaskError::NothingToMerge)?;
    let size = first.size();
    if let Some(index) = rest.iter().position(|mask| mask.size() != size) {
        return Err(MaskError::SizesDiffer { left: size, right: rest[index].size(), index: index + 1 });
    }
    if rest.is_empty() {
        return Ok(first.clone());
    }
    let mut merged: Vec<Vec<u32>> = masks.iter().map(Rle::toggles).collect();
    // In pairs of pairs, so that no mask is read more than log times.
    while merged.len() > 1 {
        merged = merged
            .chunks_mut(2)
            .map(|two| match two {
                [left, right] => pair(left, right, how),
                one => std::mem::take(&mut one[0]),
            })
            .collect();
    }
    Ok(Rle::from_toggles(size, merged[0].iter().copied()))
}

/// Toggles of two masks merged.
pub(crate) fn pair(left: &[u32], right: &[u32], how: Merge) -> Vec<u32> {
    let mut toggles = Vec::with_capacity(left.len() + right.len());
    let (mut i, mut j, mut inside) = (0, 0, 0);
    while i < left.len() || j < right.len() {
        // No position reaches the largest number.
        let a = left.get(i).copied().unwrap_or(u32::MAX);
        let b = right.get(j).copied().unwrap_or(u32::MAX);
        let at = a.min(b);
        i += usize::from(a == at);
        j += usize::from(b == at);
        let now = match how {
            Merge::Union => (i | j) & 1,
            Merge::Intersection => i & j & 1,
        };
        if now != inside {
            toggles.push(at);
            inside = now;
        }
    }
    toggles
}
