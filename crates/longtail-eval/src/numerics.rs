//! Thresholds and means as NumPy computes them in the references: a naive sum differs in the last bits.

/// `np.linspace`: `count` > 1 values from `first` to `last`, both included.
pub(crate) fn linspace(first: f64, last: f64, count: usize) -> Vec<f64> {
    let step = (last - first) / (count - 1) as f64;
    (0..count).map(|i| if i == count - 1 { last } else { i as f64 * step + first }).collect()
}

/// Mean as NumPy computes it; `None` of nothing.
pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| sum(values) / values.len() as f64)
}

/// Sum of contiguous values as NumPy 2 computes it: pairwise over all of them. (NumPy 1 summed chunks of
/// 8,192 values one after the other, which moves the last bit of some metrics.)
pub(crate) fn sum(values: &[f64]) -> f64 {
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
    sum(&values[..half]) + sum(&values[half..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_have_the_references_bits() {
        assert_eq!(
            linspace(0.5, 0.95, 10),
            [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.899_999_999_999_999_9, 0.95]
        );
        let recall = linspace(0.0, 1.0, 101);
        assert_eq!(
            (recall[35], recall[57], recall[100]),
            (0.350_000_000_000_000_03, 0.570_000_000_000_000_1, 1.0)
        );
    }

    #[test]
    fn sums_have_numpys_bits() {
        // numpy.sum and numpy.mean of 1 / (numpy.arange(n) + 1.0), from NumPy 2.4.6:
        // scripts/golden/numpy_sums.py.
        let inverse = |n: usize| (0..n).map(|i| 1.0 / (i as f64 + 1.0)).collect::<Vec<_>>();
        for (count, total, average) in [
            (100, 5.187377517639621, 0.05187377517639621),
            // A running sum ends in ...623.
            (1013, 7.4983806713576255, 0.007402152686433984),
            (8192, 9.58819004609531, 0.0011704333552362439),
            (8193, 9.588312101508468, 0.0011703053950333781),
            // NumPy 1, in chunks of 8,192, ends in ...665.
            (20_000, 10.480728217229327, 0.0005240364108614663),
            (100_003, 12.090176129263444, 0.00012089813434860399),
        ] {
            assert_eq!((sum(&inverse(count)), mean(&inverse(count))), (total, Some(average)), "{count}");
        }
        assert_eq!(mean(&[]), None);
    }
}
