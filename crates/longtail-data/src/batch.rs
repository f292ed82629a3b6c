//! Images of one step as one block of normalised pixels.

use crate::{
    canvas::{Canvas, Prepared},
    dataset::Dataset,
    error::DataError,
    geometry::PixelMap,
    normalize::normalize,
    pixels::{PixelPool, Pixels},
    resample::recycle,
    sample::{Sample, Targets},
    transform::Transform,
};

/// An image of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchImage {
    /// The file's image id.
    pub image_id: i64,
    /// Index in the data set.
    pub index: usize,
    /// Width inside the padding.
    pub width: u32,
    /// Height inside the padding.
    pub height: u32,
    /// Width of the original.
    pub original_width: u32,
    /// Height of the original.
    pub original_height: u32,
    /// Whether `transform.horizontal_flip` mirrored it.
    pub flipped: bool,
    /// From pixels of the original to those of the batch.
    pub map: PixelMap,
    /// Targets in pixels of the batch.
    pub targets: Targets,
}

impl BatchImage {
    /// Size in the batch over original size, along x and y: the scale of `map` where nothing was cut off.
    pub fn scale(&self) -> [f32; 2] {
        [self.width as f32 / self.original_width as f32, self.height as f32 / self.original_height as f32]
    }
}

/// Images of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Normalised pixels in the order image, channel, row, column; 0 in the padding.
    pub pixels: Pixels,
    /// Images, 3, height, width.
    pub shape: [usize; 4],
    /// The images.
    pub images: Vec<BatchImage>,
}

impl Batch {
    /// Loads, transforms and joins images, given as index and flip, in memory of the pool.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub fn load(
        dataset: &Dataset,
        items: &[(usize, bool)],
        transform: &Transform,
        pool: &PixelPool,
    ) -> Result<Self, DataError> {
        let mut prepared = Vec::with_capacity(items.len());
        for &(index, flipped) in items {
            let canvas = transform.read(dataset, index)?;
            prepared.push(transform.finish(index, canvas, flipped, false));
        }
        Ok(Self::join(prepared, transform, pool))
    }

    /// A batch of one image without targets.
    pub fn single(sample: Sample, transform: &Transform) -> Self {
        let canvas = Canvas::new(sample, false);
        let prepared = transform.finish(0, canvas, false, false);
        Self::join(vec![prepared], transform, &PixelPool::default())
    }

    /// Normalises, pads and joins images, in memory of the pool.
    pub fn join(samples: Vec<Prepared>, transform: &Transform, pool: &PixelPool) -> Self {
        let padded = |side: fn(&Sample) -> u32| {
            let largest = samples.iter().map(|prepared| side(&prepared.sample)).max().unwrap_or(1);
            largest.next_multiple_of(transform.pad_multiple) as usize
        };
        let (height, width) = (padded(|s| s.image.height), padded(|s| s.image.width));
        let mut pixels = pool.take(samples.len() * 3 * height * width);
        let blocks = pixels.as_mut_slice().chunks_exact_mut(3 * height * width);
        for (prepared, block) in samples.iter().zip(blocks) {
            normalize(&prepared.sample.image, transform.mean, transform.std, block, [height, width]);
        }
        let shape = [samples.len(), 3, height, width];
        let images = samples
            .into_iter()
            .map(|prepared| {
                let Prepared { index, original: [original_width, original_height], sample, map, flipped } =
                    prepared;
                let Sample { image_id, image, targets } = sample;
                let (width, height) = (image.width, image.height);
                recycle(image);
                BatchImage {
                    image_id,
                    index,
                    width,
                    height,
                    original_width,
                    original_height,
                    flipped,
                    map,
                    targets,
                }
            })
            .collect();
        Self { pixels, shape, images }
    }
}
