//! Assigns detections to ground truth, one image and class at a time.

use super::{
    ground_truth::TruthBox,
    parameters::Planes,
    settings::{Plan, Rules},
};

/// Outcome of a detection in one plane: a bit stands for an IoU threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Outcome {
    /// Matched a ground-truth box.
    pub hit: u16,
    /// Counts neither as right nor as wrong.
    pub ignored: u16,
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
    planes: Planes,
    thresholds: Vec<f64>,
    /// The least threshold.
    least: f64,
    /// Smallest and largest area of each range.
    areas: Vec<[f64; 2]>,
    candidates: Vec<Candidate>,
    /// Where each detection's candidates start, and the end.
    starts: Vec<usize>,
    ignored: Vec<bool>,
    /// A bit for each threshold at which the box is taken.
    taken: Vec<u16>,
}

impl Matcher {
    pub(crate) fn new(plan: &Plan) -> Self {
        let thresholds: Vec<f64> = plan.iou_thresholds.iter().map(|t| t.min(1.0 - 1e-10)).collect();
        Self {
            rules: plan.rules,
            planes: plan.planes,
            least: thresholds.iter().copied().fold(f64::INFINITY, f64::min),
            thresholds,
            areas: plan.areas.iter().map(|area| [area.least, area.most]).collect(),
            candidates: Vec::new(),
            starts: Vec::new(),
            ignored: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// The least threshold: overlaps below need not be exact.
    pub(crate) fn least(&self) -> f64 {
        self.least
    }

    /// Outcomes of detections by descending score, appended to `outcomes`: of each detection one a plane. How
    /// many boxes count is appended to `countable`: one an area range. `sizes` are the detections' areas;
    /// `overlap(detection, truth, is_crowd)`; `not_exhaustive`: the image's boxes of the class may be
    /// incomplete.
    pub(crate) fn match_cell(
        &mut self,
        sizes: &[f64],
        truths: &[TruthBox],
        overlap: impl Fn(usize, usize, bool) -> f64,
        not_exhaustive: bool,
        outcomes: &mut Vec<Outcome>,
        countable: &mut Vec<u32>,
    ) {
        self.find_candidates(sizes.len(), truths, overlap);
        let (first, planes) = (outcomes.len(), self.planes.count());
        outcomes.resize(first + sizes.len() * planes, Outcome::default());
        let outcomes = &mut outcomes[first..];
        for area in 0..self.areas.len() {
            let [least, most] = self.areas[area];
            let outside = |size: f64| size < least || size > most;
            self.ignored.clear();
            self.ignored.extend(truths.iter().map(|t| {
                (self.rules.crowds && t.crowd) || (self.rules.ignore_field && t.ignore) || outside(t.area)
            }));
            countable.push(self.ignored.iter().filter(|i| !**i).count() as u32);
            for chunk in 0..self.planes.chunks() {
                let plane = area * self.planes.chunks() + chunk;
                let (thresholds, every) = (self.planes.thresholds(chunk), self.planes.every(chunk));
                self.taken.clear();
                self.taken.resize(truths.len(), 0);
                for (d, &size) in sizes.iter().enumerate() {
                    let candidates = self.starts[d]..self.starts[d + 1];
                    let mut outcome = self.match_detection(candidates, truths, thresholds.clone());
                    // Unmatched, a detection of another size or of an open list says nothing.
                    if not_exhaustive || outside(size) {
                        outcome.ignored |= !outcome.hit & every;
                    }
                    outcomes[d * planes + plane] = outcome;
                }
            }
        }
    }

    /// Every box that overlaps by the least threshold or more, in file order.
    #[expect(clippy::neg_cmp_op_on_partial_ord, reason = "NaN passes, as in the references")]
    fn find_candidates(
        &mut self,
        detections: usize,
        truths: &[TruthBox],
        overlap: impl Fn(usize, usize, bool) -> f64,
    ) {
        self.candidates.clear();
        self.starts.clear();
        self.starts.push(0);
        for detection in 0..detections {
            for (index, truth) in truths.iter().enumerate() {
                let overlap = overlap(detection, index, self.rules.crowds && truth.crowd);
                // Where areas overflow, the overlap is NaN.
                if !(overlap < self.least) {
                    self.candidates.push(Candidate { truth: index as u32, overlap });
                }
            }
            self.starts.push(self.candidates.len());
        }
    }

    /// The next detection, at the thresholds of a plane.
    #[expect(clippy::neg_cmp_op_on_partial_ord, reason = "NaN passes, as in the references")]
    fn match_detection(
        &mut self,
        candidates: std::ops::Range<usize>,
        truths: &[TruthBox],
        thresholds: std::ops::Range<usize>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let candidates = &self.candidates[candidates];
        if candidates.is_empty() {
            return outcome;
        }
        for (t, &threshold) in self.thresholds[thresholds].iter().enumerate() {
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
