//! Detectors against each other on the same images.

use std::collections::BTreeMap;

use longtail_annotations::FrequencyGroup;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

mod bootstrap;

use self::bootstrap::{Resampler, Values, draw, metrics};
use crate::{
    engine::annotations::{evaluation::Evaluation, ground_truth::Class},
    error::EvalError,
    metric::Metric,
};

/// A difference of a metric, and how certain it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Of all images.
    pub value: f64,
    /// 2.5 % of the resamples lie below.
    pub low: f64,
    /// 2.5 % of the resamples lie above.
    pub high: f64,
    /// Share of the resamples in which it is above 0; equal ones count half.
    pub won: f64,
    /// Images with ground truth that it rests on.
    pub images: u64,
}

/// Images that an interval needs: a resample of fewer misses all of them in more than 1 % of the draws, and
/// shows hardly any other numbers than the one it started from.
const ENOUGH_IMAGES: u64 = 5;

impl Difference {
    /// Whether there are images enough for an interval, and it leaves out 0.
    pub fn is_certain(&self) -> bool {
        self.has_interval() && (self.low > 0.0 || self.high < 0.0)
    }

    /// Whether there are images enough for an interval; with fewer, resamples hardly differ.
    pub fn has_interval(&self) -> bool {
        self.images >= ENOUGH_IMAGES
    }

    fn of(value: f64, mut resamples: Vec<f64>, images: u64) -> Self {
        resamples.sort_by(f64::total_cmp);
        let wins = resamples.iter().map(|d| {
            if *d > 0.0 {
                1.0
            } else if *d == 0.0 {
                0.5
            } else {
                0.0
            }
        });
        let won = wins.sum::<f64>() / resamples.len() as f64;
        let [low, high] = [0.025, 0.975].map(|share| quantile(&resamples, share));
        Self { value, low, high, won, images }
    }
}

/// Of ascending values, interpolated between neighbours (type 7 of Hyndman and Fan, as in NumPy).
fn quantile(values: &[f64], share: f64) -> f64 {
    let rank = share * (values.len() - 1) as f64;
    let (below, part) = (rank.floor() as usize, rank.fract());
    let above = (below + 1).min(values.len() - 1);
    values[below] + part * (values[above] - values[below])
}

/// A class in two detectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassDifference {
    /// The file's category id.
    pub category_id: i64,
    /// Its name.
    pub name: String,
    /// Its frequency group, where the ground truth names one.
    pub frequency: Option<FrequencyGroup>,
    /// Countable ground-truth boxes.
    pub ground_truth: u64,
    /// AP of the first detector.
    pub baseline: f64,
    /// AP of the other one minus that.
    #[serde(flatten)]
    pub difference: Difference,
}

/// A detector held against the first one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Differences by metric, in `-1..=1`; a metric that no class defines is left out.
    pub metrics: BTreeMap<Metric, Difference>,
    /// Every class with ground truth, by descending difference.
    pub classes: Vec<ClassDifference>,
}

/// How to resample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bootstrap {
    /// Number of resamples, above 0.
    pub resamples: u64,
    /// Decides which images are drawn.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { resamples: 1000, seed: 0 }
    }
}

