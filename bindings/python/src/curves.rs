//! Precision and recall over all images of a class, as `accumulate` of `pycocotools` 2.0.11 and `lvis` 0.5.3.

use crate::matching::by_score;

/// One image and class in one area range, as far as curves need it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    /// Scores `[D]`, descending.
    pub scores: &'a [f64],
    /// Whether a detection is matched, `[T × D]`.
    pub hit: &'a [bool],
    /// Whether it is left out, `[T × D]`.
    pub ignored: &'a [bool],
    /// Ground truths that count.
    pub countable: usize,
}

/// Cells of a class and area range.
#[derive(Debug, Clone)]
pub(crate) struct Curve {
    /// `[T × R]`.
    pub precision: Vec<f64>,
    /// `[T]`.
    pub recall: Vec<f64>,
    /// `[T × R]`.
    pub scores: Vec<f64>,
}

/// `None` where nothing counts.
pub(crate) fn curve(entries: &[Entry<'_>], most: usize, thresholds: usize, recalls: &[f64]) -> Option<Curve> {
    let countable: usize = entries.iter().map(|entry| entry.countable).sum();
    if countable == 0 {
        return None;
    }
    // Score, entry and index in it.
    let rows = |(e, entry): (usize, &Entry<'_>)| {
        let scores: Vec<f64> = entry.scores.iter().take(most).copied().collect();
        scores.into_iter().enumerate().map(move |(d, score)| (score, e as u32, d as u32))
    };
    let mut rows: Vec<(f64, u32, u32)> = entries.iter().enumerate().flat_map(rows).collect();
    rows.sort_by(|a, b| by_score(a.0, b.0));
    let count = recalls.len();
    let mut found = Curve {
        precision: vec![0.0; thresholds * count],
        recall: vec![0.0; thresholds],
        scores: vec![0.0; thresholds * count],
    };
    let (mut precision, mut recall) = (vec![0.0; rows.len()], vec![0.0; rows.len()]);
    for t in 0..thresholds {
        let (mut right, mut wrong) = (0.0, 0.0);
        for (n, &(_, e, d)) in rows.iter().enumerate() {
            let entry = &entries[e as usize];
            let at = t * entry.scores.len() + d as usize;
            if !entry.ignored[at] {
                if entry.hit[at] { right += 1.0 } else { wrong += 1.0 }
            }
            recall[n] = right / countable as f64;
            precision[n] = right / (wrong + right + f64::EPSILON);
        }
        found.recall[t] = recall.last().copied().unwrap_or(0.0);
        for n in (1..precision.len()).rev() {
            if precision[n] > precision[n - 1] {
                precision[n - 1] = precision[n];
            }
        }
        for (r, &threshold) in recalls.iter().enumerate() {
            let n = recall.partition_point(|value| *value < threshold);
            // The reference stops at the first recall that is not reached, whatever follows.
            let Some(&value) = precision.get(n) else { break };
            found.precision[t * count + r] = value;
            found.scores[t * count + r] = rows[n].0;
        }
    }
    Some(found)
}
