//! Average precision by class, and what is reported.

use longtail_annotations::FrequencyGroup;
use rayon::prelude::*;

use super::{
    matching::{Outcome, match_cell},
    predictions::{OpenImagesPredictions, Row},
    truth::{Class, OpenImagesTruth},
};
use crate::{
    bins::ClassBins,
    error::EvalError,
    metric::{Measure, Metric, Metrics},
    numerics::sum,
    order::{counting_sort, descending},
    report::{CategoryResult, DetectionCounts, EvalReport, SCHEMA_VERSION},
};

/// Most predictions of an image and class.
const PER_CELL: usize = 10_000;

/// Matched predictions with the average precision of each class.
#[derive(Debug)]
pub struct OpenImagesEvaluation<'a> {
    truth: &'a OpenImagesTruth,
    group_of_weight: f64,
    detections: DetectionCounts,
    by_class: Vec<OfClass>,
}

/// Result of a class.
#[derive(Debug, Clone, Copy, PartialEq)]
struct OfClass {
    /// `None` without boxes that count.
    average_precision: Option<f64>,
    predictions: u64,
}

impl<'a> OpenImagesEvaluation<'a> {
    /// Matches predictions. A box around a group counts `group_of_weight` boxes, in `0..=1`: 1 in the
    /// challenge; with 0 it only absorbs predictions, as in the V2 metric.
    ///
    /// # Errors
    /// If the weight is out of range.
    pub fn new(predictions: &OpenImagesPredictions<'a>, group_of_weight: f64) -> Result<Self, EvalError> {
        if !(0.0..=1.0).contains(&group_of_weight) {
            return Err(EvalError::GroupOfWeight { weight: group_of_weight });
        }
        let (truth, rows) = (predictions.truth, &predictions.rows);
        let (starts, order) = counting_sort(rows.iter().map(|row| row.image), truth.images());
        let images: Vec<u32> = (0..truth.images() as u32).collect();
        // Classes and outcomes by image, then class; many images at once, so that a task is worth its start.
        let parts: Vec<(Vec<(u32, Outcome)>, u64)> = images
            .par_chunks(64)
            .map(|images| {
                let (mut found, mut over_cap) = (Vec::new(), 0);
                for &image in images {
                    let range = starts[image as usize] as usize..starts[image as usize + 1] as usize;
                    over_cap += match_image(truth, image, rows, &order[range], group_of_weight, &mut found);
                }
                (found, over_cap)
            })
            .collect();
        let outcomes = || parts.iter().flat_map(|(found, _)| found);
        let count: usize = parts.iter().map(|(found, _)| found.len()).sum();
        let mut class_of = Vec::with_capacity(count);
        class_of.extend(outcomes().map(|(class, _)| *class));
        let flat: Vec<Outcome> = outcomes().map(|(_, outcome)| *outcome).collect();
        let (starts, order) = counting_sort(class_of.iter().copied(), truth.classes.len());
        let mut predictions_of = vec![0; truth.classes.len()];
        rows.iter().for_each(|row| predictions_of[row.class as usize] += 1);
        let countable = truth.countable(group_of_weight);
        let of_class = |k: usize| {
            let list = &order[starts[k] as usize..starts[k + 1] as usize];
            let mut list: Vec<Outcome> = list.iter().map(|&index| flat[index as usize]).collect();
            let countable = countable[k];
            OfClass {
                average_precision: (countable > 0.0).then(|| average_precision(&mut list, countable)),
                predictions: predictions_of[k],
            }
        };
        let by_class = (0..truth.classes.len()).into_par_iter().map(of_class).collect();
        let over_cap = parts.iter().map(|(_, over_cap)| over_cap).sum();
        let detections = DetectionCounts {
            read: predictions.seen,
            scored: rows.len() as u64 - over_cap,
            over_cap,
            not_verified: predictions.seen - rows.len() as u64,
            ..DetectionCounts::default()
        };
        Ok(Self { truth, group_of_weight, detections, by_class })
    }

