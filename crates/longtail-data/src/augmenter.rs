//! Training images of a data set as a recipe's transform says.

use std::sync::Arc;

use rand::RngExt;

use crate::{
    augment::{Augmentation, PastePool, refused},
    batch::Batch,
    canvas::Prepared,
    dataset::Dataset,
    draw::Draw,
    error::DataError,
    pixels::PixelPool,
    transform::Transform,
};

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
        for (index, augmentation) in transform.augmentations.iter().enumerate() {
            pools.push(match augmentation {
                Augmentation::CopyPaste(paste) => {
                    let empty = || refused(index, "copy-paste", "the data set has no box to paste");
                    Some(PastePool::new(&dataset, paste.rarity).ok_or_else(empty)?)
                }
                _ => None,
            });
        }
        Ok(Self { dataset, transform, pools, pixels: PixelPool::default() })
    }

    /// The data set.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// The image of a draw, augmented, resized and perhaps mirrored.
    ///
    /// # Errors
    /// If the image, or one that lends it objects, cannot be read.
    pub fn prepare(&self, draw: &Draw) -> Result<Prepared, DataError> {
        let mut canvas = self.transform.read(&self.dataset, draw.index)?;
        let mut sized = false;
        for (index, augmentation) in self.transform.augmentations.iter().enumerate() {
            let generator = &mut draw.augmentation(index);
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
                    if let Some(pool) = &self.pools[index] {
                        paste.apply(&mut canvas, &self.dataset, pool, generator)?;
                    }
                }
            }
            sized |= augmentation.sets_size();
        }
        let flip = draw.flip() < self.transform.horizontal_flip;
        Ok(self.transform.finish(draw.index, canvas, flip, sized))
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
