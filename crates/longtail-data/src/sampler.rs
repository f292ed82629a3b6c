//! In which order images are trained on: a function of the seed alone.

use longtail_draw::{Purpose, generator};
use rand::{RngExt, seq::SliceRandom};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{aspect::AspectGroups, dataset::Dataset, draw::Draw, error::DataError};

/// Order and frequency of the images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Sampler {
    /// Every image once an epoch, shuffled.
    Shuffled,
    /// Every image once an epoch, in file order.
    Sequential,
    /// Repeat-factor sampling (Gupta et al., LVIS, CVPR 2019): an image comes `max over its classes of
    /// max(1, √(threshold / f))` times an epoch, f the share of images that hold the class; fractions are
    /// rounded up or down at random, anew each epoch.
    RepeatFactor {
        /// Share of images above which a class is not repeated; the paper's is 0.001.
        threshold: f64,
    },
    /// Instance-aware repeat-factor sampling (Yaman et al., 2023, arXiv 2305.08069): as `repeat-factor` with f
    /// the geometric mean of the class's shares of the images and of the boxes.
    InstanceAwareRepeatFactor {
        /// Share above which a class is not repeated.
        threshold: f64,
    },
    /// A class drawn uniformly, then one of its images, as many times as there are images. Images without a
    /// box never come.
    ClassAware,
    /// A box drawn uniformly, then its image, as many times as there are images: images with many boxes come
    /// often.
    InstanceBalanced,
}

/// What the order of an epoch is made from.
#[derive(Debug, Clone)]
enum Frequencies {
    /// How often each image comes in an epoch.
    Factors(Vec<f64>),
    /// Images of each class that has any.
    ImagesOfClass(Vec<Vec<u32>>),
    /// Image of each box.
    ImageOfBox(Vec<u32>),
}

/// Batches by iteration: a stream of epochs cut into batches, so that no image is left over at an epoch's
/// end.
#[derive(Debug, Clone)]
pub struct BatchPlan {
    sampler: Sampler,
    frequencies: Frequencies,
    images: usize,
    batch_size: usize,
    seed: u64,
    /// Start of every epoch reached so far in the stream.
    starts: Vec<u64>,
    /// The epoch whose order is at hand.
    current: Option<(usize, Vec<u32>)>,
    /// Landscape and portrait images apart, if asked for.
    groups: Option<AspectGroups>,
}

impl BatchPlan {
    /// A plan over a data set.
    ///
    /// # Errors
    /// If the batch is empty, the threshold of repeat-factor sampling is not above 0, or a sampler that draws
    /// classes or boxes finds none.
    pub fn new(
        dataset: &Dataset,
        sampler: &Sampler,
        batch_size: usize,
        seed: u64,
    ) -> Result<Self, DataError> {
        if batch_size == 0 {
            return Err(DataError::Setting {
                field: "batch_size",
                reason: "is 0; it must be at least 1".into(),
            });
        }
        if let Sampler::RepeatFactor { threshold } | Sampler::InstanceAwareRepeatFactor { threshold } =
            sampler
            && !(threshold.is_finite() && *threshold > 0.0)
        {
            let reason = format!("is {threshold}; it must be above 0 (the paper's is 0.001)");
            return Err(DataError::Setting { field: "sampler.threshold", reason });
        }
        let empty = || DataError::Setting {
            field: "sampler.kind",
            reason: "draws boxes, but the data set has none; choose `shuffled`".into(),
        };
        let frequencies = match sampler {
            Sampler::Shuffled | Sampler::Sequential => Frequencies::Factors(vec![1.0; dataset.len()]),
            Sampler::RepeatFactor { threshold } => Frequencies::Factors(repeat_factors(dataset, *threshold)),
            Sampler::InstanceAwareRepeatFactor { threshold } => {
                Frequencies::Factors(instance_aware_repeat_factors(dataset, *threshold))
            }
            Sampler::ClassAware => {
                let mut images_of_class: Vec<Vec<u32>> = vec![Vec::new(); dataset.labels().len()];
                for image in 0..dataset.len() {
                    for label in dataset.labels_of(image) {
                        images_of_class[label as usize].push(image as u32);
                    }
                }
                images_of_class.retain(|images| !images.is_empty());
                if images_of_class.is_empty() {
                    return Err(empty());
                }
                Frequencies::ImagesOfClass(images_of_class)
            }
            Sampler::InstanceBalanced => {
                let boxes_of = |image: usize| std::iter::repeat_n(image as u32, dataset.boxes_of(image));
                let image_of_box: Vec<u32> = (0..dataset.len()).flat_map(boxes_of).collect();
                if image_of_box.is_empty() {
                    return Err(empty());
                }
                Frequencies::ImageOfBox(image_of_box)
            }
        };
        let (sampler, images) = (sampler.clone(), dataset.len());
        let (starts, current, groups) = (vec![0], None, None);
        Ok(Self { sampler, frequencies, images, batch_size, seed, starts, current, groups })
    }

