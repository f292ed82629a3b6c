//! Seeds derived from the seed of a run, so that adding a random choice somewhere changes none elsewhere.

use crate::{hash::finalise, purpose::StreamId};

/// One step of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) from a state.
pub fn splitmix64(state: u64) -> u64 {
    finalise(state.wrapping_add(0x9E37_79B9_7F4A_7C15))
}

/// The seed for a purpose and an index, such as a stage's index.
pub fn derive(seed: u64, purpose: impl Into<StreamId>, index: u64) -> u64 {
    splitmix64(splitmix64(splitmix64(seed) ^ purpose.into().number()) ^ index)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Purpose;

    #[test]
    fn purposes_and_seeds_do_not_share_streams() {
        let mut seen = BTreeSet::new();
        for seed in 0..3 {
            seen.insert(derive(seed, Purpose::WeightSeed, 0));
            for stage in 0..3 {
                seen.insert(derive(seed, Purpose::BatchSeed, stage));
                seen.insert(derive(seed, Purpose::SamplingSeed, stage));
            }
        }
        assert_eq!(seen.len(), 3 * 7);
    }

    /// The first outputs of the authors' `splitmix64.c` from state 1234567 (the values that the `rand` family
    /// tests).
    #[test]
    fn numbers_are_those_of_the_reference() {
        let golden = 0x9E37_79B9_7F4A_7C15_u64;
        let expected = [6457827717110365317, 3203168211198807973, 9817491932198370423_u64];
        for (step, expected) in expected.into_iter().enumerate() {
            assert_eq!(splitmix64(1_234_567_u64.wrapping_add(golden.wrapping_mul(step as u64))), expected);
        }
    }
}
