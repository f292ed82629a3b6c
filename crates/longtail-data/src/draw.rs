//! An image of a training batch with the key of its random choices.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Bits of a stream's number that hold the place; the purpose lies above them.
const PLACE_BITS: u32 = 40;
/// What the flip of an image is drawn for. 0 are the orders of the epochs.
const FLIP: u64 = 1;

/// An image of a training batch. Its random choices are functions of the seed and of its place in the stream of images, which
/// stands for (epoch, place in the epoch), and so do not depend on who loads it, or when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// Place in the data set.
    pub index: usize,
    /// Place in the sampler's endless stream of images.
    pub position: u64,
    /// Seed of the stream.
    pub seed: u64,
}

impl Draw {
    /// A number in `0..1`; below `transform.horizontal_flip` the image is mirrored.
    pub fn flip(&self) -> f64 {
        generator(self.seed, self.position + (FLIP << PLACE_BITS)).random()
    }

    /// The generator of the `place`-th augmentation: each has its own, so that a change of one leaves the choices of the
    /// others alone.
    pub fn augmentation(&self, place: usize) -> ChaCha8Rng {
        generator(self.seed, self.position + ((FLIP + 1 + place as u64) << PLACE_BITS))
    }
}

/// A stream of a seed.
pub(crate) fn generator(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(stream);
    generator
}
