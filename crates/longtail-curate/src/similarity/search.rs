//! Near-duplicates among many pictures.
//!
//! Hashes are kept in three tables by 21 or 22 of their bits each. Two hashes that differ in at most 8 bits
//! differ in at most 2 within one of the three parts, so that looking at the 232 or 254 neighbours of each
//! part finds every such pair (multi-index hashing: Norouzi, Punjani and Fleet, CVPR 2012). Nearly all of
//! these places are empty: work grows with the number of pictures, and with its square only by 1 in 3,000 of
//! what comparing all with a view would take. What is found is compared by its small grey pictures.

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::{
    fingerprint::{Fingerprint, VIEWS},
    hash::PerceptualHash,
};

/// Most bits in which hashes of a picture, or of a view of it, and its copy differ.
const RADIUS: u32 = 8;
/// Least correlation of grey pixels of a picture and its copy.
const LEAST_LIKENESS: f32 = 0.92;
/// Pictures of one hash that others are compared with. Many more have the same hash only where there is
/// nothing to see.
const SPEAKERS: usize = 16;
const PARTS: usize = 3;
/// Bits of each part.
const WIDTHS: [u32; PARTS] = [22, 21, 21];

/// How alike two pictures are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Likeness {
    /// Every pixel is the same.
    Same,
    /// They look the same; the correlation of their grey pixels, at most 1.
    Near(f32),
}

/// Two pictures that are the same or nearly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NearPair {
    /// Places of the two, the smaller first.
    pub places: [usize; 2],
    /// How alike they are.
    pub likeness: Likeness,
}

/// Pairs that connect every group of near-duplicates: of a group of n at most n - 1 pairs. Found are copies
/// in another size or quality, mirrored, and most crops that lost up to 12 % at a corner, on one side, on two
/// opposite ones or on all; uneven crops are often missed.
///
/// The result does not depend on the number of threads.
pub fn near_duplicates(pictures: &[Fingerprint]) -> Vec<NearPair> {
    let mut pairs = Vec::new();
    let mut sets = Sets::new(pictures.len());
    let mut same: FxHashMap<u128, usize> = FxHashMap::default();
    // One of each kind goes on.
    let mut different = Vec::new();
    for (place, picture) in pictures.iter().enumerate() {
        match same.entry(picture.pixels) {
            std::collections::hash_map::Entry::Occupied(first) => {
                sets.join(*first.get(), place);
                pairs.push(NearPair { places: [*first.get(), place], likeness: Likeness::Same });
            }
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert(place);
                different.push(place);
            }
        }
    }
    let near = |a: usize, b: usize, likeness: f32| NearPair {
        places: [a.min(b), a.max(b)],
        likeness: Likeness::Near(likeness.min(1.0)),
    };
    // Pictures of one hash: each is compared with a few that speak for it.
    let mut speakers: FxHashMap<PerceptualHash, Vec<usize>> = FxHashMap::default();
    for &place in &different {
        let here = speakers.entry(pictures[place].hash).or_default();
        let alike = here.iter().find_map(|&other| {
            let likeness = pictures[other].likeness(0, &pictures[place]);
            (likeness >= LEAST_LIKENESS).then_some((other, likeness))
        });
        match alike {
            // A speaker and a newcomer are always apart before.
            Some((other, likeness)) => {
                sets.join(other, place);
                pairs.push(near(other, place, likeness));
            }
            None if here.len() < SPEAKERS => here.push(place),
            None => {}
        }
    }
    let mut hashes: Vec<PerceptualHash> = speakers.keys().copied().collect();
    hashes.sort_unstable();
    let tables = Tables::new(&hashes);
    let mut asking: Vec<usize> = speakers.values().flatten().copied().collect();
    asking.sort_unstable();
    let found: Vec<Vec<NearPair>> = asking
        .par_iter()
        .map(|&place| {
            let picture = &pictures[place];
            let mut found = Vec::new();
            for view in 0..VIEWS {
                tables.within(picture.views[view], RADIUS, |index| {
                    for &other in &speakers[&hashes[index]] {
                        // Whole pictures are met from both sides.
                        if other == place || (view == 0 && other > place) {
                            continue;
                        }
                        let likeness = picture.likeness(view, &pictures[other]);
                        if likeness >= LEAST_LIKENESS {
                            found.push(near(place, other, likeness));
                        }
                    }
                });
            }
            found
        })
        .collect();
    let mut found: Vec<NearPair> = found.into_iter().flatten().collect();
    let strength =
        |pair: &NearPair| if let Likeness::Near(likeness) = pair.likeness { likeness } else { 2.0 };
    // The best pair of a group's two parts is the one that is told.
    found.sort_unstable_by(|a, b| strength(b).total_cmp(&strength(a)).then(a.places.cmp(&b.places)));
    pairs.extend(found.into_iter().filter(|pair| sets.join(pair.places[0], pair.places[1])));
    pairs
}

/// For each picture the first place of its group of near-duplicates: its own where it is like no other before
/// it.
pub fn groups(pictures: &[Fingerprint]) -> Vec<usize> {
    groups_of(pictures.len(), &near_duplicates(pictures))
}

