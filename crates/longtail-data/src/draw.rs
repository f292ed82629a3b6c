//! An image of a training batch with the key of its random choices.

use longtail_draw::{Purpose, generator};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// An image of a training batch. Its random choices are functions of the seed and of its position in the
/// stream of images, which stands for (epoch, index in the epoch), and so do not depend on who loads it, or
/// when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// Index in the data set.
    pub index: usize,
    /// Position in the sampler's endless stream of images.
    pub position: u64,
    /// Seed of the stream.
    pub seed: u64,
}

impl Draw {
    /// A number in `0..1`; below `transform.horizontal_flip` the image is mirrored.
    pub fn flip(&self) -> f64 {
        generator(self.seed, Purpose::Flip.at(self.position)).random()
    }

    /// The generator of the augmentation of an index in the list: each has its own, so that a change of one
    /// leaves the choices of the others alone.
    pub fn augmentation(&self, index: usize) -> ChaCha8Rng {
        generator(self.seed, Purpose::augmentation(index as u64, self.position))
    }
}
