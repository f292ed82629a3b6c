//! Assigns detections to ground truth, one image and class at a time.

use crate::{
    ground_truth::TruthBox,
    numerics::{AREAS, IOU_COUNT, iou_thresholds},
};

/// Outcome of a detection in one area range: bit t stands for IoU threshold t.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Outcome {
    /// Matched a ground-truth box.
    pub hit: u16,
    /// Counts neither as right nor as wrong.
    pub ignored: u16,
}

/// A bit for every threshold.
pub(crate) const EVERY: u16 = (1 << IOU_COUNT) - 1;

/// What differs between the protocols.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Crowd regions match any number of detections, by the share of the detection inside.
    pub crowds: bool,
    /// Ground truth can be marked as ignored by its `ignore` field.
    pub ignore_field: bool,
    /// A match of the box with id 0 is a match; the references read it as none.
    pub corrected_ids: bool,
}

/// Overlap of a detection and a ground-truth box, x, y, width, height. For a crowd the union is the detection.
pub(crate) fn overlap(detection: &[f64; 4], truth: &[f64; 4], crowd: bool) -> f64 {
    let [dx, dy, dw, dh] = *detection;
    let [gx, gy, gw, gh] = *truth;
    let width = (dx + dw).min(gx + gw) - dx.max(gx);
    if width <= 0.0 {
        return 0.0;
    }
    let height = (dy + dh).min(gy + gh) - dy.max(gy);
    if height <= 0.0 {
        return 0.0;
    }
    let shared = width * height;
    let union = if crowd { dw * dh } else { dw * dh + gw * gh - shared };
    shared / union
}

/// A box that a detection could match.
#[derive(Clone, Copy)]
struct Candidate {
    truth: u32,
    overlap: f64,
}

/// Matches cells; holds the memory for it.
pub(crate) struct Matcher {
    rules: Rules,
    thresholds: [f64; IOU_COUNT],
    candidates: Vec<Candidate>,
    /// Where each detection's candidates start, and the end.
    starts: Vec<usize>,
    ignored: Vec<bool>,
    /// A bit for each threshold at which the box is taken.
    taken: Vec<u16>,
}

impl Matcher {
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            thresholds: iou_thresholds().map(|t| t.min(1.0 - 1e-10)),
            candidates: Vec::new(),
            starts: Vec::new(),
            ignored: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// Outcomes of detections by descending score, appended to `outcomes`, in every area range; and how many boxes
    /// count in each. `not_exhaustive`: the image's boxes of the class may be incomplete.
    pub fn match_cell(
        &mut self,
        detections: &[[f64; 4]],
        truths: &[TruthBox],
        not_exhaustive: bool,
        outcomes: &mut Vec<[Outcome; AREAS.len()]>,
    ) -> [u32; AREAS.len()] {
        self.find_candidates(detections, truths);
        let first = outcomes.len();
        outcomes.resize(first + detections.len(), [Outcome::default(); AREAS.len()]);
        let outcomes = &mut outcomes[first..];
        let mut countable = [0; AREAS.len()];
        for (area, [least, most]) in AREAS.into_iter().enumerate() {
            let outside = |size: f64| size < least || size > most;
            self.ignored.clear();
            self.ignored.extend(truths.iter().map(|t| {
                (self.rules.crowds && t.crowd) || (self.rules.ignore_field && t.ignore) || outside(t.area)
            }));
            countable[area] = self.ignored.iter().filter(|i| !**i).count() as u32;
            self.taken.clear();
            self.taken.resize(truths.len(), 0);
            for (d, bbox) in detections.iter().enumerate() {
                let mut outcome = self.match_detection(self.starts[d]..self.starts[d + 1], truths);
                // Unmatched, a detection of another size or of an open list says nothing.
                if not_exhaustive || outside(bbox[2] * bbox[3]) {
                    outcome.ignored |= !outcome.hit & EVERY;
                }
                outcomes[d][area] = outcome;
            }
        }
        countable
    }

    /// Every box that overlaps by the least threshold or more, in file order.
    #[expect(clippy::neg_cmp_op_on_partial_ord, reason = "NaN passes, as in the references")]
    fn find_candidates(&mut self, detections: &[[f64; 4]], truths: &[TruthBox]) {
        self.candidates.clear();
        self.starts.clear();
        self.starts.push(0);
        for bbox in detections {
            for (truth, place) in truths.iter().zip(0..) {
                let overlap = overlap(bbox, &truth.bbox, self.rules.crowds && truth.crowd);
                // Where areas overflow, the overlap is NaN.
                if !(overlap < self.thresholds[0]) {
                    self.candidates.push(Candidate { truth: place, overlap });
                }
            }
            self.starts.push(self.candidates.len());
        }
    }

    /// The next detection, at every threshold.
    #[expect(clippy::neg_cmp_op_on_partial_ord, reason = "NaN passes, as in the references")]
    fn match_detection(&mut self, candidates: std::ops::Range<usize>, truths: &[TruthBox]) -> Outcome {
        let mut outcome = Outcome::default();
        let candidates = &self.candidates[candidates];
        if candidates.is_empty() {
            return outcome;
        }
        for (t, threshold) in self.thresholds.into_iter().enumerate() {
            let bit = 1 << t;
            // Boxes that count come first; ignored ones only when none of those fits.
            let mut matched = None;
            for ignored in [false, true] {
                let mut best = threshold;
                for candidate in candidates {
                    let g = candidate.truth as usize;
                    let free = self.taken[g] & bit == 0 || (self.rules.crowds && truths[g].crowd);
                    // The later of equal overlaps.
                    if self.ignored[g] == ignored && free && !(candidate.overlap < best) {
                        best = candidate.overlap;
                        matched = Some(g);
                    }
                }
                if matched.is_some() {
                    break;
                }
            }
            let Some(g) = matched else { continue };
            self.taken[g] |= bit;
            if self.rules.corrected_ids || !truths[g].id_is_zero {
                outcome.hit |= bit;
            }
            if self.ignored[g] {
                outcome.ignored |= bit;
            }
        }
        outcome
    }
}
