//! One image: what each detection and each unmatched ground-truth box is.

use longtail_annotations::{Annotation, boxes::overlap};

use super::{ErrorKind, OverlapBounds, input::Image};
use crate::detection::Detection;

/// What became of an image.
pub(super) struct Judged {
    /// Classes of the ground truth that counts, in file order.
    pub truths: Vec<i64>,
    /// Detections that took part, by descending score.
    pub detections: Vec<Verdict>,
    /// Classes of the boxes that no detection matches, nor would if its class or place were mended.
    pub missed: Vec<i64>,
}

/// What became of a detection.
pub(super) struct Verdict {
    pub class: i64,
    pub score: f64,
    pub outcome: Outcome,
}

#[derive(Clone, Copy)]
pub(super) enum Outcome {
    /// Matches a box.
    Correct,
    /// Matches none.
    Wrong {
        kind: ErrorKind,
        /// Does not enter AP.
        ignored: bool,
        /// Class of which it is a match once mended; `None` if mending takes it away.
        mended: Option<i64>,
    },
}

/// Overlaps of an image's detections (rows) with the ground truth that counts (columns).
struct Overlaps {
    values: Vec<f64>,
    columns: usize,
}

impl Overlaps {
    fn new(detections: &[&Detection], truths: &[&Annotation]) -> Self {
        let pairs = detections.iter().flat_map(|d| truths.iter().map(|t| overlap_of(d, t, false)));
        Self { values: pairs.collect(), columns: truths.len() }
    }

    fn row(&self, detection: usize) -> &[f64] {
        &self.values[detection * self.columns..(detection + 1) * self.columns]
    }
}

/// Overlap of two boxes; 0 where their areas leave the range of `f64`.
fn overlap_of(detection: &Detection, truth: &Annotation, region: bool) -> f64 {
    let value = overlap(&detection.bbox, &truth.bbox, region);
    if value.is_nan() { 0.0 } else { value }
}

/// The column of the largest overlap among those that count, and the overlap; of equals the first.
fn best(row: &[f64], counts: impl Fn(usize) -> bool) -> Option<(usize, f64)> {
    let mut found = None;
    for (column, &overlap) in row.iter().enumerate() {
        if counts(column) && found.is_none_or(|(_, most)| overlap > most) {
            found = Some((column, overlap));
        }
    }
    found
}

/// Matches the detections of an image and sorts its errors.
pub(super) fn judge(image: &Image<'_>, bounds: &OverlapBounds) -> Judged {
    let overlaps = Overlaps::new(&image.detections, &image.truths);
    let mut taken = vec![false; image.truths.len()];
    let correct: Vec<bool> = image
        .detections
        .iter()
        .enumerate()
        .map(|(d, detection)| {
            let free = |t: usize| !taken[t] && image.truths[t].category_id == detection.category_id;
            let matched = best(overlaps.row(d), free).filter(|&(_, iou)| iou >= bounds.foreground());
            if let Some((t, _)) = matched {
                taken[t] = true;
            }
            matched.is_some()
        })
        .collect();

    // Whether a better detection already mends the box.
    let mut claimed = vec![false; image.truths.len()];
    let rows = image.detections.iter().zip(correct).enumerate();
    let detections = rows.map(|(d, (detection, correct))| {
        let outcome = if correct {
            Outcome::Correct
        } else {
            let (kind, near) = kind_of(detection, overlaps.row(d), &image.truths, bounds);
            let free = near.filter(|&t| !taken[t] && !std::mem::replace(&mut claimed[t], true));
            let mended = free.map(|t| image.truths[t].category_id);
            Outcome::Wrong { kind, ignored: is_ignored(detection, image, bounds), mended }
        };
        Verdict { class: detection.category_id, score: detection.score, outcome }
    });
    let detections = detections.collect();
    let missed = image.truths.iter().zip(taken.iter().zip(&claimed));
    let missed = missed.filter(|(_, (taken, claimed))| !**taken && !**claimed).map(|(t, _)| t.category_id);
    Judged {
        truths: image.truths.iter().map(|t| t.category_id).collect(),
        missed: missed.collect(),
        detections,
    }
}

/// The kind of an unmatched detection, and the box that it would match if class or place were right.
fn kind_of(
    detection: &Detection,
    row: &[f64],
    truths: &[&Annotation],
    bounds: &OverlapBounds,
) -> (ErrorKind, Option<usize>) {
    let own = |t: usize| truths[t].category_id == detection.category_id;
    let near_own = best(row, own);
    // A box of the class that is taken and overlaps by exactly the foreground IoU counts as misplaced.
    if let Some((t, iou)) = near_own
        && (bounds.background()..=bounds.foreground()).contains(&iou)
    {
        return (ErrorKind::Localisation, Some(t));
    }
    if let Some((t, iou)) = best(row, |t| !own(t))
        && iou >= bounds.foreground()
    {
        return (ErrorKind::Class, Some(t));
    }
    // Were the box free, the detection would have matched it.
    if near_own.is_some_and(|(_, iou)| iou >= bounds.foreground()) {
        return (ErrorKind::Duplicate, None);
    }
    if best(row, |_| true).is_none_or(|(_, iou)| iou <= bounds.background()) {
        return (ErrorKind::Background, None);
    }
    (ErrorKind::Both, None)
}

/// Whether an unmatched detection lies in a region that does not count for its class.
fn is_ignored(detection: &Detection, image: &Image<'_>, bounds: &OverlapBounds) -> bool {
    let class = detection.category_id;
    let inside = |region: &&Annotation| {
        region.category_id == class && overlap_of(detection, region, true) > bounds.foreground()
    };
    image.open.as_ref().is_some_and(|open| open.contain(class)) || image.regions.iter().any(inside)
}
