//! Augmentations of training images: a typed list in the recipe, applied in its order before
//! `transform.resize`.
//!
//! Every step moves pixels, boxes and the map from the original alike, and keeps what is known about classes
//! true. Its random choices are functions of (seed, position in the stream of images, index in the list).
//!
//! | module | purpose |
//! | --- | --- |
//! | [`scale`] | multi-scale, large-scale jitter |
//! | [`crop`] | random crop |
//! | [`color`] | colour jitter |
//! | [`copy_paste`], [`pool`] | objects of other images |

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{boxes::share, error::DataError};

pub mod color;
pub mod copy_paste;
pub mod crop;
pub mod pool;
pub mod scale;

pub use color::ColorJitter;
pub use copy_paste::{CopyPaste, Shape};
pub use crop::RandomCrop;
pub use pool::PastePool;
pub use scale::{LargeScaleJitter, MultiScale};

/// One augmentation of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Augmentation {
    /// [`HorizontalFlip`].
    HorizontalFlip(HorizontalFlip),
    /// [`MultiScale`].
    MultiScale(MultiScale),
    /// [`LargeScaleJitter`].
    LargeScaleJitter(LargeScaleJitter),
    /// [`RandomCrop`].
    RandomCrop(RandomCrop),
    /// [`ColorJitter`].
    ColorJitter(ColorJitter),
    /// [`CopyPaste`].
    CopyPaste(CopyPaste),
}

/// Left and right exchanged; the same as `transform.horizontal_flip`, somewhere in the list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HorizontalFlip {
    /// How often.
    pub probability: f64,
}

impl Default for HorizontalFlip {
    fn default() -> Self {
        Self { probability: 0.5 }
    }
}

impl Augmentation {
    /// The `kind` of the recipe.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::HorizontalFlip(_) => "horizontal-flip",
            Self::MultiScale(_) => "multi-scale",
            Self::LargeScaleJitter(_) => "large-scale-jitter",
            Self::RandomCrop(_) => "random-crop",
            Self::ColorJitter(_) => "color-jitter",
            Self::CopyPaste(_) => "copy-paste",
        }
    }

    /// Whether it decides the size of the image, so that `transform.resize` has nothing left to do.
    pub fn sets_size(&self) -> bool {
        matches!(self, Self::MultiScale(_) | Self::LargeScaleJitter(_))
    }

    /// Checks the settings of the entry of an index.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self, index: usize) -> Result<(), DataError> {
        let result = match self {
            Self::HorizontalFlip(flip) => share("probability", flip.probability),
            Self::MultiScale(multi_scale) => multi_scale.validate(),
            Self::LargeScaleJitter(jitter) => jitter.validate(),
            Self::RandomCrop(crop) => crop.validate(),
            Self::ColorJitter(jitter) => jitter.validate(),
            Self::CopyPaste(paste) => paste.validate(),
        };
        result.map_err(|reason| refused(index, self.kind(), &reason))
    }
}

/// The error of the augmentation of an index in the list.
pub(crate) fn refused(index: usize, kind: &str, reason: &str) -> DataError {
    DataError::Setting {
        field: "transform.augmentations",
        reason: format!("entry {index} ({kind}): {reason}"),
    }
}
