//! Scores changed after the fact, class by class: for detections whose detector is out of reach.
//!
//! AP ranks the detections of a class among one another. A map of a class's scores that keeps their order
//! changes AP only through what a cap on detections an image lets in, and pooled AP and calibration always.
//! NorCal also changes the order within a class, where several classes share a box.

mod fit;

use std::collections::BTreeMap;

use rayon::prelude::*;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

pub use fit::{Fitted, Gain, Method, fit};

use crate::{detection::Detection, error::EvalError};

/// Scores nearer to 0 or 1 are taken as this near, so that their logit is finite.
const NEAREST: f64 = 1e-9;

/// A map from logged scores to others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Rescoring {
    /// Normalised calibration (Pan et al., NeurIPS 2021): `s / n^γ` of the classes of a box over their sum
    /// and what is left of 1, which is background and classes that were not logged.
    #[serde(rename = "norcal")]
    NorCal {
        /// γ: 0 changes nothing.
        gamma: f64,
        /// Training images by category id.
        #[serde(with = "pairs")]
        counts: BTreeMap<i64, u64>,
    },
    /// Logit adjustment (Menon et al., ICLR 2021): `σ(logit s - τ ln(n / max n))`.
    LogitAdjustment {
        /// τ: 0 changes nothing.
        tau: f64,
        /// Training images by category id.
        #[serde(with = "pairs")]
        counts: BTreeMap<i64, u64>,
    },
    /// `σ(a · logit s + b)` (Platt, 1999).
    Platt {
        /// a and b of classes that had detections to learn from.
        #[serde(with = "pairs")]
        classes: BTreeMap<i64, [f64; 2]>,
        /// a and b of the others: of all classes together.
        others: [f64; 2],
    },
}

/// Maps as lists of pairs: JSON has no numbers as keys.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<T: Serialize, S: Serializer>(map: &BTreeMap<i64, T>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(map)
    }

    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<i64, T>, D::Error> {
        Ok(Vec::<(i64, T)>::deserialize(from)?.into_iter().collect())
    }
}

impl Rescoring {
    /// Changes the scores of detections, all of them of the same detector.
    ///
    /// # Errors
    /// If a score is not a probability.
    pub fn apply(&self, detections: &[Detection]) -> Result<Vec<Detection>, EvalError> {
        if let Some(index) = detections.iter().position(|d| !(0.0..=1.0).contains(&d.score)) {
            let reason =
                format!("score {} is not a probability; it must lie in 0 to 1", detections[index].score);
            return Err(EvalError::Detection { index, reason });
        }
        let scores: Vec<f64> = match self {
            Self::NorCal { gamma, counts } => norcal(detections, *gamma, counts),
            Self::LogitAdjustment { tau, counts } => {
                let largest = counts.values().copied().max().unwrap_or(1).max(1) as f64;
                let shift = |id: &i64| tau * (count(counts, id) / largest).ln();
                detections.par_iter().map(|d| sigmoid(logit(d.score) - shift(&d.category_id))).collect()
            }
            Self::Platt { classes, others } => detections
                .par_iter()
                .map(|d| {
                    let [a, b] = classes.get(&d.category_id).unwrap_or(others);
                    sigmoid(a * logit(d.score) + b)
                })
                .collect(),
        };
        Ok(detections.iter().zip(scores).map(|(d, score)| Detection { score, ..*d }).collect())
    }
}

fn count(counts: &BTreeMap<i64, u64>, id: &i64) -> f64 {
    counts.get(id).copied().unwrap_or(1).max(1) as f64
}

/// Detections of one box are one proposal's scores.
fn norcal(detections: &[Detection], gamma: f64, counts: &BTreeMap<i64, u64>) -> Vec<f64> {
    let mut of_box: FxHashMap<(i64, [u64; 4]), Vec<usize>> = FxHashMap::default();
    for (index, detection) in detections.iter().enumerate() {
        of_box.entry((detection.image_id, detection.bbox.map(f64::to_bits))).or_default().push(index);
    }
    let mut scores = vec![0.0; detections.len()];
    for indices in of_box.values() {
        let logged: f64 = indices.iter().map(|&index| detections[index].score).sum();
        let weighted = |index: usize| {
            detections[index].score / count(counts, &detections[index].category_id).powf(gamma)
        };
        let sum = indices.iter().map(|&index| weighted(index)).sum::<f64>() + (1.0 - logged).max(0.0);
        for &index in indices {
            scores[index] = if sum > 0.0 { weighted(index) / sum } else { 0.0 };
        }
    }
    scores
}

pub(crate) fn logit(score: f64) -> f64 {
    let score = score.clamp(NEAREST, 1.0 - NEAREST);
    (score / (1.0 - score)).ln()
}

pub(crate) fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detection(category_id: i64, x: f64, score: f64) -> Detection {
        Detection { image_id: 1, category_id, bbox: [x, 0.0, 1.0, 1.0], score }
    }

    #[test]
    fn maps_of_the_formulas() {
        let counts = BTreeMap::from([(1, 100), (2, 4)]);
        let detections = [detection(1, 0.0, 0.6), detection(2, 0.0, 0.3), detection(2, 5.0, 0.3)];
        let found = Rescoring::NorCal { gamma: 0.5, counts: counts.clone() }.apply(&detections).unwrap();
        // 0.06 and 0.15 beside 0.1 of background; 0.15 beside 0.7.
        for (found, expected) in found.iter().zip([0.06 / 0.31, 0.15 / 0.31, 0.15 / 0.85]) {
            assert!((found.score - expected).abs() < 1e-12, "{}", found.score);
        }
        let found = Rescoring::LogitAdjustment { tau: 1.0, counts }.apply(&detections).unwrap();
        assert!((found[0].score - 0.6).abs() < 1e-12);
        // Odds 3/7 times 25.
        assert!((found[1].score - 75.0 / 82.0).abs() < 1e-12, "{}", found[1].score);
        let platt = Rescoring::Platt { classes: BTreeMap::from([(1, [1.0, 0.0])]), others: [0.0, 0.0] };
        let found = platt.apply(&detections).unwrap();
        assert!((found[0].score - 0.6).abs() < 1e-12 && found[1].score == 0.5);
        assert!(
            platt.apply(&[detection(1, 0.0, 1.5)]).unwrap_err().to_string().contains("not a probability")
        );
    }
}
