//! The forms in which COCO and LVIS files write a mask.

use serde::{Deserialize, Serialize};

use crate::{MaskError, Merge, Rle, Size, merge};

/// What a member `segmentation` holds.
///
/// | form | JSON |
/// | --- | --- |
/// | polygons, together one mask | `[[x, y, x, y, x, y, …], …]` |
/// | uncompressed counts | `{"size": [height, width], "counts": [outside, inside, …]}` |
/// | compressed counts | `{"size": [height, width], "counts": "…"}` |
/// | several of the last two, together one mask | `[{"size": …, "counts": …}, …]` |
///
/// `null` and lists without an entry are not a mask.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Segmentation {
    /// Polygons x, y, x, y, … in pixels.
    Polygons(Vec<Vec<f64>>),
    /// Runs.
    Runs(Runs),
    /// Several masks as runs.
    Several(Vec<Runs>),
}

/// Runs with the size of their image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Runs {
    /// Height and width in pixels.
    pub size: [u32; 2],
    /// Lengths of the runs.
    pub counts: Counts,
}

/// Lengths of runs, the first of them outside.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Counts {
    /// As numbers.
    List(Vec<u32>),
    /// As compressed text.
    Text(String),
}

impl Runs {
    /// The mask.
    ///
    /// # Errors
    /// As [`Size::new`], [`Rle::new`] and [`Rle::from_text`].
    pub fn to_rle(&self) -> Result<Rle, MaskError> {
        let size = Size::new(self.size[0], self.size[1])?;
        match &self.counts {
            Counts::List(counts) => Rle::new(size, counts.clone()),
            Counts::Text(text) => Rle::from_text(size, text),
        }
    }
}

impl From<&Rle> for Runs {
    /// Compressed.
    fn from(mask: &Rle) -> Self {
        let size = mask.size();
        Self { size: [size.height(), size.width()], counts: Counts::Text(mask.to_text()) }
    }
}

impl Segmentation {
    /// One mask for each polygon or entry, as the reference's `frPyObjects`, which takes no compressed
    /// counts.
    ///
    /// # Errors
    /// As [`Rle::from_polygon`] and [`Runs::to_rle`], and if the size of runs is not the image's; with the
    /// index of the entry. The reference leaves out the last number of an odd count, takes polygons of two
    /// points, and does not compare sizes.
    pub fn to_rles(&self, image: Size) -> Result<Vec<Rle>, MaskError> {
        let of_image = |runs: &Runs, index| match runs.to_rle()? {
            mask if mask.size() == image => Ok(mask),
            mask => Err(MaskError::SizesDiffer { left: image, right: mask.size(), index }),
        };
        match self {
            Self::Polygons(polygons) => {
                let rasterised = polygons.iter().enumerate().map(|(index, polygon)| {
                    Rle::from_polygon(image, polygon).map_err(|e| e.at("polygon", index))
                });
                rasterised.collect()
            }
            Self::Runs(runs) => Ok(vec![of_image(runs, 0)?]),
            Self::Several(several) => {
                let masks = several.iter().enumerate();
                masks.map(|(index, runs)| of_image(runs, index).map_err(|e| e.at("mask", index))).collect()
            }
        }
    }

    /// The mask: the union of all polygons or entries, as the reference's `annToRLE`.
    ///
    /// # Errors
    /// As [`Segmentation::to_rles`], and if there is no entry.
    pub fn to_rle(&self, image: Size) -> Result<Rle, MaskError> {
        let mut masks = self.to_rles(image)?;
        if masks.len() == 1 { Ok(masks.swap_remove(0)) } else { merge(&masks, Merge::Union) }
    }
}
