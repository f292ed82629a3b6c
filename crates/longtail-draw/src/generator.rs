//! Generators for what needs many numbers: an order, an augmentation, a scene.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::purpose::StreamId;

/// A ChaCha8 generator at the beginning of a stream of a seed. Streams of one seed do not overlap.
pub fn generator(seed: u64, stream: impl Into<StreamId>) -> ChaCha8Rng {
    let stream = stream.into();
    debug_assert!(!stream.is_hashed(), "the numbers of this purpose come from a hash");
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(stream.number());
    generator
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::Purpose;

    /// The numbers that runs, worlds and splits were made with.
    #[test]
    fn numbers_are_those_of_the_seed_and_the_stream() {
        let plain: u64 = ChaCha8Rng::seed_from_u64(5).random();
        for purpose in [Purpose::InitialWeights, Purpose::SplitImages, Purpose::SubsetImages] {
            assert_eq!(generator(5, purpose).random::<u64>(), plain);
        }
        let mut at = ChaCha8Rng::seed_from_u64(5);
        at.set_stream((3 << 40) + 17);
        assert_eq!(generator(5, Purpose::augmentation(1, 17)).random::<u64>(), at.random::<u64>());
    }
}
