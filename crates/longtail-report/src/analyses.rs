//! What an evaluation says beyond the metrics: errors, confusions, calibration, operating points.

use std::collections::BTreeMap;

use longtail_annotations::{AnnotationSet, FrequencyGroup};
use longtail_eval::{
    Calibration, Detection, ErrorKind, ErrorOptions, ErrorReport, EvalError, ImageCounts, Operating,
    OperatingPoint, Protocol, confusions, error_analysis,
};
use serde::Serialize;

use crate::scores::PrintTable;

/// Pairs of classes in a table; JSON has all.
const PAIRS: usize = 20;
/// Classes in a table of operating points; JSON has all.
const CLASSES: usize = 100;

/// A pair of classes of which the second claims boxes of the first.
#[derive(Debug, Serialize)]
pub struct Pair {
    /// Class of the boxes.
    pub truth: String,
    /// Class that claims them.
    pub claimed: String,
    /// Boxes of the first that the second claims with the highest score.
    pub count: u64,
    /// Boxes of the first.
    pub total: u64,
    /// Training images of both, where the training set is known.
    pub training_images: Option<(u64, u64)>,
    /// Frequency groups of both.
    pub frequencies: (Option<FrequencyGroup>, Option<FrequencyGroup>),
    /// Whether they are of different frequency groups.
    pub across: bool,
}

/// The analyses that were asked for.
#[derive(Debug, Default, Serialize)]
pub struct Analyses {
    /// Errors by TIDE's definitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<ErrorReport>,
    /// Pairs of classes, those across frequency groups first, then the most frequent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confusions: Option<Vec<Pair>>,
    /// Scores against the share of right detections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Vec<Calibration>>,
    /// Precision, recall and F1 at the best score and at one that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operating_points: Option<Vec<Operating>>,
}

/// Every error of the detections, by the rules for the protocol's ground truth.
///
/// # Errors
/// As [`error_analysis`].
pub fn errors(
    set: &AnnotationSet,
    detections: &[Detection],
    protocol: Protocol,
) -> Result<ErrorReport, EvalError> {
    let options = if protocol == Protocol::Coco { ErrorOptions::coco() } else { ErrorOptions::lvis() };
    error_analysis(set, detections, &options)
}

/// Pairs of classes of which the second claims boxes of the first; `counts` are training images.
pub fn pairs(set: &AnnotationSet, detections: &[Detection], counts: Option<&ImageCounts>) -> Vec<Pair> {
    let classes: BTreeMap<i64, _> = set.categories.iter().map(|c| (c.id, c)).collect();
    let name = |id: i64| classes.get(&id).map_or(format!("unknown class {id}"), |c| c.name.clone());
    let group = |id: i64| classes.get(&id).and_then(|c| c.frequency);
    let mut found: Vec<Pair> = confusions(set, detections)
        .into_iter()
        .map(|pair| Pair {
            truth: name(pair.truth),
            claimed: name(pair.claimed),
            count: pair.count,
            total: pair.total,
            training_images: counts
                .map(|counts| (counts.of_category(pair.truth), counts.of_category(pair.claimed))),
            frequencies: (group(pair.truth), group(pair.claimed)),
            across: group(pair.truth) != group(pair.claimed),
        })
        .collect();
    // Most frequent first within each part.
    found.sort_by_key(|pair| !pair.across);
    found
}

impl Analyses {
    /// Tables for people, each under its heading.
    pub fn tables(&self, table: PrintTable) -> Vec<String> {
        let mut parts = Vec::new();
        if let Some(errors) = &self.errors {
            parts.push(error_table(errors, table));
        }
        if let Some(pairs) = &self.confusions {
            parts.push(pair_table(pairs, table));
        }
        if let Some(calibration) = &self.calibration {
            parts.push(calibration_table(calibration, table));
        }
        if let Some(operating) = &self.operating_points {
            parts.push(operating_table(operating, table));
        }
        parts
    }
}

fn percent(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |v| format!("{:.1}", 100.0 * v))
}

