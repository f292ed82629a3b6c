//! In which order images are trained on: a function of the seed alone.

use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{dataset::Dataset, error::DataError};

/// Order and frequency of the images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Sampler {
    /// Every image once an epoch, shuffled.
    Shuffled,
    /// Every image once an epoch, in file order.
    Sequential,
    /// Repeat-factor sampling (Gupta et al., LVIS, CVPR 2019): an image comes `max over its classes of
    /// max(1, √(threshold / f))` times an epoch, f the share of images that hold the class; fractions are rounded
    /// up or down at random, anew each epoch.
    RepeatFactor {
        /// Share of images above which a class is not repeated; the paper's is 0.001.
        threshold: f64,
    },
}

/// Batches by iteration: a stream of epochs cut into batches, so that no image is left over at an epoch's end.
#[derive(Debug, Clone)]
pub struct BatchPlan {
    sampler: Sampler,
    factors: Vec<f64>,
    batch_size: usize,
    seed: u64,
    /// Start of every epoch reached so far in the stream.
    starts: Vec<u64>,
    /// The epoch whose order is at hand.
    current: Option<(usize, Vec<u32>)>,
}

impl BatchPlan {
    /// A plan over a data set.
    ///
    /// # Errors
    /// If the batch is empty or the threshold of repeat-factor sampling is not above 0.
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
        let factors = match sampler {
            Sampler::Shuffled | Sampler::Sequential => vec![1.0; dataset.len()],
            Sampler::RepeatFactor { threshold } => {
                if !(threshold.is_finite() && *threshold > 0.0) {
                    let reason = format!("is {threshold}; it must be above 0 (the paper's is 0.001)");
                    return Err(DataError::Setting { field: "sampler.threshold", reason });
                }
                repeat_factors(dataset, *threshold)
            }
        };
        Ok(Self { sampler: sampler.clone(), factors, batch_size, seed, starts: vec![0], current: None })
    }

    /// Expected number of iterations in an epoch, rounded up.
    pub fn iterations_per_epoch(&self) -> u64 {
        (self.factors.iter().sum::<f64>() / self.batch_size as f64).ceil() as u64
    }

    /// Images of an iteration, as index and a number in `0..1` for their flip.
    pub fn batch(&mut self, iteration: u64) -> Vec<(usize, f64)> {
        let first = iteration * self.batch_size as u64;
        (first..first + self.batch_size as u64)
            .map(|position| {
                let mut generator = ChaCha8Rng::seed_from_u64(self.seed);
                generator.set_stream(position + (1 << 40));
                (self.image_at(position), generator.random::<f64>())
            })
            .collect()
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
        let mut generator = ChaCha8Rng::seed_from_u64(self.seed);
        generator.set_stream(epoch as u64);
        let mut order = Vec::with_capacity(self.factors.len());
        for (image, factor) in self.factors.iter().enumerate() {
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
    let of_class: Vec<f64> = counts
        .images
        .iter()
        .map(|&images| {
            let share = images as f64 / counts.total_images as f64;
            if images == 0 { 1.0 } else { (threshold / share).sqrt().max(1.0) }
        })
        .collect();
    (0..dataset.len())
        .map(|image| dataset.labels_of(image).iter().map(|&l| of_class[l as usize]).fold(1.0, f64::max))
        .collect()
}
