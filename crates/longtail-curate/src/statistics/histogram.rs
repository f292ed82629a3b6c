//! Distributions in bins.

use serde::Serialize;

/// Values counted in bins, with their quantiles.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Histogram {
    /// Where bins start, and the end of the last: one more than bins. A value on an edge is in the bin that
    /// starts there; values beyond the ends are in the end bins.
    pub edges: Vec<f64>,
    /// Values in each bin.
    pub counts: Vec<u64>,
    /// 5th, 25th, 50th, 75th and 95th percentile by nearest rank; `None` without values.
    pub quantiles: Option<[f64; 5]>,
}

impl Histogram {
    /// Counts finite values in bins with these edges, of which there are two or more.
    pub(super) fn of(edges: Vec<f64>, mut values: Vec<f64>) -> Self {
        let mut counts = vec![0; edges.len().saturating_sub(1)];
        let last = counts.len().saturating_sub(1);
        for &value in &values {
            let bin = edges.partition_point(|&edge| edge <= value).saturating_sub(1).min(last);
            if let Some(count) = counts.get_mut(bin) {
                *count += 1;
            }
        }
        let rank =
            |share: f64| ((share * values.len() as f64).ceil() as usize).clamp(1, values.len().max(1)) - 1;
        let ranks = [0.05, 0.25, 0.5, 0.75, 0.95].map(rank);
        let quantiles = (!values.is_empty()).then(|| {
            ranks.map(|rank| {
                let (_, value, _) = values.select_nth_unstable_by(rank, f64::total_cmp);
                *value
            })
        });
        Self { edges, counts, quantiles }
    }
}

/// Powers `base^(k / per)` for `k` in a range.
pub(super) fn powers(base: f64, per: f64, range: std::ops::RangeInclusive<i32>) -> Vec<f64> {
    range.map(|k| base.powf(f64::from(k) / per)).collect()
}

/// 0, 1, 2, …, 10, then ever wider, to 1000.
pub(super) fn numbers() -> Vec<f64> {
    let wider = [12, 15, 20, 30, 50, 100, 200, 500, 1000];
    (0..=10).chain(wider).map(f64::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fall_into_their_bins() {
        let found = Histogram::of(vec![0.0, 1.0, 2.0, 4.0], vec![0.0, 0.5, 1.0, 3.9, 4.0, 99.0, -1.0]);
        assert_eq!(found.counts, [3, 1, 3]);
        let quantiles = Histogram::of(vec![0.0, 100.0], (1..=100).rev().map(f64::from).collect()).quantiles;
        assert_eq!(quantiles, Some([5.0, 25.0, 50.0, 75.0, 95.0]));
        assert_eq!(Histogram::of(vec![0.0, 1.0], vec![]).quantiles, None);
    }

    #[test]
    fn edges_ascend() {
        for edges in [numbers(), powers(2.0, 2.0, -4..=4)] {
            assert!(edges.windows(2).all(|pair| pair[0] < pair[1]), "{edges:?}");
        }
    }
}
