//! A perceptual hash of 64 bits.

use std::{f32::consts::PI, sync::LazyLock};

/// Side of the grey picture that is hashed.
pub(super) const SIDE: usize = 32;
/// Frequencies kept along each side.
const KEPT: usize = 8;

/// Signs of the 64 lowest frequencies of a picture: those of its cosine transform that are above their
/// median. Pictures that look the same differ in a few bits, unrelated ones in about half (Zauner,
/// *Implementation and Benchmarking of Perceptual Image Hash Functions*, 2010).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PerceptualHash(pub u64);

/// `cos((2 x + 1) k π / 2 n)` for frequencies `0..=KEPT`, by frequency.
static COSINES: LazyLock<[[f32; SIDE]; KEPT + 1]> = LazyLock::new(|| {
    let wave = |k: usize, x: usize| ((2 * x + 1) as f32 * k as f32 * PI / (2 * SIDE) as f32).cos();
    std::array::from_fn(|k| std::array::from_fn(|x| wave(k, x)))
});

impl PerceptualHash {
    /// Hash of 32 × 32 grey pixels, row by row.
    pub(super) fn of(grey: &[f32]) -> Self {
        let dot = |a: &[f32; SIDE], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        // Along rows for frequencies 1 to 8: what does not change along them says least about a picture.
        let mut rows = [[0.0; SIDE]; KEPT];
        for (y, row) in grey.chunks_exact(SIDE).enumerate() {
            for k in 0..KEPT {
                rows[k][y] = dot(&COSINES[k + 1], row);
            }
        }
        let values: [f32; 64] = std::array::from_fn(|place| dot(&COSINES[place / KEPT], &rows[place % KEPT]));
        let mut sorted = values;
        sorted.sort_unstable_by(f32::total_cmp);
        let median = (sorted[31] + sorted[32]) / 2.0;
        Self(
            values
                .iter()
                .enumerate()
                .fold(0, |bits, (place, &value)| bits | u64::from(value > median) << place),
        )
    }

    /// Bits that differ, 0 to 64.
    pub fn distance(self, other: Self) -> u32 {
        (self.0 ^ other.0).count_ones()
    }
}
