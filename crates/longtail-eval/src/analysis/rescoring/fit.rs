//! A map of scores fitted on one half of the images, and what it gains on the other.

use std::collections::{BTreeMap, BTreeSet};

use longtail_annotations::AnnotationSet;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Rescoring, logit, sigmoid};
use crate::{
    analysis::calibration::calibration,
    detection::Detection,
    engine::annotations::{
        detections::{Detections, Shard},
        evaluation::Evaluation,
        ground_truth::GroundTruth,
        matches::Found,
        protocol::Protocol,
        settings::Settings,
    },
    error::EvalError,
    metric::{Metric, Metrics},
};

/// Which map to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// [`Rescoring::NorCal`], γ by AP.
    NorCal,
    /// [`Rescoring::LogitAdjustment`], τ by AP.
    LogitAdjustment,
    /// [`Rescoring::Platt`], by likelihood.
    Platt,
}

/// Metrics before and after on images that were not fitted on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gain {
    /// Readable name of the metric.
    pub metric: String,
    /// With the logged scores; `None` where undefined.
    pub before: Option<f64>,
    /// With the fitted map.
    pub after: Option<f64>,
}

/// A fitted map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    /// The map.
    pub rescoring: Rescoring,
    /// Images fitted on, and held out.
    pub images: [usize; 2],
    /// On the images held out.
    pub gain: Vec<Gain>,
}

/// Exponents that are tried.
const GRID: [f64; 11] = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

/// Fits a map on about half of the images, chosen by `seed`, and measures it on the others. `counts` are
/// training images by category id; Platt does not read them.
///
/// # Errors
/// If ground truth or detections cannot be used, or a half has no image or no detection.
pub fn fit(
    method: Method,
    protocol: Protocol,
    truth: &AnnotationSet,
    detections: &[Detection],
    counts: &BTreeMap<i64, u64>,
    seed: u64,
) -> Result<Fitted, EvalError> {
    // Also refuses images that the ground truth does not have.
    Detections::new(&GroundTruth::new(truth)?, Shard::WHOLE).extend(detections)?;
    let first: BTreeSet<i64> =
        truth.images.iter().map(|image| image.id).filter(|id| mix(seed ^ mix(*id as u64)) & 1 == 0).collect();
    let half = |inside: bool| {
        let mut set = truth.clone();
        set.images.retain(|image| first.contains(&image.id) == inside);
        set.annotations.retain(|a| first.contains(&a.image_id) == inside);
        let mine: Vec<Detection> =
            detections.iter().filter(|d| first.contains(&d.image_id) == inside).copied().collect();
        (set, mine)
    };
    let (fit_set, fit_detections) = half(true);
    let (test_set, test_detections) = half(false);
    if fit_detections.is_empty() || test_detections.is_empty() {
        let reason = format!(
            "there are {} detections to fit on and {} to measure on; both halves of the images need some",
            fit_detections.len(),
            test_detections.len()
        );
        return Err(EvalError::Detection { index: 0, reason });
    }
    let rescoring = match method {
        Method::Platt => platt(protocol, &fit_set, &fit_detections)?,
        Method::NorCal | Method::LogitAdjustment => {
            let with = |value: f64| match method {
                Method::NorCal => Rescoring::NorCal { gamma: value, counts: counts.clone() },
                _ => Rescoring::LogitAdjustment { tau: value, counts: counts.clone() },
            };
            let values: Vec<f64> = GRID
                .par_iter()
                .map(|&value| {
                    let changed = with(value).apply(&fit_detections)?;
                    let metrics = metrics(protocol, &fit_set, &changed)?;
                    Ok(metrics.get(&Metric::AP).copied().flatten().unwrap_or(-1.0))
                })
                .collect::<Result<_, EvalError>>()?;
            // The smallest change among equals.
            let best = (0..GRID.len()).rev().max_by(|a, b| values[*a].total_cmp(&values[*b])).unwrap_or(0);
            with(GRID[best])
        }
    };
    let after = rescoring.apply(&test_detections)?;
    let gain = gain(protocol, &test_set, &test_detections, &after)?;
    Ok(Fitted { rescoring, images: [fit_set.images.len(), test_set.images.len()], gain })
}

fn evaluation(
    protocol: Protocol,
    set: &AnnotationSet,
    detections: &[Detection],
) -> Result<Evaluation, EvalError> {
    let truth = GroundTruth::new(set)?;
    let mut all = Detections::new(&truth, Shard::WHOLE);
    all.extend(detections)?;
    Evaluation::new(&all, &Settings::strict(protocol))
}

fn metrics(protocol: Protocol, set: &AnnotationSet, detections: &[Detection]) -> Result<Metrics, EvalError> {
    Ok(evaluation(protocol, set, detections)?.report(None).metrics)
}

