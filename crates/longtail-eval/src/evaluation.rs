//! An evaluation: detections matched to ground truth once, from which every number is made.

use std::time::Duration;

use longtail_annotations::{AnnotationSet, FrequencyGroup};
use rayon::prelude::*;

use crate::{
    accumulate::Curves,
    bins::ClassBins,
    detection::{Detection, Detections, Shard},
    error::EvalError,
    ground_truth::{Class, GroundTruth},
    matches::{ByClass, Matches},
    metrics,
    numerics::{AREAS, IOU_75, IOU_COUNT},
    protocol::{COCO_CAPS, Protocol, Settings},
    report::{CategoryResult, EvalReport, SCHEMA_VERSION},
};

/// Matched detections under a protocol.
#[derive(Debug)]
pub struct Evaluation {
    pub(crate) settings: Settings,
    /// The ground truth's file, or a word for a set made in memory.
    pub(crate) label: String,
    pub(crate) classes: Vec<Class>,
    /// Images of the whole ground truth.
    pub(crate) images: usize,
    pub(crate) matches: Matches,
}

impl Evaluation {
    /// Matches detections; their images are the evaluation's.
    ///
    /// # Errors
    /// If the ground truth lacks fields that the protocol needs, or the settings contradict each other.
    pub fn new(detections: &Detections<'_>, settings: Settings) -> Result<Self, EvalError> {
        let matches = Matches::of(detections, settings.selection()?)?;
        Ok(Self::of(detections.truth, settings, matches))
    }

    pub(crate) fn of(truth: &GroundTruth, settings: Settings, matches: Matches) -> Self {
        Self {
            settings,
            label: truth.label.clone(),
            classes: truth.classes.clone(),
            images: truth.images(),
            matches,
        }
    }

    /// How long it took to match the detections.
    pub fn matching(&self) -> Duration {
        self.matches.matching
    }

    /// Every number, also by class and by bins of classes.
    pub fn report(&self, bins: Option<&ClassBins>) -> EvalReport {
        let by_class = self.matches.by_class(self.classes.len());
        let curves = ClassCurves::of(&by_class, self.settings.protocol);
        let mut metrics = match self.settings.protocol {
            Protocol::Lvis | Protocol::LvisFixed => metrics::lvis(self, &curves),
            Protocol::LvisPooled => metrics::pooled(self, &by_class),
            Protocol::Coco => metrics::coco(self, &curves),
        };
        if let Some(bins) = bins {
            metrics.extend(metrics::by_bin(self, &curves, bins));
        }
        let category = |(k, class): (usize, &Class)| {
            let all = curves.by_class[k].areas[0].as_ref();
            CategoryResult {
                category_id: class.id,
                name: class.name.clone(),
                label: None,
                frequency: class.frequency,
                ap: all.and_then(|c| c.average_precision(0..IOU_COUNT)),
                ap50: all.and_then(|c| c.average_precision(0..1)),
                ap75: all.and_then(|c| c.average_precision(IOU_75..IOU_75 + 1)),
                ar: all.and_then(Curves::average_recall),
                ground_truth: by_class.countable[k][0],
                detections: by_class.len(k) as u64,
            }
        };
        let ids = if self.settings.corrected_ids { "corrected" } else { "strict" };
        let provenance = [
            ("ground_truth", self.label.clone()),
            ("max_detections", self.settings.cap_name()),
            ("ids", ids.to_owned()),
        ];
        EvalReport {
            schema_version: SCHEMA_VERSION,
            protocol: self.settings.protocol.to_string(),
            provenance: provenance.map(|(name, value)| (name.to_owned(), value)).into(),
            metrics,
            per_category: self.classes.iter().enumerate().map(category).collect(),
        }
    }

    /// Detections an image of at least `score` that are wrong at IoU 0.5 and count.
    pub fn false_positives_per_image(&self, score: f64) -> f64 {
        let wrong = self.matches.rows().filter(|row| {
            let first = &row.outcomes[0];
            row.score >= score && (first.hit | first.ignored) & 1 == 0
        });
        wrong.count() as f64 / self.images as f64
    }

    /// Places of the classes of a frequency group.
    pub(crate) fn group(&self, group: FrequencyGroup) -> impl Iterator<Item = usize> + Clone + '_ {
        self.classes.iter().enumerate().filter(move |(_, c)| c.frequency == Some(group)).map(|(k, _)| k)
    }
}

/// Curves of a class.
pub(crate) struct OfClass {
    /// By area range, at the full cap.
    pub areas: [Option<Curves>; AREAS.len()],
    /// COCO: over all areas at the smaller caps; none for other protocols.
    pub caps: Vec<Option<Curves>>,
}

/// Curves of every class.
pub(crate) struct ClassCurves {
    pub by_class: Vec<OfClass>,
}

impl ClassCurves {
    pub fn of(matches: &ByClass<'_>, protocol: Protocol) -> Self {
        let of_class = |class| OfClass {
            areas: matches.curves(class),
            caps: match protocol {
                Protocol::Coco => {
                    COCO_CAPS[..2].iter().map(|cap| matches.capped_curves(class, *cap)).collect()
                }
                _ => Vec::new(),
            },
        };
        Self { by_class: (0..matches.classes()).into_par_iter().map(of_class).collect() }
    }

    /// Defined curves of an area range.
    pub fn in_area(&self, area: usize) -> impl Iterator<Item = &Curves> {
        self.by_class.iter().filter_map(move |class| class.areas[area].as_ref())
    }
}

/// Scores detections against ground truth by a protocol as its reference has it.
///
/// # Errors
/// If a detection or a ground-truth box is not finite or has a negative size, a detection is of an unknown image, ids
/// are repeated, or the ground truth lacks fields that the protocol needs. Detections of unknown classes are no error:
/// the references leave them out.
pub fn evaluate(
    protocol: Protocol,
    truth: &AnnotationSet,
    detections: &[Detection],
) -> Result<EvalReport, EvalError> {
    let truth = GroundTruth::new(truth)?;
    let mut all = Detections::new(&truth, Shard::WHOLE);
    all.extend(detections)?;
    Ok(Evaluation::new(&all, Settings::strict(protocol))?.report(None))
}
