//! One seed, split by purpose, so that adding a random choice somewhere changes none elsewhere.

/// What random numbers are drawn for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Initial weights.
    Initialisation,
    /// Order and flips of the images of a stage.
    Batches(usize),
    /// Sampling of anchors, RoIs and negatives in a stage.
    Sampling(usize),
}

/// The seed for a purpose.
pub fn derive(seed: u64, purpose: Purpose) -> u64 {
    let (kind, index) = match purpose {
        Purpose::Initialisation => (1, 0),
        Purpose::Batches(stage) => (2, stage as u64),
        Purpose::Sampling(stage) => (3, stage as u64),
    };
    mix(mix(mix(seed) ^ kind) ^ index)
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_and_seeds_do_not_share_streams() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..3 {
            seen.insert(derive(seed, Purpose::Initialisation));
            for stage in 0..3 {
                seen.insert(derive(seed, Purpose::Batches(stage)));
                seen.insert(derive(seed, Purpose::Sampling(stage)));
            }
        }
        assert_eq!(seen.len(), 3 * 7);
    }
}
