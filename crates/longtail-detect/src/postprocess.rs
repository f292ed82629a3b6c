//! From scored boxes to detections: threshold, suppression, caps.

use rayon::prelude::*;

use crate::{
    boxes::{Xyxy, iou},
    config::{Suppression, TestConfig},
};

/// Candidates that are sorted at once: most images fill their cap from the first block.
const BLOCK: usize = 1 << 14;

/// Detections of an image, best first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Detections {
    /// x1, y1, x2, y2 in pixels of the original image.
    pub boxes: Vec<Xyxy>,
    /// Labels in `0..C`.
    pub labels: Vec<u32>,
    /// Scores in `0..=1`.
    pub scores: Vec<f32>,
}

/// Boxes of an image with a score for every class.
#[derive(Debug, Clone, Copy)]
pub struct ScoredBoxes<'a> {
    /// `[R]`, or `[R × C]` with a box for each class. Those without area are left out.
    pub boxes: &'a [Xyxy],
    /// `[R × C]`.
    pub scores: &'a [f32],
    /// C.
    pub classes: usize,
}

/// A detection: index in the scores, and the score, which soft-NMS has lowered.
pub type Kept = (usize, f32);

impl ScoredBoxes<'_> {
    /// The box of an index in the scores.
    pub fn box_of(&self, index: usize) -> Xyxy {
        let own = self.boxes.len() == self.scores.len();
        self.boxes[if own { index } else { index / self.classes }]
    }

    /// The class of an index in the scores.
    pub fn class_of(&self, index: usize) -> usize {
        index % self.classes
    }

    /// Detections, best first; equal scores keep the order of boxes and classes.
    pub fn select(&self, test: &TestConfig) -> Vec<Kept> {
        let mut candidates: Vec<(f32, u32)> = Vec::new();
        for (index, &score) in self.scores.iter().enumerate() {
            if score > test.score_threshold {
                candidates.push((score, index as u32));
            }
        }
        match test.suppression {
            Suppression::Hard => {
                hard(candidates, self.classes, |index| (self.box_of(index), self.class_of(index)), test)
            }
            Suppression::SoftGaussian { sigma, least } => {
                let decay = |overlap: f32| (-overlap * overlap / sigma).exp();
                self.soft(&candidates, test, least, &decay)
            }
            Suppression::SoftLinear { least } => {
                let decay = |overlap: f32| if overlap > test.nms_iou { 1.0 - overlap } else { 1.0 };
                self.soft(&candidates, test, least, &decay)
            }
        }
    }

    /// Soft-NMS: the best box is taken, the scores of the others shrink by their overlap with it, and again.
    fn soft(
        &self,
        candidates: &[(f32, u32)],
        test: &TestConfig,
        least: f32,
        decay: &(impl Fn(f32) -> f32 + Sync),
    ) -> Vec<Kept> {
        let groups = if test.class_agnostic_nms { 1 } else { self.classes };
        let mut by_group: Vec<Vec<(f32, u32)>> = vec![Vec::new(); groups];
        for &(score, index) in candidates {
            if has_area(&self.box_of(index as usize)) {
                by_group[if groups == 1 { 0 } else { self.class_of(index as usize) }].push((score, index));
            }
        }
        let mut all: Vec<(f32, u32)> = by_group
            .into_par_iter()
            .flat_map_iter(|mut open| {
                let mut taken = Vec::new();
                while let Some(best) = (0..open.len()).min_by(|&a, &b| best_first(&open[a], &open[b])) {
                    let (score, index) = open.swap_remove(best);
                    if score < least || taken.len() == test.max_detections {
                        break;
                    }
                    taken.push((score, index));
                    let winner = self.box_of(index as usize);
                    for (score, index) in &mut open {
                        *score *= decay(iou(&winner, &self.box_of(*index as usize)));
                    }
                    open.retain(|(score, _)| *score >= least && *score > 0.0);
                }
                taken
            })
            .collect();
        all.sort_unstable_by(best_first);
        let mut of_class = vec![0_usize; self.classes];
        let mut kept = Vec::new();
        for (score, index) in all {
            let class = self.class_of(index as usize);
            if kept.len() == test.max_detections {
                break;
            }
            if test.max_per_class == 0 || of_class[class] < test.max_per_class {
                of_class[class] += 1;
                kept.push((index as usize, score));
            }
        }
        kept
    }
}

/// Hard NMS over candidates, score and index; `box_and_class` tells what is at an index.
fn hard(
    mut candidates: Vec<(f32, u32)>,
    classes: usize,
    box_and_class: impl Fn(usize) -> (Xyxy, usize),
    test: &TestConfig,
) -> Vec<Kept> {
    let groups = if test.class_agnostic_nms { 1 } else { classes };
    let mut rivals: Vec<Vec<Xyxy>> = vec![Vec::new(); groups];
    let mut of_class = vec![0_usize; classes];
    let mut kept = Vec::with_capacity(test.max_detections.min(candidates.len()));
    let mut rest = candidates.as_mut_slice();
    while !rest.is_empty() && kept.len() < test.max_detections {
        let count = rest.len().min(BLOCK);
        if count < rest.len() {
            rest.select_nth_unstable_by(count, best_first);
        }
        let (block, later) = rest.split_at_mut(count);
        block.sort_unstable_by(best_first);
        for &(score, index) in &*block {
            if kept.len() == test.max_detections {
                break;
            }
            let (candidate, class) = box_and_class(index as usize);
            let full = test.max_per_class > 0 && of_class[class] == test.max_per_class;
            if full || !has_area(&candidate) {
                continue;
            }
            let rivals = &mut rivals[if groups == 1 { 0 } else { class }];
            if rivals.iter().all(|rival| iou(rival, &candidate) <= test.nms_iou) {
                rivals.push(candidate);
                of_class[class] += 1;
                kept.push((index as usize, score));
            }
        }
        rest = later;
    }
    kept
}