/// Compares detectors with the first one by a paired bootstrap over images (Efron and Tibshirani, 1993): in
/// each resample all of them are scored on the same drawn images. `progress` is called after every resample,
/// from any thread.
///
/// # Errors
/// If the evaluations are not of the same ground truth and protocol, there are none, or the protocol cannot
/// be resampled.
pub fn compare(
    evaluations: &[Evaluation],
    bootstrap: Bootstrap,
    progress: &(dyn Fn() + Sync),
) -> Result<Vec<Comparison>, EvalError> {
    let same = |e: &Evaluation| {
        let first = &evaluations[0];
        (&e.image_ids, &e.settings, &e.classes) == (&first.image_ids, &first.settings, &first.classes)
            && e.matches.countable == first.matches.countable
    };
    if evaluations.len() < 2 || bootstrap.resamples == 0 || !evaluations.iter().all(same) {
        return Err(EvalError::NotComparable);
    }
    let resamplers: Vec<Resampler> = evaluations.iter().map(Resampler::new).collect::<Result<_, _>>()?;
    let score = |weights: &[u32]| -> Vec<_> {
        let of = |r: &Resampler| {
            let classes = r.classes(weights);
            (r.means(&classes), classes)
        };
        resamplers.iter().map(of).collect()
    };
    let images = resamplers[0].images();
    let whole = score(&vec![1; images]);
    // By resample: every detector's differences, of the metrics and of the classes.
    let resampled: Vec<Vec<(Vec<f64>, Vec<f32>)>> = (0..bootstrap.resamples)
        .into_par_iter()
        .map(|resample| {
            let scored = score(&draw(images, bootstrap.seed, resample));
            progress();
            let (first, others) = scored.split_first().expect("there are two or more");
            let difference = |other: &(Values, Vec<Option<f64>>)| {
                let metrics = other.0.iter().zip(first.0).map(|(o, f)| o - f).collect();
                let class = |(o, f): (&Option<f64>, &Option<f64>)| match (o, f) {
                    (Some(o), Some(f)) => (o - f) as f32,
                    _ => f32::NAN,
                };
                (metrics, other.1.iter().zip(&first.1).map(class).collect())
            };
            others.iter().map(difference).collect()
        })
        .collect();

    let (first, others) = whole.split_first().expect("there are two or more");
    let Evaluation { plan, classes, matches, .. } = &evaluations[0];
    let truths = matches.by_class(plan, classes.len()).countable;
    let of_metric = resamplers[0].images_of_metrics();
    let comparison = |(index, other): (usize, &(Values, Vec<Option<f64>>))| {
        let metrics = metrics().into_iter().enumerate().filter_map(|(m, metric)| {
            let value = other.0[m] - first.0[m];
            // A small group may be absent from a resample.
            let draws: Vec<f64> = resampled.iter().map(|r| r[index].0[m]).filter(|d| !d.is_nan()).collect();
            (!value.is_nan() && !draws.is_empty())
                .then(|| (metric, Difference::of(value, draws, of_metric[m])))
        });
        let class = |(k, class): (usize, &Class)| {
            let (baseline, value) = (first.1[k]?, other.1[k]?);
            let draws: Vec<f64> =
                resampled.iter().map(|r| f64::from(r[index].1[k])).filter(|d| !d.is_nan()).collect();
            (!draws.is_empty()).then(|| ClassDifference {
                category_id: class.id,
                name: class.name.clone(),
                frequency: class.frequency,
                ground_truth: truths[k][plan.whole],
                baseline,
                difference: Difference::of(value - baseline, draws, resamplers[0].images_of(k)),
            })
        };
        let mut classes: Vec<ClassDifference> =
            evaluations[0].classes.par_iter().enumerate().filter_map(class).collect();
        classes.sort_by(|a, b| {
            b.difference.value.total_cmp(&a.difference.value).then(a.category_id.cmp(&b.category_id))
        });
        Comparison { metrics: metrics.collect(), classes }
    };
    Ok(others.iter().enumerate().map(comparison).collect())
}

/// Compares detectors with the first one over several runs (seeds), each with images of its own: the mean of
/// the runs' differences by metric, and its interval where every run's images are resampled. `runs[r][d]` is
/// detector d in run r. The interval is of the images, given these runs; the spread over seeds is another
/// matter.
///
/// # Errors
/// As [`compare`], and if the runs do not have the same number of detectors.
pub fn compare_runs(
    runs: &[Vec<Evaluation>],
    bootstrap: Bootstrap,
) -> Result<Vec<BTreeMap<Metric, Difference>>, EvalError> {
    let detectors = runs.first().map_or(0, Vec::len);
    if detectors < 2 || bootstrap.resamples == 0 || runs.iter().any(|run| run.len() != detectors) {
        return Err(EvalError::NotComparable);
    }
    let resamplers: Vec<Vec<Resampler>> =
        runs.iter().map(|run| run.iter().map(Resampler::new).collect()).collect::<Result<_, _>>()?;
    // Mean over runs of every detector's differences; NaN where a run lacks a group.
    let differences = |weights: &dyn Fn(usize, usize) -> Vec<u32>| -> Vec<Values> {
        let mut sums = vec![Values::default(); detectors - 1];
        for (index, run) in resamplers.iter().enumerate() {
            let weights = weights(index, run[0].images());
            let scored: Vec<_> = run.iter().map(|r| r.means(&r.classes(&weights))).collect();
            for (sum, other) in sums.iter_mut().zip(&scored[1..]) {
                for (m, sum) in sum.iter_mut().enumerate() {
                    *sum += (other[m] - scored[0][m]) / runs.len() as f64;
                }
            }
        }
        sums
    };
    let whole = differences(&|_, images| vec![1; images]);
    let draws: Vec<_> = (0..bootstrap.resamples)
        .into_par_iter()
        .map(|resample| differences(&|run, images| draw(images, bootstrap.seed + run as u64, resample)))
        .collect();
    let images: Vec<[u64; 4]> = resamplers.iter().map(|run| run[0].images_of_metrics()).collect();
    let of_detector = |index: usize| {
        let difference = |(m, metric): (usize, Metric)| {
            let value = whole[index][m];
            let draws: Vec<f64> = draws.iter().map(|d| d[index][m]).filter(|d| !d.is_nan()).collect();
            let images = images.iter().map(|of_metric| of_metric[m]).sum();
            (!value.is_nan() && !draws.is_empty()).then(|| (metric, Difference::of(value, draws, images)))
        };
        metrics().into_iter().enumerate().filter_map(difference).collect()
    };
    Ok((0..detectors - 1).map(of_detector).collect())
}
