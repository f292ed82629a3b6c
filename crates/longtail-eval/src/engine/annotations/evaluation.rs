//! An evaluation: detections matched to ground truth once, from which every number is made.

use std::{collections::BTreeMap, time::Duration};

use longtail_annotations::AnnotationSet;

use super::{
    accumulate::Curves,
    curves::ClassCurves,
    detections::{Detections, Shard},
    ground_truth::{Class, GroundTruth},
    iou_type::IouType,
    matches::Matches,
    metrics,
    protocol::Protocol,
    settings::{Plan, Settings},
};
use crate::{
    bins::ClassBins,
    detection::Detection,
    error::EvalError,
    report::{CategoryResult, DetectionCounts, EvalReport, SCHEMA_VERSION},
};

/// Matched detections under a protocol.
#[derive(Debug)]
pub struct Evaluation {
    pub(crate) settings: Settings,
    pub(crate) plan: Plan,
    /// The ground truth's file, or a word for a set made in memory.
    pub(crate) label: String,
    /// By ascending id; a single one where classes do not matter.
    pub(crate) classes: Vec<Class>,
    /// Of the images that take part, ascending.
    pub(crate) image_ids: Vec<i64>,
    pub(crate) matches: Matches,
}

impl Evaluation {
    /// Matches detections; their images are the evaluation's.
    ///
    /// # Errors
    /// If the ground truth lacks fields that the protocol needs, or the settings contradict each other.
    pub fn new(detections: &Detections<'_>, settings: &Settings) -> Result<Self, EvalError> {
        let plan = settings.plan()?;
        plan.check(detections.truth)?;
        let matches = Matches::of(detections, &plan)?;
        Ok(Self::of(detections.truth, settings, plan, matches))
    }

    pub(crate) fn of(truth: &GroundTruth, settings: &Settings, plan: Plan, matches: Matches) -> Self {
        Self {
            settings: settings.clone(),
            label: truth.label.clone(),
            classes: scored_classes(&plan, &truth.classes.list),
            image_ids: truth.image_ids.clone(),
            plan,
            matches,
        }
    }

    /// How long it took to match the detections.
    pub fn matching(&self) -> Duration {
        self.matches.matching
    }

    /// How many detections there were, and why some took no part.
    pub fn detections(&self) -> DetectionCounts {
        self.matches.counts
    }

    /// Every number, also by class and by bins of classes.
    pub fn report(&self, bins: Option<&ClassBins>) -> EvalReport {
        let plan = &self.plan;
        let by_class = self.matches.by_class(plan, self.classes.len());
        let curves = ClassCurves::of(plan, &by_class);
        let mut metrics = match self.settings.protocol {
            Protocol::LvisPooled => metrics::pooled(plan, &self.classes, &by_class, self.matches.rows(plan)),
            Protocol::Lvis | Protocol::LvisFixed | Protocol::Coco => {
                metrics::of_classes(plan, &self.classes, &curves)
            }
        };
        if let Some(bins) = bins {
            metrics.extend(metrics::by_bin(plan, &self.classes, &curves, bins));
        }
        let every: Vec<usize> = (0..plan.iou_thresholds.len()).collect();
        let category = |(k, class): (usize, &Class)| {
            let all = curves.by_class[k].areas[plan.whole].as_ref();
            CategoryResult {
                category_id: class.id,
                name: class.name.clone(),
                label: None,
                frequency: class.frequency,
                ap: all.and_then(|c| c.average_precision(&every)),
                ap50: all.and_then(|c| c.average_precision(&plan.at_iou(0.5))),
                ap75: all.and_then(|c| c.average_precision(&plan.at_iou(0.75))),
                ar: all.and_then(Curves::average_recall),
                ground_truth: by_class.countable[k][plan.whole],
                detections: by_class.len(k) as u64,
            }
        };
        let ids = if self.settings.corrected_ids { "corrected" } else { "strict" };
        let provenance = [
            ("ground_truth", self.label.clone()),
            ("max_detections", plan.cap().to_string()),
            ("ids", ids.to_owned()),
        ];
        let mut provenance: BTreeMap<String, String> =
            provenance.map(|(name, value)| (name.to_owned(), value)).into();
        if self.settings.iou_type != IouType::Bbox {
            provenance.insert("iou_type".to_owned(), self.settings.iou_type.to_string());
        }
        provenance.extend(self.settings.parameters.not_default());
        EvalReport {
            schema_version: SCHEMA_VERSION,
            protocol: self.settings.protocol.to_string(),
            provenance,
            metrics,
            detections: self.matches.counts,
            per_category: self.classes.iter().enumerate().map(category).collect(),
        }
    }

    /// Detections an image of at least `score` that are wrong at IoU 0.5 and count.
    ///
    /// # Errors
    /// If 0.5 is not among the IoU thresholds.
    pub fn false_positives_per_image(&self, score: f64) -> Result<f64, EvalError> {
        let (plane, bit) = self.plan.half("the number of false positives")?;
        let wrong = self.matches.rows(&self.plan).filter(|row| {
            let at_half = &row.outcomes[plane];
            row.score >= score && (at_half.hit | at_half.ignored) & bit == 0
        });
        Ok(wrong.count() as f64 / self.image_ids.len() as f64)
    }
}

/// The classes that have numbers of their own.
pub(crate) fn scored_classes(plan: &Plan, classes: &[Class]) -> Vec<Class> {
    match plan.class_agnostic {
        true => vec![Class { id: -1, name: "all classes".into(), frequency: None }],
        false => classes.to_vec(),
    }
}

/// Scores detections against ground truth by a protocol as its reference has it.
///
/// # Errors
/// If a detection or a ground-truth box is not finite or has a negative size, a detection is of an unknown
/// image, ids are repeated, or the ground truth lacks fields that the protocol needs. Detections of unknown
/// classes are no error: the references leave them out, and the report counts them.
pub fn evaluate(
    protocol: Protocol,
    truth: &AnnotationSet,
    detections: &[Detection],
) -> Result<EvalReport, EvalError> {
    let truth = GroundTruth::new(truth)?;
    let mut all = Detections::new(&truth, Shard::WHOLE);
    all.extend(detections)?;
    Ok(Evaluation::new(&all, &Settings::strict(protocol))?.report(None))
}
