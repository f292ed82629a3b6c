//! The size of a world.

use longtail_formats::OpenImagesLabels;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{classes::MAX_CLASSES, error::EmojiError};

/// How a world is annotated; its images are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WorldLayout {
    /// As LVIS.
    #[default]
    Lvis,
    /// As Open Images: a tree of classes, boxes around groups, classes verified absent.
    OpenImages,
}

/// Settings of a world. A smaller world takes fewer classes with their true counts, never flattened ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WorldConfig {
    /// Seed of classes, counts and scenes. A recipe's seed takes its place.
    #[serde(skip)]
    pub seed: u64,
    /// Classes, 3 to 1,203.
    pub classes: usize,
    /// Training images.
    pub images: usize,
    /// Validation images, balanced by class.
    pub validation_images: usize,
    /// Side of the square images in pixels.
    pub image_size: u32,
    /// How it is annotated.
    #[serde(skip_serializing_if = "WorldLayout::is_lvis")]
    #[schemars(!skip_serializing_if)]
    pub layout: WorldLayout,
    /// Open Images: which boxes are trained on; none: plain, the emoji themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<OpenImagesLabels>,
}

impl WorldLayout {
    fn is_lvis(&self) -> bool {
        *self == Self::Lvis
    }
}

impl Default for WorldConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            classes: 50,
            images: 4000,
            validation_images: 500,
            image_size: 160,
            layout: WorldLayout::default(),
            labels: None,
        }
    }
}

impl WorldConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), EmojiError> {
        if self.labels.is_some() && self.layout == WorldLayout::Lvis {
            return Err(EmojiError::LabelsWithoutTree);
        }
        let check = |field, value: usize, holds: bool, expected: &str| {
            if holds { Ok(()) } else { Err(EmojiError::Config { field, value, expected: expected.into() }) }
        };
        let classes = format!("3 to {MAX_CLASSES}: one for each frequency group, and as many as LVIS v1 has");
        check("classes", self.classes, (3..=MAX_CLASSES).contains(&self.classes), &classes)?;
        // Below 150 images there is no frequent class (more than 100 images) that is not in nearly all.
        check("images", self.images, self.images >= 150, "at least 150, so that a class can be frequent")?;
        check("validation_images", self.validation_images, self.validation_images > 0, "at least 1")?;
        let size = self.image_size as usize;
        check("image_size", size, (64..=2048).contains(&size), "64 to 2048 pixels")
    }
}
