//! What a class does at one score: precision, recall and F1, the score that serves it best, and the whole
//! curves.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    engine::annotations::{
        evaluation::Evaluation,
        matches::{Found, sorted},
    },
    error::EvalError,
};

/// Steps of recall of which a curve keeps one point each.
const STEPS: u64 = 200;

/// Detections of at least a score, at IoU 0.5.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// Least score of the detections.
    pub score: f64,
    /// Share of the detections that is right, in `0..=1`; `null` without detections.
    pub precision: Option<f64>,
    /// Share of the ground truth that is found, in `0..=1`.
    pub recall: f64,
    /// Harmonic mean of both, in `0..=1`; 0 where nothing is found.
    pub f1: f64,
}

/// Operating points of a class, or of all classes together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operating {
    /// The ground truth's category id; `null` for all classes.
    pub category_id: Option<i64>,
    /// Readable name.
    pub name: String,
    /// Boxes or masks that count.
    pub ground_truth: u64,
    /// Where F1 is highest, of equals at the highest score; `null` if nothing is found.
    pub best_f1: Option<OperatingPoint>,
    /// At the score that was asked for.
    pub at_score: Option<OperatingPoint>,
    /// By descending score, so that recall rises: where a detection is right, a point for each of 200 steps
    /// of recall, and the best.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub curve: Vec<OperatingPoint>,
}

/// Operating points of all classes together, then of each class with ground truth, by ascending id; at IoU
/// 0.5 over all areas. Detections that the protocol ignores there are left out. O(detections × log).
///
/// With `score` those at this score too. All classes together are one list with one score, as a detector is
/// used: frequent classes decide it.
///
/// # Errors
/// If 0.5 is not among the IoU thresholds, or the score is not finite.
pub fn operating_points(evaluation: &Evaluation, score: Option<f64>) -> Result<Vec<Operating>, EvalError> {
    let plan = &evaluation.plan;
    let at = plan.half("operating points")?;
    if let Some(score) = score.filter(|score| !score.is_finite()) {
        let reason = format!("{score} is not a score; give a finite number");
        return Err(EvalError::Parameter { name: "score", reason });
    }
    let by_class = evaluation.matches.by_class(plan, evaluation.classes.len());
    let countable = |class: usize| by_class.countable[class][plan.whole];
    let of_class = |class: usize| {
        let (id, name) = (evaluation.classes[class].id, evaluation.classes[class].name.clone());
        let rows = sorted(by_class.rows(class), usize::MAX);
        points(Some(id), name, countable(class), &rows, at, score)
    };
    let classes = 0..evaluation.classes.len();
    let total: u64 = classes.clone().map(countable).sum();
    // A class without ground truth has no recall, but its detections are wrong.
    let all = sorted(evaluation.matches.rows(plan), usize::MAX);
    let mut found = vec![points(None, "all classes".into(), total, &all, at, score)];
    found.par_extend(classes.into_par_iter().filter(|&class| countable(class) > 0).map(of_class));
    Ok(found)
}

/// Of rows by descending score.
fn points(
    category_id: Option<i64>,
    name: String,
    ground_truth: u64,
    rows: &[Found<'_>],
    (plane, bit): (usize, u16),
    score: Option<f64>,
) -> Operating {
    let (mut right, mut wrong) = (0_u64, 0_u64);
    let point = |score: f64, right: u64, wrong: u64| OperatingPoint {
        score,
        precision: (right + wrong > 0).then(|| right as f64 / (right + wrong) as f64),
        recall: if ground_truth > 0 { right as f64 / ground_truth as f64 } else { 0.0 },
        f1: match right {
            0 => 0.0,
            _ => 2.0 * right as f64 / (right + wrong + ground_truth) as f64,
        },
    };
    let (mut best, mut curve) = (None::<OperatingPoint>, Vec::new());
    let mut at_score = score.map(|score| point(score, 0, 0));
    let mut step = 0;
    for same in rows.chunk_by(|a, b| a.score == b.score) {
        let before = right;
        for row in same.iter().filter(|row| row.outcomes[plane].ignored & bit == 0) {
            let is_right = row.outcomes[plane].hit & bit != 0;
            right += u64::from(is_right);
            wrong += u64::from(!is_right);
        }
        let here = same[0].score;
        if score.is_some_and(|score| here >= score) {
            at_score = score.map(|score| point(score, right, wrong));
        }
        if right == before {
            continue;
        }
        let found = point(here, right, wrong);
        let is_best = best.is_none_or(|best| found.f1 > best.f1);
        let reached = right * STEPS / ground_truth.max(1);
        if reached > step || curve.is_empty() {
            step = reached;
            curve.push(found);
        }
        if is_best {
            best = Some(found);
        }
    }
    if let Some(best) = best {
        let index = curve.partition_point(|point| point.score > best.score);
        if curve.get(index).is_none_or(|point| point.score != best.score) {
            curve.insert(index, best);
        }
    }
    Operating { category_id, name, ground_truth, best_f1: best, at_score, curve }
}
