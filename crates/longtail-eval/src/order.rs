//! Orders of scores and of keys.

use std::cmp::Ordering;

/// Order of two finite scores, the higher first. 0.0 and -0.0 tie, as in the references and unlike
/// `total_cmp`.
pub(crate) fn descending(a: f64, b: f64) -> Ordering {
    b.partial_cmp(&a).unwrap_or(Ordering::Equal)
}

/// Places of keys below `count`, sorted by key, equal ones in order: where each key starts (and the end), and
/// the list.
pub(crate) fn counting_sort(
    keys: impl ExactSizeIterator<Item = u32> + Clone,
    count: usize,
) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0u32; count + 1];
    for key in keys.clone() {
        starts[key as usize + 1] += 1;
    }
    for key in 0..count {
        starts[key + 1] += starts[key];
    }
    let mut next = starts.clone();
    let mut places = vec![0u32; keys.len()];
    for (key, place) in keys.zip(0..) {
        let slot = &mut next[key as usize];
        places[*slot as usize] = place;
        *slot += 1;
    }
    (starts, places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_minus_zero_tie() {
        assert_eq!(descending(0.0, -0.0), Ordering::Equal);
        assert_eq!(descending(0.5, 0.25), Ordering::Less);
    }
}
