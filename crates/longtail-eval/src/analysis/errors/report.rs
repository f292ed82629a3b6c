//! The result of an error analysis.

use std::collections::BTreeMap;

use longtail_annotations::{AnnotationSet, FrequencyGroup};
use serde::{Deserialize, Serialize};

use super::{
    ErrorOptions,
    classify::{Judged, Outcome},
    fix::Costs,
};

/// Version of the JSON layout of [`ErrorReport`].
pub const ERROR_SCHEMA_VERSION: u32 = 1;

/// A kind of error. IoUs are with ground truth that counts; "foreground" and "background" are the two
/// [bounds](super::OverlapBounds).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// Right place, wrong class: at least foreground IoU with a box of another class.
    Class,
    /// Right class, wrong place: the best IoU with a box of the class is from background to foreground.
    Localisation,
    /// Neither: more than background IoU with some box, but none of the other kinds.
    Both,
    /// At least foreground IoU with a box of the class that a better detection took.
    Duplicate,
    /// At most background IoU with every box.
    Background,
    /// A ground-truth box that no detection matches, nor would with its class or place mended.
    Missed,
}

impl ErrorKind {
    /// All kinds, in their order.
    pub const ALL: [Self; 6] =
        [Self::Class, Self::Localisation, Self::Both, Self::Duplicate, Self::Background, Self::Missed];
}

/// Errors of one run: how many there are of each kind, and what they cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorReport {
    /// [`ERROR_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The ground truth's file, or a word for a set made in memory.
    pub ground_truth: String,
    /// What the analysis went by.
    pub options: ErrorOptions,
    /// Mean AP at the foreground IoU, in `0..=1`; `null` without any class. Differs from COCO's and LVIS's:
    /// see
    /// [`crate::analysis::errors`].
    pub ap: Option<f64>,
    /// Counts over all classes.
    pub counts: ErrorTally,
    /// AP won by mending one kind of error alone, in `0..=1`; 0 where AP would fall, `null` where it is
    /// undefined before or after. The gains do not add up to what mending everything would win.
    pub delta_ap: BTreeMap<ErrorKind, Option<f64>>,
    /// AP won by ranking every wrong detection below every right one, in `-1..=1`.
    pub false_positives_delta_ap: Option<f64>,
    /// AP won by taking unmatched boxes out of the ground truth, in `-1..=1`.
    pub false_negatives_delta_ap: Option<f64>,
    /// Counts by the class's frequency group; groups without a class are left out.
    pub by_frequency: BTreeMap<FrequencyGroup, ErrorTally>,
    /// Counts of every class of the ground truth, and of unknown ones that occur, by ascending id.
    pub by_class: Vec<ClassErrors>,
}

/// Counts of one class: of the ground truth's class for missed boxes, else of the detection's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassErrors {
    /// The file's category id.
    pub category_id: i64,
    /// Its name; `null` for a class that the file does not list.
    pub name: Option<String>,
    /// Its frequency group, where the ground truth names one.
    pub frequency: Option<FrequencyGroup>,
    /// The counts.
    pub counts: ErrorTally,
}

/// How many boxes, matches and errors there are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorTally {
    /// Ground-truth boxes that count.
    pub ground_truth: u64,
    /// Detections that match one.
    pub correct: u64,
    /// Errors by kind; all kinds are there.
    pub errors: BTreeMap<ErrorKind, ErrorCount>,
}

/// Errors of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ErrorCount {
    /// How many, those in ignored regions included.
    pub count: u64,
    /// Part of all errors of the same tally, in `0..=1`; `null` if there are none.
    pub share: Option<f64>,
    /// Those of them in ignored regions, which AP does not see.
    pub ignored: u64,
}

impl Default for ErrorTally {
    fn default() -> Self {
        let errors = ErrorKind::ALL.into_iter().map(|kind| (kind, ErrorCount::default())).collect();
        Self { ground_truth: 0, correct: 0, errors }
    }
}

impl ErrorTally {
    /// Errors of all kinds.
    pub fn total(&self) -> u64 {
        self.errors.values().map(|error| error.count).sum()
    }

    fn add_error(&mut self, kind: ErrorKind, ignored: bool) {
        let error = self.errors.entry(kind).or_default();
        error.count += 1;
        error.ignored += u64::from(ignored);
    }

    fn add(&mut self, other: &Self) {
        self.ground_truth += other.ground_truth;
        self.correct += other.correct;
        for (kind, more) in &other.errors {
            let error = self.errors.entry(*kind).or_default();
            error.count += more.count;
            error.ignored += more.ignored;
        }
    }

    /// Fills in the shares, once all is counted.
    fn with_shares(mut self) -> Self {
        let total = self.total();
        for error in self.errors.values_mut() {
            error.share = (total > 0).then(|| error.count as f64 / total as f64);
        }
        self
    }
}

/// The report of judged images.
pub(super) fn make(
    truth: &AnnotationSet,
    options: &ErrorOptions,
    images: &[Judged],
    costs: &Costs,
) -> ErrorReport {
    let mut by_class: BTreeMap<i64, ErrorTally> =
        truth.categories.iter().map(|category| (category.id, ErrorTally::default())).collect();
    for image in images {
        for class in &image.truths {
            by_class.entry(*class).or_default().ground_truth += 1;
        }
        for verdict in &image.detections {
            let tally = by_class.entry(verdict.class).or_default();
            match verdict.outcome {
                Outcome::Correct => tally.correct += 1,
                Outcome::Wrong { kind, ignored, .. } => tally.add_error(kind, ignored),
            }
        }
        for class in &image.missed {
            by_class.entry(*class).or_default().add_error(ErrorKind::Missed, false);
        }
    }

    let categories: BTreeMap<i64, _> = truth.categories.iter().map(|c| (c.id, c)).collect();
    let mut counts = ErrorTally::default();
    let mut by_frequency: BTreeMap<FrequencyGroup, ErrorTally> = BTreeMap::new();
    let mut rows = Vec::with_capacity(by_class.len());
    for (category_id, tally) in by_class {
        let category = categories.get(&category_id);
        let frequency = category.and_then(|c| c.frequency);
        counts.add(&tally);
        if let Some(group) = frequency {
            by_frequency.entry(group).or_default().add(&tally);
        }
        let name = category.map(|c| c.name.clone());
        rows.push(ClassErrors { category_id, name, frequency, counts: tally.with_shares() });
    }
    ErrorReport {
        schema_version: ERROR_SCHEMA_VERSION,
        ground_truth: truth.label(),
        options: *options,
        ap: costs.ap,
        counts: counts.with_shares(),
        delta_ap: costs.kinds.clone(),
        false_positives_delta_ap: costs.false_positives,
        false_negatives_delta_ap: costs.false_negatives,
        by_frequency: by_frequency.into_iter().map(|(group, tally)| (group, tally.with_shares())).collect(),
        by_class: rows,
    }
}
