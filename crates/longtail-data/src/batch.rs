//! Images of one step as one block of normalised pixels.

use crate::{
    dataset::Dataset,
    error::DataError,
    sample::{Sample, Targets},
    transform::Transform,
};

/// An image of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchImage {
    /// The file's image id.
    pub image_id: i64,
    /// Place in the data set.
    pub index: usize,
    /// Width inside the padding.
    pub width: u32,
    /// Height inside the padding.
    pub height: u32,
    /// Width of the original.
    pub original_width: u32,
    /// Height of the original.
    pub original_height: u32,
    /// Size in the batch over original size, along x and y.
    pub scale: [f32; 2],
    /// Whether it is mirrored.
    pub flipped: bool,
    /// Targets in pixels of the batch.
    pub targets: Targets,
}

/// Images of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Normalised pixels in the order image, channel, row, column; 0 in the padding.
    pub pixels: Vec<f32>,
    /// Images, 3, height, width.
    pub shape: [usize; 4],
    /// The images.
    pub images: Vec<BatchImage>,
}

impl Batch {
    /// Loads, transforms and joins images, given as index and flip.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub fn load(
        dataset: &Dataset,
        items: &[(usize, bool)],
        transform: &Transform,
    ) -> Result<Self, DataError> {
        let mut samples = Vec::with_capacity(items.len());
        for &(index, flipped) in items {
            let sample = dataset.sample(index)?;
            let original = [sample.image.width, sample.image.height];
            samples.push((index, flipped, original, transform.apply(sample, flipped)));
        }
        Ok(Self::join(samples, transform))
    }

    /// A batch of one image without targets.
    pub fn single(sample: Sample, transform: &Transform) -> Self {
        let original = [sample.image.width, sample.image.height];
        Self::join(vec![(0, false, original, transform.apply(sample, false))], transform)
    }

    fn join(samples: Vec<(usize, bool, [u32; 2], Sample)>, transform: &Transform) -> Self {
        let padded = |side: fn(&Sample) -> u32| {
            let largest = samples.iter().map(|(_, _, _, s)| side(s)).max().unwrap_or(1);
            largest.next_multiple_of(transform.pad_multiple) as usize
        };
        let (height, width) = (padded(|s| s.image.height), padded(|s| s.image.width));
        let mut pixels = vec![0.0; samples.len() * 3 * height * width];
        for ((_, _, _, sample), block) in samples.iter().zip(pixels.chunks_exact_mut(3 * height * width)) {
            for (channel, plane) in block.chunks_exact_mut(height * width).enumerate() {
                let (mean, inverse) = (transform.mean[channel], 1.0 / transform.std[channel]);
                let row_bytes = sample.image.width as usize * 3;
                let rows = sample.image.pixels.chunks_exact(row_bytes).zip(plane.chunks_exact_mut(width));
                for (source, target) in rows {
                    let values = source[channel..].iter().step_by(3);
                    for (target, value) in target.iter_mut().zip(values) {
                        *target = (f32::from(*value) - mean) * inverse;
                    }
                }
            }
        }
        let shape = [samples.len(), 3, height, width];
        let images = samples
            .into_iter()
            .map(|(index, flipped, [original_width, original_height], sample)| BatchImage {
                image_id: sample.image_id,
                index,
                width: sample.image.width,
                height: sample.image.height,
                original_width,
                original_height,
                scale: [
                    sample.image.width as f32 / original_width as f32,
                    sample.image.height as f32 / original_height as f32,
                ],
                flipped,
                targets: sample.targets,
            })
            .collect();
        Self { pixels, shape, images }
    }
}
