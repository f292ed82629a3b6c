//! Paired bootstrap over images: how certain the difference between detectors is.
//!
//! A resample draws as many images as there are, with repetition, and scores every detector on them; an image
//! drawn three times counts three times. Matches do not change, so a resample only weighs rows that are
//! matched and sorted once.

use longtail_annotations::FrequencyGroup;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use rustc_hash::FxHashSet;

use crate::{
    engine::annotations::{
        evaluation::Evaluation,
        matches::{ByClass, sorted},
        parameters::Planes,
        protocol::Protocol,
    },
    error::EvalError,
    metric::Metric,
};

/// Number of metrics.
pub(super) const COUNT: usize = 4;

/// Metrics of a resample, in the order of [`metrics`].
pub(super) type Values = [f64; COUNT];

/// What is resampled: AP, over all classes and over each frequency group.
pub(super) fn metrics() -> [Metric; COUNT] {
    Metric::AP.with_groups()
}

/// A row that says something at some threshold.
struct Row {
    image: u32,
    hit: u16,
    ignored: u16,
}

/// A class in the form in which resamples read it.
struct Class {
    /// For every 16 IoU thresholds, by descending score.
    chunks: Vec<Vec<Row>>,
    /// Images with countable boxes, and how many.
    countable: Vec<(u32, u32)>,
    group: Option<FrequencyGroup>,
}

/// A detector's matches, ready to be resampled.
pub(crate) struct Resampler {
    classes: Vec<Class>,
    images: usize,
    planes: Planes,
    recall_thresholds: Vec<f64>,
}

impl Resampler {
    /// # Errors
    /// If the protocol ranks classes in one list.
    pub(super) fn new(evaluation: &Evaluation) -> Result<Self, EvalError> {
        if evaluation.settings.protocol == Protocol::LvisPooled {
            return Err(EvalError::NoResampling { protocol: evaluation.settings.protocol });
        }
        let plan = &evaluation.plan;
        let by_class: ByClass<'_> = evaluation.matches.by_class(plan, evaluation.classes.len());
        let mut countable = vec![Vec::new(); evaluation.classes.len()];
        for (cell, counts) in evaluation.matches.countable.iter(plan.areas.len()) {
            if counts[plan.whole] > 0 {
                countable[cell.class as usize].push((cell.image, counts[plan.whole]));
            }
        }
        let class = |(k, countable): (usize, Vec<(u32, u32)>)| {
            let rows = sorted(by_class.rows(k), usize::MAX);
            let of_chunk = |chunk: usize| {
                let plane = plan.whole * plan.planes.chunks() + chunk;
                let rows = rows.iter().map(|m| (m.image, m.outcomes[plane]));
                let rows = rows.filter(|(_, o)| o.ignored != plan.planes.every(chunk));
                rows.map(|(image, o)| Row { image, hit: o.hit, ignored: o.ignored }).collect()
            };
            Class {
                chunks: (0..plan.planes.chunks()).map(of_chunk).collect(),
                countable,
                group: evaluation.classes[k].frequency,
            }
        };
        let classes = countable.into_par_iter().enumerate().map(class).collect();
        let (planes, recall_thresholds) = (plan.planes, plan.recall_thresholds.clone());
        Ok(Self { classes, images: evaluation.image_ids.len(), planes, recall_thresholds })
    }

    /// AP of every class with each image counted `weights[image]` times; `None` without countable ground
    /// truth.
    pub(super) fn classes(&self, weights: &[u32]) -> Vec<Option<f64>> {
        let mut memory = Memory::default();
        self.classes.iter().map(|class| self.average_precision(class, weights, &mut memory)).collect()
    }

    /// Mean over classes and over each frequency group; NaN where no class counts.
    pub(super) fn means(&self, classes: &[Option<f64>]) -> Values {
        let mean = |member: &dyn Fn(&Class) -> bool| {
            let values =
                self.classes.iter().zip(classes).filter(|(c, _)| member(c)).filter_map(|(_, ap)| *ap);
            let (sum, count) = values.fold((0.0, 0u32), |(sum, count), ap| (sum + ap, count + 1));
            sum / f64::from(count)
        };
        let group = |group| mean(&|class: &Class| class.group == Some(group));
        let [rare, common, frequent] = FrequencyGroup::ALL.map(group);
        [mean(&|_| true), rare, common, frequent]
    }

    pub(super) fn images(&self) -> usize {
        self.images
    }

    /// Images with countable ground truth of a class.
    pub(super) fn images_of(&self, class: usize) -> u64 {
        self.classes[class].countable.len() as u64
    }

    /// Images with countable ground truth of all classes, and of each frequency group.
    pub(super) fn images_of_metrics(&self) -> [u64; COUNT] {
        let count = |member: &dyn Fn(&Class) -> bool| {
            let classes = self.classes.iter().filter(|c| member(c));
            let images: FxHashSet<u32> =
                classes.flat_map(|c| c.countable.iter().map(|(image, _)| *image)).collect();
            images.len() as u64
        };
        let [rare, common, frequent] = FrequencyGroup::ALL.map(|g| count(&|c: &Class| c.group == Some(g)));
        [count(&|_| true), rare, common, frequent]
    }