/// Detections of one image from those of its views: all compete in one more NMS, under the same caps.
pub fn merge(views: &[Detections], test: &TestConfig) -> Detections {
    let all: Vec<(Xyxy, u32, f32)> = views
        .iter()
        .flat_map(|view| view.boxes.iter().zip(&view.labels).zip(&view.scores))
        .map(|((corners, label), score)| (*corners, *label, *score))
        .collect();
    let candidates = all.iter().enumerate().map(|(index, (_, _, score))| (*score, index as u32)).collect();
    let classes = all.iter().map(|(_, label, _)| *label as usize + 1).max().unwrap_or(0);
    let kept = hard(candidates, classes, |index| (all[index].0, all[index].1 as usize), test);
    Detections {
        boxes: kept.iter().map(|&(index, _)| all[index].0).collect(),
        labels: kept.iter().map(|&(index, _)| all[index].1).collect(),
        scores: kept.iter().map(|&(_, score)| score).collect(),
    }
}

fn best_first(a: &(f32, u32), b: &(f32, u32)) -> std::cmp::Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

fn has_area(b: &Xyxy) -> bool {
    b[2] > b[0] && b[3] > b[1]
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::nms::{descending, suppress};

    /// Boxes in clusters, scores on a coarse grid so that there are ties.
    fn random(rois: usize, classes: usize, own: bool) -> (Vec<Xyxy>, Vec<f32>) {
        let mut generator = ChaCha8Rng::seed_from_u64(3);
        let boxes = (0..rois * if own { classes } else { 1 })
            .map(|i| {
                let centre = (i % 7) as f32 * 40.0;
                let mut near = || generator.random_range(-6.0..6.0_f32);
                [centre + near(), centre + near(), centre + 30.0 + near(), centre + 30.0 + near()]
            })
            .collect();
        let scores = (0..rois * classes).map(|_| generator.random_range(0..500) as f32 / 500.0).collect();
        (boxes, scores)
    }

    #[test]
    fn blocks_give_what_one_sort_gives() {
        for own in [false, true] {
            let (boxes, scores) = random(90, 400, own);
            let scored = ScoredBoxes { boxes: &boxes, scores: &scores, classes: 400 };
            let flat: Vec<Xyxy> = (0..scores.len()).map(|index| scored.box_of(index)).collect();
            let order: Vec<usize> = descending(&scores).into_iter().filter(|&p| scores[p] > 0.1).collect();
            for limit in [300, 1_000_000] {
                let test =
                    TestConfig { score_threshold: 0.1, max_detections: limit, ..TestConfig::default() };
                let found: Vec<usize> = scored.select(&test).into_iter().map(|(index, _)| index).collect();
                assert_eq!(found, suppress(&flat, &order, |index| index % 400, 0.5, limit));
            }
        }
    }

    const BOXES: [Xyxy; 3] = [[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 8.0], [50.0, 50.0, 50.0, 60.0]];

    #[test]
    fn caps_and_classes() {
        let scores = [0.9, 0.8, 0.7, 0.6, 0.95, 0.95];
        let scored = ScoredBoxes { boxes: &BOXES, scores: &scores, classes: 2 };
        let select = |test: TestConfig| scored.select(&test);
        let base = TestConfig::default();
        // The third box has no area; the second overlaps the first by 0.8.
        assert_eq!(select(base.clone()), [(0, 0.9), (1, 0.8)]);
        assert_eq!(select(TestConfig { class_agnostic_nms: true, ..base.clone() }), [(0, 0.9)]);
        let loose = TestConfig { nms_iou: 0.9, ..base };
        assert_eq!(select(loose.clone()).len(), 4);
        assert_eq!(select(TestConfig { max_per_class: 1, ..loose.clone() }), [(0, 0.9), (1, 0.8)]);
        assert_eq!(select(TestConfig { max_detections: 1, ..loose }), [(0, 0.9)]);
    }

    #[test]
    fn soft_nms_lowers_scores_by_its_formulas() {
        let scores = [0.9, 0.7, 0.99];
        let scored = ScoredBoxes { boxes: &BOXES, scores: &scores, classes: 1 };
        let select = |suppression| scored.select(&TestConfig { suppression, ..TestConfig::default() });
        let found = select(Suppression::SoftGaussian { sigma: 0.5, least: 0.001 });
        assert_eq!((found[0], found[1].0), ((0, 0.9), 1));
        assert!((found[1].1 - 0.7 * (-0.64_f32 / 0.5).exp()).abs() < 1e-6);
        let found = select(Suppression::SoftLinear { least: 0.001 });
        assert!((found[1].1 - 0.7 * 0.2).abs() < 1e-6);
        assert_eq!(select(Suppression::SoftLinear { least: 0.2 }).len(), 1);
    }

    #[test]
    fn views_compete() {
        let view = |boxes: &[Xyxy], labels: &[u32], scores: &[f32]| Detections {
            boxes: boxes.to_vec(),
            labels: labels.to_vec(),
            scores: scores.to_vec(),
        };
        let (a, b) = ([0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 9.0]);
        let views =
            [view(&[a, a], &[0, 1], &[0.9, 0.3]), view(&[b, [50.0, 0.0, 60.0, 9.0]], &[0, 0], &[0.95, 0.2])];
        let merged = merge(&views, &TestConfig::default());
        assert_eq!((merged.labels, merged.scores), (vec![0, 1, 0], vec![0.95, 0.3, 0.2]));
        let capped = TestConfig { max_detections: 2, max_per_class: 1, ..TestConfig::default() };
        assert_eq!(merge(&views, &capped).labels, [0, 1]);
    }
}