    /// `mAP50` over the classes, their frequency groups and bins, and `AP50` of each class.
    pub fn report(&self, bins: Option<&ClassBins>) -> EvalReport {
        let classes = &self.truth.classes;
        // The reference's array has a cell for every id from 1 on, and their number decides how the sum is
        // split.
        let most = classes.last().map_or(0, |class| class.id);
        let mut cells = vec![None; usize::try_from(most).unwrap_or(0)];
        for (class, of_class) in classes.iter().zip(&self.by_class) {
            if let Some(cell) = usize::try_from(class.id - 1).ok().and_then(|index| cells.get_mut(index)) {
                *cell = of_class.average_precision;
            }
        }
        let over_all = mean_average_precision(cells.into_iter());
        let mean = |member: &dyn Fn(&Class) -> bool| {
            let members = classes.iter().zip(&self.by_class).filter(|(class, _)| member(class));
            mean_average_precision(members.map(|(_, of_class)| of_class.average_precision))
        };
        let mut metrics = Metrics::from([(Metric::CHALLENGE_AP, over_all)]);
        for group in FrequencyGroup::ALL {
            if classes.iter().any(|class| class.frequency == Some(group)) {
                let of_group = mean(&|class| class.frequency == Some(group));
                metrics.insert(Metric::CHALLENGE_AP.of_group(group), of_group);
            }
        }
        if let Some(bins) = bins {
            for bin in 0..bins.count() {
                let metric = Metric { measure: Measure::ChallengePrecision, subset: bins.subset(bin) };
                metrics.insert(metric, mean(&|class| bins.of(class.id) == bin));
            }
        }
        let category = |(class, of_class): (&Class, &OfClass)| CategoryResult {
            category_id: class.id,
            name: class.name.clone(),
            label: Some(class.label.to_string()),
            frequency: class.frequency,
            ap: None,
            ap50: of_class.average_precision,
            ap75: None,
            ar: None,
            ground_truth: class.plain + if self.group_of_weight > 0.0 { class.groups } else { 0 },
            detections: of_class.predictions,
        };
        let provenance = [
            ("ground_truth", self.truth.label.clone()),
            ("group_of_weight", self.group_of_weight.to_string()),
            ("images", self.truth.images().to_string()),
        ];
        EvalReport {
            schema_version: SCHEMA_VERSION,
            protocol: "open-images".into(),
            provenance: provenance.map(|(name, value)| (name.to_owned(), value)).into(),
            metrics,
            detections: self.detections,
            per_category: classes.iter().zip(&self.by_class).map(category).collect(),
        }
    }
}

/// Matches the predictions of an image, at the indices `of_image` of `rows`; returns how many are over the
/// cap.
fn match_image(
    truth: &OpenImagesTruth,
    image: u32,
    rows: &[Row],
    of_image: &[u32],
    group_of_weight: f64,
    found: &mut Vec<(u32, Outcome)>,
) -> u64 {
    let mut order = of_image.to_vec();
    order.sort_unstable_by(|&a, &b| {
        let (first, second) = (&rows[a as usize], &rows[b as usize]);
        first.class.cmp(&second.class).then(descending(first.score, second.score)).then(b.cmp(&a))
    });
    let (mut outcomes, mut over_cap) = (Vec::new(), 0);
    for cell in order.chunk_by(|&a, &b| rows[a as usize].class == rows[b as usize].class) {
        let class = rows[cell[0] as usize].class;
        let best = cell.iter().take(PER_CELL).map(|&index| &rows[index as usize]);
        let predictions: Vec<_> = best.map(|row| (row.score, row.corners)).collect();
        over_cap += (cell.len() - predictions.len()) as u64;
        outcomes.clear();
        match_cell(&predictions, truth.boxes_of(image, class), group_of_weight, &mut outcomes);
        found.extend(outcomes.iter().map(|&outcome| (class, outcome)));
    }
    over_cap
}

/// Area below the curve of precision over recall, made non-increasing; `countable` > 0.
fn average_precision(rows: &mut [Outcome], countable: f64) -> f64 {
    // Of equal scores the later first.
    rows.reverse();
    rows.sort_by(|a, b| descending(a.score, b.score));
    let (mut right, mut wrong) = (0.0, 0.0);
    // Recall and precision, with a point in front and one behind.
    let mut points = Vec::with_capacity(rows.len() + 2);
    points.push((0.0, 0.0));
    for row in rows {
        right += row.label;
        wrong += f64::from(u8::from(row.label <= 0.0));
        points.push((right / countable, right / (right + wrong)));
    }
    points.push((1.0, 0.0));
    for k in (1..points.len()).rev() {
        points[k - 1].1 = f64::max(points[k - 1].1, points[k].1);
    }
    let steps = points.windows(2).filter(|pair| pair[1].0 != pair[0].0);
    sum(&steps.map(|pair| (pair[1].0 - pair[0].0) * pair[1].1).collect::<Vec<_>>())
}

/// Mean over the classes that have an average precision.
fn mean_average_precision(classes: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    // NumPy's `nanmean` adds 0 for the others, which decides how the sum is split.
    let mut count = 0;
    let values: Vec<f64> = classes
        .map(|value| {
            count += usize::from(value.is_some());
            value.unwrap_or(0.0)
        })
        .collect();
    (count > 0).then(|| sum(&values) / count as f64)
}