    /// Mean precision over IoU and recall thresholds.
    fn average_precision(&self, class: &Class, weights: &[u32], memory: &mut Memory) -> Option<f64> {
        let weight = |image: u32| weights[image as usize];
        let countable: u32 = class.countable.iter().map(|&(image, count)| weight(image) * count).sum();
        if countable == 0 {
            return None;
        }
        let countable = f64::from(countable);
        let Memory { telling, points } = memory;
        let mut sum = 0.0;
        for (chunk, rows) in class.chunks.iter().enumerate() {
            telling.clear();
            let mut wrong_before = 0;
            for row in rows {
                let weight = weight(row.image);
                if row.hit | row.ignored == 0 {
                    wrong_before += weight;
                } else if weight > 0 {
                    telling.push((weight, wrong_before, row.hit, row.ignored));
                }
            }
            for t in 0..self.planes.thresholds(chunk).len() {
                let bit = 1u16 << t;
                let (mut right, mut wrong) = (0u32, 0u32);
                points.clear();
                for &(weight, wrong_before, hit, ignored) in telling.iter() {
                    if ignored & bit != 0 {
                        continue;
                    }
                    if hit & bit == 0 {
                        wrong += weight;
                    } else {
                        right += weight;
                        let (tp, fp) = (f64::from(right), f64::from(wrong_before + wrong));
                        points.push((right, tp / ((fp + tp) + f64::EPSILON)));
                    }
                }
                for k in (1..points.len()).rev() {
                    points[k - 1].1 = f64::max(points[k - 1].1, points[k].1);
                }
                let mut k = 0;
                for &threshold in &self.recall_thresholds {
                    while k < points.len() && f64::from(points[k].0) / countable < threshold {
                        k += 1;
                    }
                    let Some((_, precision)) = points.get(k) else { break };
                    sum += precision;
                }
            }
        }
        Some(sum / (self.planes.thresholds * self.recall_thresholds.len()) as f64)
    }
}

/// Memory to work in.
#[derive(Default)]
struct Memory {
    /// Rows that are drawn and not plainly wrong, with the weight of the plainly wrong ones before them.
    telling: Vec<(u32, u32, u16, u16)>,
    /// Weight of the right rows so far, and precision there.
    points: Vec<(u32, f64)>,
}

/// How often each of `images` images is drawn in a resample.
pub(crate) fn draw(images: usize, seed: u64, resample: u64) -> Vec<u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(resample);
    let mut weights = vec![0; images];
    for _ in 0..images {
        weights[rng.random_range(0..images)] += 1;
    }
    weights
}

#[cfg(test)]
mod tests {
    use longtail_annotations::{Annotation, AnnotationSet, Category, ImageRecord, Layout};

    use super::*;
    use crate::{Detection, Detections, GroundTruth, Settings, Shard};

    /// A set in which image i of `copies` is there `copies[i]` times; no two detections of an image score the
    /// same.
    fn evaluation(copies: &[u32]) -> Evaluation {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let (mut images, mut annotations, mut detections) = (Vec::new(), Vec::new(), Vec::new());
        for (image, &count) in copies.iter().enumerate() {
            let boxes: Vec<(i64, [f64; 4])> = (0..rng.random_range(1..6))
                .map(|_| {
                    let corner = [0, 1].map(|_| f64::from(rng.random_range(0..300)));
                    (rng.random_range(1..4), [corner[0], corner[1], 60.0, 40.0])
                })
                .collect();
            let found: Vec<(i64, [f64; 4], f64)> = (0..rng.random_range(1..9))
                .map(|_| {
                    let (class, [x, y, w, h]) = boxes[rng.random_range(0..boxes.len())];
                    let class = if rng.random_range(0..3) == 0 { rng.random_range(1..4) } else { class };
                    (class, [x + rng.random_range(0.0..20.0), y, w, h], rng.random_range(0.0..1.0))
                })
                .collect();
            for copy in 0..i64::from(count) {
                let image_id = 100 * image as i64 + copy;
                images.push(ImageRecord {
                    id: image_id,
                    file_name: String::new(),
                    width: 400,
                    height: 400,
                    neg_category_ids: Some(vec![1, 2]),
                    not_exhaustive_category_ids: Some(vec![3]),
                });
                for &(category_id, bbox) in &boxes {
                    let id = annotations.len() as i64 + 1;
                    let (area, iscrowd, ignore) = (None, false, false);
                    annotations.push(Annotation { id, image_id, category_id, bbox, area, iscrowd, ignore });
                }
                detections.extend(found.iter().map(|&(category_id, bbox, score)| Detection {
                    image_id,
                    category_id,
                    bbox,
                    score,
                }));
            }
        }
        let categories = (1..4).zip(FrequencyGroup::ALL);
        let categories =
            categories.map(|(id, group)| Category { id, name: id.to_string(), frequency: Some(group) });
        let set = AnnotationSet {
            path: None,
            layout: Layout::Lvis,
            images,
            annotations,
            categories: categories.collect(),
        };
        let truth = GroundTruth::new(&set).unwrap();
        let mut all = Detections::new(&truth, Shard::WHOLE);
        all.extend(&detections).unwrap();
        Evaluation::new(&all, &Settings::strict(Protocol::Lvis)).unwrap()
    }

    fn assert_close(found: Values, evaluation: &Evaluation) {
        let report = evaluation.report(None);
        for (found, metric) in found.into_iter().zip(metrics()) {
            let expected = report.metric(&metric).unwrap();
            assert!((found - expected).abs() < 1e-12, "{metric} is {found}, the protocol says {expected}");
        }
    }

    #[test]
    fn every_image_once_is_the_protocol() {
        let evaluation = evaluation(&[1; 30]);
        let resampler = Resampler::new(&evaluation).unwrap();
        assert_close(resampler.means(&resampler.classes(&[1; 30])), &evaluation);
    }

    #[test]
    fn a_weighted_image_counts_like_its_copies() {
        let resampler = Resampler::new(&evaluation(&[1; 30])).unwrap();
        for resample in 0..20 {
            let weights = draw(30, 7, resample);
            assert_eq!(weights.iter().sum::<u32>(), 30);
            // The set is drawn image by image, so that copies change nothing else.
            assert_close(resampler.means(&resampler.classes(&weights)), &evaluation(&weights));
        }
    }
}