/// Groups that pairs among so many pictures connect, as [`groups`] gives them.
pub(crate) fn groups_of(count: usize, pairs: &[NearPair]) -> Vec<usize> {
    let mut sets = Sets::new(count);
    for NearPair { places: [a, b], .. } in pairs {
        sets.join(*a, *b);
    }
    (0..count).map(|place| sets.first(place)).collect()
}

/// Disjoint sets; the first member stands for all.
struct Sets(Vec<usize>);

impl Sets {
    fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    fn first(&mut self, mut place: usize) -> usize {
        while self.0[place] != place {
            self.0[place] = self.0[self.0[place]];
            place = self.0[place];
        }
        place
    }

    /// Whether they were apart.
    fn join(&mut self, a: usize, b: usize) -> bool {
        let (a, b) = (self.first(a), self.first(b));
        self.0[a.max(b)] = a.min(b);
        a != b
    }
}

/// Places of hashes by each part.
struct Tables<'a> {
    hashes: &'a [PerceptualHash],
    parts: [Table; PARTS],
}

struct Table {
    /// Which values occur, a bit each: small enough to stay in a near cache.
    occurs: Vec<u64>,
    /// Where the places of each value start in `places`.
    starts: Vec<u32>,
    places: Vec<u32>,
}

fn part(hash: PerceptualHash, part: usize) -> usize {
    let before: u32 = WIDTHS[..part].iter().sum();
    (hash.0 >> before) as usize & ((1 << WIDTHS[part]) - 1)
}

impl Table {
    fn new(hashes: &[PerceptualHash], part_of: usize) -> Self {
        let values = 1 << WIDTHS[part_of];
        let (mut occurs, mut starts) = (vec![0; values / 64], vec![0_u32; values + 1]);
        for &hash in hashes {
            let value = part(hash, part_of);
            occurs[value / 64] |= 1 << (value % 64);
            starts[value + 1] += 1;
        }
        for value in 0..values {
            starts[value + 1] += starts[value];
        }
        let (mut next, mut places) = (starts.clone(), vec![0; hashes.len()]);
        for (&hash, place) in hashes.iter().zip(0..) {
            let slot = &mut next[part(hash, part_of)];
            places[*slot as usize] = place;
            *slot += 1;
        }
        Self { occurs, starts, places }
    }

    fn of(&self, value: usize) -> &[u32] {
        if self.occurs[value / 64] >> (value % 64) & 1 == 0 {
            return &[];
        }
        &self.places[self.starts[value] as usize..self.starts[value + 1] as usize]
    }
}

impl<'a> Tables<'a> {
    /// Of different hashes.
    fn new(hashes: &'a [PerceptualHash]) -> Self {
        Self { hashes, parts: std::array::from_fn(|part_of| Table::new(hashes, part_of)) }
    }

    /// Calls for each hash that differs in at most `radius` bits, which are 8 or fewer, once.
    fn within(&self, hash: PerceptualHash, radius: u32, mut found: impl FnMut(usize)) {
        // At most so many bits differ in the part where fewest do.
        let per_part = radius / PARTS as u32;
        for (part_of, table) in self.parts.iter().enumerate() {
            for neighbour in neighbours(part(hash, part_of), WIDTHS[part_of], per_part) {
                for &place in table.of(neighbour) {
                    let other = self.hashes[place as usize];
                    let met_before =
                        || (0..part_of).any(|p| (part(hash, p) ^ part(other, p)).count_ones() <= per_part);
                    if hash.distance(other) <= radius && !met_before() {
                        found(place as usize);
                    }
                }
            }
        }
    }
}

/// Values of so many bits that differ in at most `radius` bits, which is 1 or 2.
fn neighbours(value: usize, bits: u32, radius: u32) -> impl Iterator<Item = usize> {
    let one = (0..bits).map(move |a| value ^ 1 << a);
    let two = (0..bits).flat_map(move |a| (0..a).map(move |b| value ^ 1 << a ^ 1 << b));
    std::iter::once(value).chain(one).chain(two.take(if radius > 1 { usize::MAX } else { 0 }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn neighbours_are_counted() {
        let count = |radius| neighbours(0x1234, 21, radius).collect::<std::collections::BTreeSet<_>>().len();
        assert_eq!((count(1), count(2)), (22, 232));
    }

    proptest! {
        #[test]
        fn tables_find_what_comparing_all_finds(
            base in any::<u64>(),
            flips in proptest::collection::vec(proptest::collection::vec(0..64_u32, 0..16), 1..60),
            radius in prop_oneof![Just(RADIUS), Just(5)],
        ) {
            let flip = |bits: &Vec<u32>| PerceptualHash(bits.iter().fold(base, |hash, bit| hash ^ 1 << bit));
            let mut hashes: Vec<PerceptualHash> = flips.iter().map(flip).collect();
            hashes.sort_unstable();
            hashes.dedup();
            let tables = Tables::new(&hashes);
            for &asked in &hashes {
                let mut found = Vec::new();
                tables.within(asked, radius, |place| found.push(place));
                found.sort_unstable();
                let expected: Vec<usize> =
                    (0..hashes.len()).filter(|&other| asked.distance(hashes[other]) <= radius).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
