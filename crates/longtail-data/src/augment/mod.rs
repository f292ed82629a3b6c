//! Augmentations of training images: a typed list in the recipe, applied in its order before `transform.resize`.
//!
//! Every step moves pixels, boxes and the map from the original alike, and keeps what is known about classes true. Its random
//! choices are functions of (seed, place in the stream of images, place in the list).
//!
//! | module | purpose |
//! | --- | --- |
//! | [`boxes`] | what becomes of boxes that are cut or covered |
//! | [`canvas`] | the sample on its way |
//! | [`scale`] | multi-scale, large-scale jitter |
//! | [`crop`] | random crop |
//! | [`color`] | colour jitter |
//! | [`copy_paste`], [`pool`] | objects of other images |

use std::sync::Arc;

use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    batch::{Batch, Prepared},
    dataset::Dataset,
    draw::Draw,
    error::DataError,
    pixels::PixelPool,
    transform::Transform,
};

pub mod boxes;
pub mod canvas;
pub mod color;
pub mod copy_paste;
pub mod crop;
pub mod pool;
pub mod scale;

pub use boxes::{BoxPolicy, Cut};
pub use canvas::Canvas;
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

/// Left and right exchanged; the same as `transform.horizontal_flip`, at a place of the list.
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

    /// Checks the settings of the `place`-th entry.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self, place: usize) -> Result<(), DataError> {
        let result = match self {
            Self::HorizontalFlip(flip) => boxes::share("probability", flip.probability),
            Self::MultiScale(multi_scale) => multi_scale.validate(),
            Self::LargeScaleJitter(jitter) => jitter.validate(),
            Self::RandomCrop(crop) => crop.validate(),
            Self::ColorJitter(jitter) => jitter.validate(),
            Self::CopyPaste(paste) => paste.validate(),
        };
        result.map_err(|reason| boxes::refused(place, self.kind(), &reason))
    }
}

/// Loads training images of a data set as a recipe's transform says.
pub struct Augmenter {
    dataset: Arc<Dataset>,
    transform: Transform,
    /// Objects to paste, one entry an augmentation.
    pools: Vec<Option<PastePool>>,
    pixels: PixelPool,
}

impl Augmenter {
    /// Prepares what the augmentations need of the data set.
    ///
    /// # Errors
    /// If a setting is out of range, or copy-paste finds no object in the data set.
    pub fn new(dataset: Arc<Dataset>, transform: Transform) -> Result<Self, DataError> {
        transform.validate()?;
        let mut pools = Vec::new();
        for (place, augmentation) in transform.augmentations.iter().enumerate() {
            pools.push(match augmentation {
                Augmentation::CopyPaste(paste) => {
                    let empty = || boxes::refused(place, "copy-paste", "the data set has no box to paste");
                    Some(PastePool::new(&dataset, paste.rarity).ok_or_else(empty)?)
                }
                _ => None,
            });
        }
        Ok(Self { dataset, transform, pools, pixels: PixelPool::default() })
    }

    /// The image of a draw, augmented, resized and perhaps mirrored.
    ///
    /// # Errors
    /// If the image, or one that lends it objects, cannot be read.
    pub fn prepare(&self, draw: &Draw) -> Result<Prepared, DataError> {
        let mut canvas = self.transform.read(&self.dataset, draw.index)?;
        let original = canvas.original_size();
        let mut sized = false;
        for (place, augmentation) in self.transform.augmentations.iter().enumerate() {
            let generator = &mut draw.augmentation(place);
            match augmentation {
                Augmentation::HorizontalFlip(flip) => {
                    if generator.random::<f64>() < flip.probability {
                        canvas.flip();
                    }
                }
                Augmentation::MultiScale(multi_scale) => multi_scale.apply(&mut canvas, generator),
                Augmentation::LargeScaleJitter(jitter) => jitter.apply(&mut canvas, generator),
                Augmentation::RandomCrop(crop) => crop.apply(&mut canvas, generator),
                Augmentation::ColorJitter(jitter) => jitter.apply(&mut canvas.sample.image, generator),
                Augmentation::CopyPaste(paste) => {
                    if let Some(pool) = &self.pools[place] {
                        paste.apply(&mut canvas, &self.dataset, pool, generator)?;
                    }
                }
            }
            sized |= augmentation.sets_size();
        }
        let flip = draw.flip() < self.transform.horizontal_flip;
        Ok(self.transform.finish(draw.index, original, canvas, flip, sized))
    }

    /// The images of draws as a batch.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub fn batch(&self, draws: &[Draw]) -> Result<Batch, DataError> {
        let prepared = draws.iter().map(|draw| self.prepare(draw)).collect::<Result<Vec<_>, _>>()?;
        Ok(Batch::join(prepared, &self.transform, &self.pixels))
    }
}