fn error_table(report: &ErrorReport, table: PrintTable) -> String {
    let groups: Vec<&FrequencyGroup> = report.by_frequency.keys().collect();
    let mut heading = vec!["error", "count", "share %", "AP50 won if mended"];
    let names: Vec<String> = groups.iter().map(|group| format!("{} %", group.name())).collect();
    heading.extend(names.iter().map(String::as_str));
    let row = |kind: ErrorKind| {
        let name = match kind {
            ErrorKind::Class => "classification",
            ErrorKind::Localisation => "localisation",
            ErrorKind::Both => "both",
            ErrorKind::Duplicate => "duplicate",
            ErrorKind::Background => "background",
            ErrorKind::Missed => "missed",
        };
        let error = report.counts.errors.get(&kind).copied().unwrap_or_default();
        let gain = report.delta_ap.get(&kind).copied().flatten();
        let gain = gain.map_or("–".to_owned(), |v| format!("{:+.2}", 100.0 * v));
        let mut cells = vec![name.to_owned(), error.count.to_string(), percent(error.share), gain];
        let share =
            |group: &FrequencyGroup| report.by_frequency[group].errors.get(&kind).and_then(|e| e.share);
        cells.extend(groups.iter().map(|group| percent(share(group))));
        cells
    };
    let rows: Vec<Vec<String>> = ErrorKind::ALL.into_iter().map(row).collect();
    format!(
        "Errors at IoU 0.5 by TIDE's definitions; AP50 by its rules {}\n{}",
        percent(report.ap),
        table(&heading, &rows)
    )
}

fn pair_table(pairs: &[Pair], table: PrintTable) -> String {
    let counted = pairs.iter().any(|pair| pair.training_images.is_some());
    let mut heading = vec!["boxes of", "claimed as", "count", "of", "groups"];
    if counted {
        heading.push("training images");
    }
    let letter = |group: Option<FrequencyGroup>| group.map_or("–", FrequencyGroup::letter);
    let row = |pair: &Pair| {
        let (truth, claimed) = pair.frequencies;
        let groups = format!("{} → {}", letter(truth), letter(claimed));
        let mut cells = vec![
            pair.truth.clone(),
            pair.claimed.clone(),
            pair.count.to_string(),
            pair.total.to_string(),
            groups,
        ];
        if counted {
            cells.push(pair.training_images.map_or("–".into(), |(a, b)| format!("{a} → {b}")));
        }
        cells
    };
    let rows: Vec<Vec<String>> = pairs.iter().take(PAIRS).map(row).collect();
    let shown =
        if pairs.len() > rows.len() { format!(", {} of {}", rows.len(), pairs.len()) } else { String::new() };
    format!("Confusions, pairs across frequency groups first{shown}\n{}", table(&heading, &rows))
}

fn operating_table(operating: &[Operating], table: PrintTable) -> String {
    let asked = operating.iter().find_map(|of| of.at_score).map(|point| point.score);
    let mut heading = vec!["class", "of", "best F1", "at score", "precision", "recall"];
    let names = asked.map(|score| ["F1", "precision", "recall"].map(|name| format!("{name} at {score}")));
    heading.extend(names.iter().flatten().map(String::as_str));
    let numbers = |point: Option<OperatingPoint>| {
        let of = |value: fn(OperatingPoint) -> Option<f64>| percent(point.and_then(value));
        [of(|point| Some(point.f1)), of(|point| point.precision), of(|point| Some(point.recall))]
    };
    let row = |of: &Operating| {
        let [f1, precision, recall] = numbers(of.best_f1);
        let score = of.best_f1.map_or("–".to_owned(), |point| format!("{:.3}", point.score));
        let mut cells = vec![of.name.clone(), of.ground_truth.to_string(), f1, score, precision, recall];
        if asked.is_some() {
            cells.extend(numbers(of.at_score));
        }
        cells
    };
    let rows: Vec<Vec<String>> = operating.iter().take(CLASSES + 1).map(row).collect();
    let shown = match operating.len() - rows.len() {
        0 => String::new(),
        left => format!("; {left} more classes are in JSON"),
    };
    format!("Operating points at IoU 0.5, in %{shown}\n{}", table(&heading, &rows))
}

fn calibration_table(calibration: &[Calibration], table: PrintTable) -> String {
    let names: Vec<&str> =
        calibration.iter().map(|c| c.frequency.map_or("all", FrequencyGroup::name)).collect();
    let mut heading = vec!["score"];
    let columns: Vec<[String; 2]> =
        names.iter().map(|name| [format!("{name}: right %"), "of".to_owned()]).collect();
    heading.extend(columns.iter().flatten().map(String::as_str));
    let bins = calibration.first().map_or(0, |c| c.bins.len());
    let row = |bin: usize| {
        let width = 1.0 / bins as f64;
        let mut cells = vec![format!("{:.1}–{:.1}", bin as f64 * width, (bin + 1) as f64 * width)];
        for c in calibration {
            let b = &c.bins[bin];
            cells.extend([percent(b.precision), (b.true_positives + b.false_positives).to_string()]);
        }
        cells
    };
    let rows: Vec<Vec<String>> = (0..bins).map(row).collect();
    let errors: Vec<String> = names
        .iter()
        .zip(calibration)
        .map(|(name, c)| format!("{name} {}", percent(c.expected_calibration_error)))
        .collect();
    format!(
        "Calibration at IoU 0.5; expected calibration error in %: {}\n{}",
        errors.join(", "),
        table(&heading, &rows)
    )
}