    /// Batches of landscape images and batches of portrait images, so that little of a batch is padding. The
    /// stream of images stays what it is; each joins the next batch of its kind, and none is left out at an
    /// epoch's end.
    #[must_use]
    pub fn grouped_by_aspect(self, dataset: &Dataset) -> Self {
        Self { groups: Some(AspectGroups::new(dataset)), ..self }
    }

    /// Expected number of iterations in an epoch, rounded up.
    pub fn iterations_per_epoch(&self) -> u64 {
        let images = match &self.frequencies {
            Frequencies::Factors(factors) => factors.iter().sum::<f64>(),
            Frequencies::ImagesOfClass(_) | Frequencies::ImageOfBox(_) => self.images as f64,
        };
        (images / self.batch_size as f64).ceil() as u64
    }

    /// Images of an iteration.
    pub fn batch(&mut self, iteration: u64) -> Vec<Draw> {
        // The groups read the stream through `self`.
        if let Some(mut groups) = self.groups.take() {
            let size = self.batch_size;
            let draws = groups.batch(iteration, size, |position| self.draw(position));
            self.groups = Some(groups);
            return draws;
        }
        let first = iteration * self.batch_size as u64;
        (first..first + self.batch_size as u64).map(|position| self.draw(position)).collect()
    }

    fn draw(&mut self, position: u64) -> Draw {
        Draw { index: self.image_at(position), position, seed: self.seed }
    }

    fn image_at(&mut self, position: u64) -> usize {
        // Epochs differ in length under repeat-factor sampling: walk until the one that holds the position.
        let mut epoch = self.starts.partition_point(|start| *start <= position) - 1;
        loop {
            if self.current.as_ref().is_none_or(|(current, _)| *current != epoch) {
                self.current = Some((epoch, self.order(epoch)));
            }
            let order = &self.current.as_ref().expect("an epoch was just made").1;
            let end = self.starts[epoch] + order.len() as u64;
            if position < end {
                return order[(position - self.starts[epoch]) as usize] as usize;
            }
            if self.starts.len() == epoch + 1 {
                self.starts.push(end);
            }
            epoch += 1;
        }
    }

    /// Images of an epoch in order.
    fn order(&self, epoch: usize) -> Vec<u32> {
        let mut generator = generator(self.seed, Purpose::EpochOrder.at(epoch as u64));
        let factors = match &self.frequencies {
            Frequencies::Factors(factors) => factors,
            Frequencies::ImagesOfClass(images_of_class) => {
                return (0..self.images)
                    .map(|_| {
                        let images = &images_of_class[generator.random_range(0..images_of_class.len())];
                        images[generator.random_range(0..images.len())]
                    })
                    .collect();
            }
            Frequencies::ImageOfBox(image_of_box) => {
                let draw = |_| image_of_box[generator.random_range(0..image_of_box.len())];
                return (0..self.images).map(draw).collect();
            }
        };
        let mut order = Vec::with_capacity(factors.len());
        for (image, factor) in factors.iter().enumerate() {
            let whole = factor.floor();
            let extra = factor > &whole && generator.random::<f64>() < factor - whole;
            order.extend(std::iter::repeat_n(image as u32, whole as usize + usize::from(extra)));
        }
        if self.sampler != Sampler::Sequential {
            order.shuffle(&mut generator);
        }
        order
    }
}

/// Repeat factor of every image.
pub fn repeat_factors(dataset: &Dataset, threshold: f64) -> Vec<f64> {
    let counts = dataset.counts();
    let share = |images: &u64| *images as f64 / counts.total_images as f64;
    factors_of_images(dataset, threshold, counts.images.iter().map(share))
}

/// Repeat factor of every image under [`Sampler::InstanceAwareRepeatFactor`].
pub fn instance_aware_repeat_factors(dataset: &Dataset, threshold: f64) -> Vec<f64> {
    let counts = dataset.counts();
    let boxes = counts.instances.iter().sum::<u64>().max(1) as f64;
    let shares = counts.images.iter().zip(&counts.instances).map(|(&images, &instances)| {
        (images as f64 / counts.total_images as f64 * (instances as f64 / boxes)).sqrt()
    });
    factors_of_images(dataset, threshold, shares)
}

/// The largest factor `max(1, √(threshold / share))` of the classes of each image.
fn factors_of_images(dataset: &Dataset, threshold: f64, shares: impl Iterator<Item = f64>) -> Vec<f64> {
    let of_class: Vec<f64> =
        shares.map(|share| if share == 0.0 { 1.0 } else { (threshold / share).sqrt().max(1.0) }).collect();
    (0..dataset.len())
        .map(|image| dataset.labels_of(image).iter().map(|&l| of_class[l as usize]).fold(1.0, f64::max))
        .collect()
}
