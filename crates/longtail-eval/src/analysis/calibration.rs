//! How far scores are from the share of detections that are right: a class whose scores mean something else
//! than another's cannot share a threshold with it.

use longtail_annotations::FrequencyGroup;
use serde::{Deserialize, Serialize};

use crate::{
    engine::annotations::{evaluation::Evaluation, matches::Found},
    error::EvalError,
};

/// Bins of scores from 0 to 1.
const BINS: usize = 10;

/// Detections of a score bin.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Reliability {
    /// Right at IoU 0.5.
    pub true_positives: u64,
    /// Wrong at IoU 0.5.
    pub false_positives: u64,
    /// Mean score; `null` if the bin is empty.
    pub mean_score: Option<f64>,
    /// Share that is right, in `0..=1`; `null` if the bin is empty.
    pub precision: Option<f64>,
}

/// Scores of a frequency group, or of all classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// `None` for all classes.
    pub frequency: Option<FrequencyGroup>,
    /// Expected calibration error (Naeini et al., AAAI 2015): mean over detections of the distance between a
    /// bin's mean score and precision; `null` without detections.
    pub expected_calibration_error: Option<f64>,
    /// Ten bins of equal width from 0 to 1; the upper bound belongs to a bin, and scores beyond the ends
    /// belong to the bins there.
    pub bins: Vec<Reliability>,
}

/// Calibration over all classes, then of each frequency group that has detections. Detections that the
/// protocol ignores at IoU 0.5 are left out.
///
/// # Errors
/// If 0.5 is not among the IoU thresholds.
pub fn calibration(evaluation: &Evaluation) -> Result<Vec<Calibration>, EvalError> {
    let (plane, bit) = evaluation.plan.half("calibration")?;
    let group_of: Vec<Option<FrequencyGroup>> = evaluation.classes.iter().map(|c| c.frequency).collect();
    let counted =
        || evaluation.matches.rows(&evaluation.plan).filter(|row| row.outcomes[plane].ignored & bit == 0);
    let of_rows = |group, rows: &mut dyn Iterator<Item = Found<'_>>| {
        of_rows(group, rows.map(|row| (row.score, row.outcomes[plane].hit & bit != 0)))
    };
    let all = of_rows(None, &mut counted());
    let groups = FrequencyGroup::ALL.into_iter().map(|group| {
        of_rows(Some(group), &mut counted().filter(|row| group_of[row.class as usize] == Some(group)))
    });
    let seen = |c: &Calibration| c.expected_calibration_error.is_some();
    Ok(std::iter::once(all).chain(groups.filter(seen)).collect())
}

/// Of scores, each with whether its detection is right.
fn of_rows(frequency: Option<FrequencyGroup>, rows: impl Iterator<Item = (f64, bool)>) -> Calibration {
    let (mut bins, mut sums) = ([Reliability::default(); BINS], [0.0; BINS]);
    for (score, is_right) in rows {
        // (0, 0.1] is the first; 0 and less belong to it.
        let bin = ((score * BINS as f64).ceil() - 1.0).clamp(0.0, (BINS - 1) as f64) as usize;
        sums[bin] += score;
        if is_right {
            bins[bin].true_positives += 1;
        } else {
            bins[bin].false_positives += 1;
        }
    }
    let size = |bin: &Reliability| (bin.true_positives + bin.false_positives) as f64;
    let total: f64 = bins.iter().map(size).sum();
    let mut error = 0.0;
    for (bin, sum) in bins.iter_mut().zip(sums) {
        let count = size(bin);
        if count > 0.0 {
            let (score, precision) = (sum / count, bin.true_positives as f64 / count);
            (bin.mean_score, bin.precision) = (Some(score), Some(precision));
            error += count / total * (score - precision).abs();
        }
    }
    Calibration { frequency, expected_calibration_error: (total > 0.0).then_some(error), bins: bins.to_vec() }
}
