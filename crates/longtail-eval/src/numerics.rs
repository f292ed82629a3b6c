//! Thresholds and means as NumPy computes them in the references: a naive sum differs in the last bits.

use std::cmp::Ordering;

/// Number of IoU thresholds.
pub(crate) const IOU_COUNT: usize = 10;
/// Place of IoU 0.75 among them.
pub(crate) const IOU_75: usize = 5;
/// Number of recall thresholds.
pub(crate) const RECALL_COUNT: usize = 101;

/// Area ranges in pixels, both ends inclusive: all, small, medium, large.
pub(crate) const AREAS: [[f64; 2]; 4] = [[0.0, 1e10], [0.0, 1024.0], [1024.0, 9216.0], [9216.0, 1e10]];

/// Order of two finite scores, the higher first. 0.0 and -0.0 tie, as in the references and unlike `total_cmp`.
pub(crate) fn descending(a: f64, b: f64) -> Ordering {
    b.partial_cmp(&a).unwrap_or(Ordering::Equal)
}

/// `np.linspace(0.5, 0.95, 10)`.
pub(crate) fn iou_thresholds() -> [f64; IOU_COUNT] {
    let step = (0.95 - 0.5) / 9.0;
    std::array::from_fn(|i| if i == 9 { 0.95 } else { 0.5 + i as f64 * step })
}

/// `np.linspace(0, 1, 101)`.
pub(crate) fn recall_thresholds() -> [f64; RECALL_COUNT] {
    std::array::from_fn(|i| if i == 100 { 1.0 } else { i as f64 * 0.01 })
}

/// Values that NumPy 1 reduces at once: its buffer. (NumPy 2 sums all pairwise, which moves the last bit of some
/// metrics; the published reference numbers are NumPy 1's.)
const BUFFER: usize = 8192;

/// Mean as NumPy computes it; `None` of nothing.
pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| sum(values) / values.len() as f64)
}

/// Sum as NumPy computes it.
pub(crate) fn sum(values: &[f64]) -> f64 {
    values.chunks(BUFFER).map(pairwise_sum).sum()
}

fn pairwise_sum(values: &[f64]) -> f64 {
    let count = values.len();
    if count < 8 {
        // NumPy starts from -0.0 here; it makes no difference to values that are not all -0.0.
        return values.iter().sum();
    }
    if count <= 128 {
        let mut lanes = [0.0; 8];
        lanes.copy_from_slice(&values[..8]);
        let whole = count - count % 8;
        for chunk in values[8..whole].chunks_exact(8) {
            for (lane, value) in lanes.iter_mut().zip(chunk) {
                *lane += value;
            }
        }
        let [a, b, c, d, e, f, g, h] = lanes;
        let sum = ((a + b) + (c + d)) + ((e + f) + (g + h));
        return values[whole..].iter().fold(sum, |sum, value| sum + value);
    }
    let half = count / 2 - count / 2 % 8;
    pairwise_sum(&values[..half]) + pairwise_sum(&values[half..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_have_the_references_bits() {
        assert_eq!(
            iou_thresholds(),
            [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.899_999_999_999_999_9, 0.95]
        );
        let recall = recall_thresholds();
        assert_eq!(
            (recall[35], recall[57], recall[100]),
            (0.350_000_000_000_000_03, 0.570_000_000_000_000_1, 1.0)
        );
    }

    #[test]
    fn sums_have_numpys_bits() {
        // numpy.sum and numpy.mean of 1 / (numpy.arange(n) + 1.0), from NumPy 1.23.5.
        let inverse = |n: usize| (0..n).map(|i| 1.0 / (i as f64 + 1.0)).collect::<Vec<_>>();
        assert_eq!(pairwise_sum(&inverse(100)), 5.187_377_517_639_621);
        assert_eq!(mean(&inverse(100)), Some(0.051_873_775_176_396_21));
        // A running sum ends in ...623.
        assert_eq!(pairwise_sum(&inverse(1013)), 7.498_380_671_357_625_5);
        // More than a buffer: NumPy 2.4 ends in ...663.
        assert_eq!(mean(&inverse(20_000)), Some(0.000_524_036_410_861_466_5));
        assert_eq!(mean(&[]), None);
    }

    #[test]
    fn zero_and_minus_zero_tie() {
        assert_eq!(descending(0.0, -0.0), Ordering::Equal);
        assert_eq!(descending(0.5, 0.25), Ordering::Less);
    }
}
