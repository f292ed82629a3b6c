//! Single numbers and subsets that are a function of their key: no order of calls matters.

use crate::purpose::StreamId;

/// Key of the random draws of a step: the same key draws the same, on any number of threads and after a
/// resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DrawKey {
    /// Seed of the run or stage.
    pub seed: u64,
    /// Step.
    pub step: u64,
}

/// A 64-bit hash of a key, a purpose and an index, by the finaliser of SplitMix64 (Steele et al., OOPSLA
/// 2014).
pub fn hash(key: DrawKey, purpose: impl Into<StreamId>, index: u64) -> u64 {
    let stream = purpose.into();
    debug_assert!(stream.is_hashed(), "the numbers of this purpose come from a generator");
    let mut state = key.seed;
    for word in [key.step, stream.number(), index] {
        state = finalise(state.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ finalise(word));
    }
    state
}

pub(crate) fn finalise(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// `count` of `population` indices without replacement, each set equally likely, in ascending order.
pub fn without_replacement(
    key: DrawKey,
    purpose: impl Into<StreamId>,
    population: usize,
    count: usize,
) -> Vec<usize> {
    let stream = purpose.into();
    let mut order: Vec<(u64, usize)> = (0..population).map(|i| (hash(key, stream, i as u64), i)).collect();
    let count = count.min(population);
    if count < population {
        order.select_nth_unstable(count);
    }
    let mut drawn: Vec<usize> = order[..count].iter().map(|(_, i)| *i).collect();
    drawn.sort_unstable();
    drawn
}

/// A number in `0..1` of a key, a purpose and an index: the upper 53 bits of [`hash`].
pub fn unit(key: DrawKey, purpose: impl Into<StreamId>, index: u64) -> f64 {
    (hash(key, purpose, index) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Up to `count` indices without replacement, drawn one after the other with probability proportional to
/// their weight; an index of weight 0 is never drawn. In ascending order.
///
/// By exponential keys (Efraimidis and Spirakis, 2006).
pub fn weighted_without_replacement(
    key: DrawKey,
    purpose: impl Into<StreamId>,
    weights: &[f64],
    count: usize,
) -> Vec<usize> {
    let stream = purpose.into();
    let arrival = |(i, w): (usize, &f64)| {
        let waiting = -(1.0 - unit(key, stream, i as u64)).ln() / w;
        (*w > 0.0).then_some((waiting, i))
    };
    let mut order: Vec<(f64, usize)> = weights.iter().enumerate().filter_map(arrival).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut drawn: Vec<usize> = order.into_iter().take(count).map(|(_, i)| i).collect();
    drawn.sort_unstable();
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Purpose;

    #[test]
    fn every_index_is_drawn_about_equally_often() {
        let mut hits = [0; 20];
        for step in 0..4000 {
            let drawn = without_replacement(DrawKey { seed: 3, step }, Purpose::Custom.at(1), 20, 5);
            assert_eq!(drawn.len(), 5);
            assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]));
            for index in drawn {
                hits[index] += 1;
            }
        }
        // Expected 1000 each; the standard deviation is 27.
        assert!(hits.iter().all(|hits| (880..1120).contains(hits)), "{hits:?}");
    }

    #[test]
    fn weights_decide_how_often_an_index_is_drawn() {
        let mut hits = [0; 4];
        for step in 0..4000 {
            let drawn = weighted_without_replacement(
                DrawKey { seed: 5, step },
                Purpose::Custom.at(2),
                &[1.0, 2.0, 0.0, 5.0],
                1,
            );
            hits[drawn[0]] += 1;
        }
        // Expected 500, 1000, 0 and 2500; standard deviations of about 25.
        assert!((400..600).contains(&hits[0]) && (880..1120).contains(&hits[1]) && hits[2] == 0, "{hits:?}");
        assert_eq!(weighted_without_replacement(DrawKey::default(), Purpose::Custom, &[1.0, 0.0], 5), [0]);
    }

    #[test]
    fn asking_for_more_than_there_is_gives_all() {
        assert_eq!(without_replacement(DrawKey::default(), Purpose::Custom, 3, 9), [0, 1, 2]);
        assert!(without_replacement(DrawKey::default(), Purpose::Custom, 0, 1).is_empty());
    }

    /// The numbers of a purpose, a key and an index are what they were when the first detectors were trained.
    #[test]
    fn numbers_stay() {
        let key = DrawKey { seed: 7, step: 120 };
        let numbers = [
            hash(key, Purpose::DropLossBackground, 4),
            hash(key, Purpose::RoiLabel.at(3), 0),
            hash(DrawKey::default(), Purpose::AcslGroup, 0),
        ];
        assert_eq!(numbers, [0x8257_95e6_3310_7c4d, 0x1230_5fac_bbe3_b5c3, 0x2382_75bc_38fc_be91]);
    }
}
