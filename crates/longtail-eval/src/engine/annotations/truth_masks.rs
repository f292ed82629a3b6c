//! Masks of ground truth, and the sizes of their images.

use std::borrow::Cow;

use longtail_mask::{Segmentation, Size};

use super::masks::Mask;

/// Masks of ground truth.
#[derive(Debug, Clone, Default)]
pub(crate) struct TruthMasks {
    list: Vec<Mask>,
    /// Height and width by image, as given.
    sizes: Vec<[u32; 2]>,
}

impl TruthMasks {
    /// Masks, and height and width by image.
    pub(super) fn new(list: Vec<Mask>, sizes: Vec<[u32; 2]>) -> Self {
        Self { list, sizes }
    }

    /// Adds a mask; returns its index.
    pub(super) fn push(&mut self, mask: Mask) -> u32 {
        self.list.push(mask);
        self.list.len() as u32 - 1
    }

    /// Adds the size of another's image.
    pub(super) fn push_size_of(&mut self, other: &Self, image: usize) {
        self.sizes.push(other.sizes[image]);
    }

    /// A mask by its index.
    pub(crate) fn of(&self, index: u32) -> &Mask {
        &self.list[index as usize]
    }

    /// Size of an image.
    ///
    /// # Errors
    /// If it has none, or too large a one.
    pub(crate) fn size(&self, image: usize) -> Result<Size, String> {
        size_for_masks(self.sizes[image])
    }
}

/// Size of an image with masks, of its height and width.
pub(super) fn size_for_masks([height, width]: [u32; 2]) -> Result<Size, String> {
    if height == 0 || width == 0 {
        return Err(format!(
            "`height` and `width` of the image are {height} and {width} in the ground truth; masks need them"
        ));
    }
    Size::new(height, width).map_err(|error| error.to_string())
}

/// Masks by index of the annotation.
pub(super) type MaskOf<'a> = dyn Fn(usize) -> Result<Option<Cow<'a, Segmentation>>, String> + Sync + 'a;
