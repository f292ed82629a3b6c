//! Average precision as it is, and with one kind of error mended.

use std::collections::BTreeMap;

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::{
    ErrorKind,
    classify::{Judged, Outcome, Verdict},
};
use crate::order::descending;

/// Recalls at which precision is read, less one.
const STEPS: u32 = 100;

/// AP and what the errors cost, each in `0..=1`; `None` where an AP has no class.
pub(super) struct Costs {
    pub ap: Option<f64>,
    /// Gain from mending one kind; never below 0.
    pub kinds: BTreeMap<ErrorKind, Option<f64>>,
    /// Gain from ranking everything wrong below everything right.
    pub false_positives: Option<f64>,
    /// Gain from taking unmatched ground truth away.
    pub false_negatives: Option<f64>,
}

/// What is mended.
#[derive(Clone, Copy, PartialEq)]
enum Fix {
    Kind(ErrorKind),
    FalsePositives,
    FalseNegatives,
}

/// AP of the images, and with each fix alone.
pub(super) fn costs(images: &[Judged]) -> Costs {
    let before = Ranking::of(images);
    let ap = before.mean_ap();
    let gain = |fix| Some(before.mended(images, fix).mean_ap()? - ap?);
    let share = |percent: f64| percent / 100.0;
    let of_kind = |kind| (kind, gain(Fix::Kind(kind)).map(|gain| share(gain.max(0.0))));
    Costs {
        ap: ap.map(share),
        kinds: ErrorKind::ALL.into_iter().map(of_kind).collect(),
        false_positives: gain(Fix::FalsePositives).map(share),
        false_negatives: gain(Fix::FalseNegatives).map(share),
    }
}

/// Detections and ground truth that enter AP, by class. Classes are in order of first appearance and points
/// in order of entry: the one decides the last bit of the mean, the other which of two equal scores comes
/// first.
#[derive(Default)]
struct Ranking {
    places: FxHashMap<i64, usize>,
    classes: Vec<Class>,
}

struct Class {
    id: i64,
    points: Vec<Point>,
    truths: u64,
}

/// A detection: whether it is right.
#[derive(Clone, Copy)]
struct Point {
    score: f64,
    correct: bool,
}

impl Ranking {
    /// The images as they are.
    fn of(images: &[Judged]) -> Self {
        let mut ranking = Self::default();
        for image in images {
            for &class in &image.truths {
                ranking.class(class).truths += 1;
            }
            for verdict in &image.detections {
                let correct = match verdict.outcome {
                    Outcome::Correct => true,
                    Outcome::Wrong { ignored: false, .. } => false,
                    Outcome::Wrong { ignored: true, .. } => continue,
                };
                ranking.class(verdict.class).points.push(Point { score: verdict.score, correct });
            }
        }
        ranking
    }

    fn class(&mut self, id: i64) -> &mut Class {
        let place = *self.places.entry(id).or_insert_with(|| {
            self.classes.push(Class { id, points: Vec::new(), truths: 0 });
            self.classes.len() - 1
        });
        &mut self.classes[place]
    }

    /// The images with one thing mended; `self` is them before that. All that is wrong enters first.
    fn mended(&self, images: &[Judged], fix: Fix) -> Self {
        let mut ranking = Self::default();
        for Verdict { class, score, outcome } in images.iter().flat_map(|image| &image.detections) {
            let Outcome::Wrong { kind, ignored, mended } = *outcome else { continue };
            if fix == Fix::Kind(kind) {
                if let Some(class) = mended {
                    ranking.class(class).points.push(Point { score: *score, correct: true });
                }
            } else if !ignored {
                let score = if fix == Fix::FalsePositives { 0.0 } else { *score };
                ranking.class(*class).points.push(Point { score, correct: false });
            }
        }
        for class in &self.classes {
            let right = class.points.iter().filter(|point| point.correct);
            let mut found = 0;
            for &point in right {
                let score = if fix == Fix::FalsePositives { 1.0 } else { point.score };
                ranking.class(class.id).points.push(Point { score, correct: true });
                found += 1;
            }
            // Added even where it is 0, when the class may have neither; the mean leaves those out.
            ranking.class(class.id).truths += if fix == Fix::FalseNegatives { found } else { class.truths };
        }
        if fix == Fix::Kind(ErrorKind::Missed) {
            for &class in images.iter().flat_map(|image| &image.missed) {
                ranking.class(class).truths -= 1;
            }
        }
        ranking
    }

    /// Mean AP, in percent, of the classes that have detections or ground truth; `None` if there are none.
    fn mean_ap(&self) -> Option<f64> {
        let aps: Vec<f64> = self
            .classes
            .par_iter()
            .filter(|class| !class.points.is_empty() || class.truths > 0)
            .map(Class::ap)
            .collect();
        (!aps.is_empty()).then(|| aps.iter().sum::<f64>() / aps.len() as f64)
    }
}

impl Class {
    /// AP in percent; 0 without ground truth.
    fn ap(&self) -> f64 {
        if self.truths == 0 {
            return 0.0;
        }
        let mut points = self.points.clone();
        points.sort_by(|a, b| descending(a.score, b.score));
        let mut found = 0_u64;
        let (mut recalls, mut precisions) =
            (Vec::with_capacity(points.len()), Vec::with_capacity(points.len()));
        for (rank, point) in points.iter().enumerate() {
            found += u64::from(point.correct);
            recalls.push(found as f64 / self.truths as f64);
            precisions.push(found as f64 / (rank + 1) as f64);
        }
        // Precision at a recall is the best at that recall or a higher one.
        for i in (1..precisions.len()).rev() {
            precisions[i - 1] = precisions[i].max(precisions[i - 1]);
        }
        let at = |step: u32| {
            let recall = f64::from(step) / f64::from(STEPS);
            precisions.get(recalls.partition_point(|&r| r < recall)).copied().unwrap_or(0.0)
        };
        (0..=STEPS).map(at).sum::<f64>() / f64::from(STEPS + 1) * 100.0
    }
}