fn gain(
    protocol: Protocol,
    set: &AnnotationSet,
    before: &[Detection],
    after: &[Detection],
) -> Result<Vec<Gain>, EvalError> {
    let mut gain = Vec::new();
    let mut add = |metric: String, before: Option<f64>, after: Option<f64>| {
        gain.push(Gain { metric, before, after });
    };
    let [old, new] = [before, after].map(|detections| evaluation(protocol, set, detections));
    let (old, new) = (old?, new?);
    let [old_metrics, new_metrics] = [&old, &new].map(|evaluation| evaluation.report(None).metrics);
    let [ap, rare, common, frequent] = Metric::AP.with_groups();
    for metric in [ap, Metric::AP50, rare, common, frequent] {
        if let Some(value) = old_metrics.get(&metric) {
            add(metric.to_string(), *value, new_metrics.get(&metric).copied().flatten());
        }
    }
    if protocol != Protocol::Coco {
        let of = |detections: &[Detection]| -> Result<Option<f64>, EvalError> {
            Ok(metrics(Protocol::LvisPooled, set, detections)?.get(&Metric::AP).copied().flatten())
        };
        add("pooled AP".into(), of(before)?, of(after)?);
    }
    let error = |evaluation: &Evaluation| -> Result<Option<f64>, EvalError> {
        Ok(calibration(evaluation)?.first().and_then(|all| all.expected_calibration_error))
    };
    add("expected calibration error".into(), error(&old)?, error(&new)?);
    Ok(gain)
}

/// Strength of the pull of a class towards all classes together, in detections.
const PRIOR: f64 = 4.0;

fn platt(protocol: Protocol, set: &AnnotationSet, detections: &[Detection]) -> Result<Rescoring, EvalError> {
    let evaluation = evaluation(protocol, set, detections)?;
    let mut of_class: BTreeMap<i64, Vec<(f64, bool)>> = BTreeMap::new();
    let (plane, bit) = evaluation.plan.half("a fit")?;
    let counts = |row: &Found<'_>| row.outcomes[plane].ignored & bit == 0;
    for row in evaluation.matches.rows(&evaluation.plan).filter(counts) {
        let id = evaluation.classes[row.class as usize].id;
        of_class.entry(id).or_default().push((logit(row.score), row.outcomes[plane].hit & bit != 0));
    }
    let all: Vec<(f64, bool)> = of_class.values().flatten().copied().collect();
    let others = regress(&all, [1.0, 0.0], 1e-3);
    let classes = of_class.into_iter().map(|(id, rows)| (id, regress(&rows, others, PRIOR))).collect();
    Ok(Rescoring::Platt { classes, others })
}

/// a and b of `σ(a·z + b)` by Newton's method, pulled towards `prior`; a stays positive, so that no order is
/// turned round.
fn regress(rows: &[(f64, bool)], prior: [f64; 2], strength: f64) -> [f64; 2] {
    let [mut a, mut b] = prior;
    let value = |a: f64, b: f64| {
        let loss = |(z, hit): &(f64, bool)| {
            let m = if *hit { -(a * z + b) } else { a * z + b };
            // ln(1 + e^m), without overflow.
            m.max(0.0) + (-m.abs()).exp().ln_1p()
        };
        let pull = 0.5 * strength * ((a - prior[0]).powi(2) + (b - prior[1]).powi(2));
        rows.iter().map(loss).sum::<f64>() + pull
    };
    let mut now = value(a, b);
    for _ in 0..50 {
        let (mut ga, mut gb) = (strength * (a - prior[0]), strength * (b - prior[1]));
        let (mut haa, mut hab, mut hbb) = (strength, 0.0, strength);
        for (z, hit) in rows {
            let p = sigmoid(a * z + b);
            let (error, weight) = (p - f64::from(u8::from(*hit)), p * (1.0 - p));
            ga += error * z;
            gb += error;
            haa += weight * z * z;
            hab += weight * z;
            hbb += weight;
        }
        let determinant = haa * hbb - hab * hab;
        let (da, db) = ((hbb * ga - hab * gb) / determinant, (haa * gb - hab * ga) / determinant);
        let mut length = 1.0;
        let next = loop {
            let (next_a, next_b) = ((a - length * da).max(1e-3), b - length * db);
            let next = value(next_a, next_b);
            if next <= now || length < 1e-6 {
                break (next_a, next_b, next);
            }
            length *= 0.5;
        };
        let gained = now - next.2;
        if gained <= 0.0 {
            break;
        }
        (a, b, now) = next;
        if gained < 1e-10 * now.abs() {
            break;
        }
    }
    [a, b]
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
    fn regression_finds_what_made_the_data() {
        // Shares of hits exactly those of σ(2z - 1), at a few scores.
        let mut rows = Vec::new();
        for z in [-1.0, -0.5, 0.0, 0.5, 1.0, 1.5] {
            let share = (sigmoid(2.0 * z - 1.0) * 1000.0).round() as usize;
            rows.extend((0..1000).map(|i| (z, i < share)));
        }
        let [a, b] = regress(&rows, [1.0, 0.0], 1e-3);
        assert!((a - 2.0).abs() < 0.02 && (b + 1.0).abs() < 0.02, "{a} {b}");
        // Without data it is the prior; a few detections move it little.
        assert_eq!(regress(&[], [0.7, -0.2], 4.0), [0.7, -0.2]);
        let few = regress(&[(0.0, true)], [1.0, 0.0], 4.0);
        assert!(few[1] > 0.05 && few[1] < 0.2, "{few:?}");
    }
}
