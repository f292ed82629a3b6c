//! The LVIS protocol (Gupta et al., CVPR 2019; PyPI `lvis` 0.5.3) for boxes.

use std::collections::BTreeMap;

use longtail_data::{AnnotationSet, FrequencyGroup};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    accumulate::{Curves, mean_precision, mean_recall},
    detection::Detection,
    error::EvalError,
    input::{Cells, detection_area, truth_area},
    matching::{Matched, Rules, match_cell},
    numerics::{AREAS, IOU_75, IOU_COUNT, descending},
    report::{CategoryResult, EvalReport, Metrics, SCHEMA_VERSION},
};

/// Detections an image, over all classes.
const MAX_DETECTIONS: usize = 300;

const RULES: Rules = Rules { crowds: false, ignore_field: true, cap: usize::MAX };

/// A class: its curves in each area range.
struct Class {
    curves: [Option<Curves>; AREAS.len()],
    countable: u64,
    detections: u64,
}

pub(crate) fn evaluate(truth: &AnnotationSet, detections: &[Detection]) -> Result<EvalReport, EvalError> {
    let (negative, not_exhaustive) = federated(truth)?;
    let capped = cap_by_image(detections);
    let counts = |area: f64| area > 0.0 && area.is_finite();
    let annotations = truth.annotations.iter().filter(|a| counts(truth_area(a)));
    // A class is scored in an image where it is annotated or verified absent.
    let mut verified: FxHashSet<(i64, i64)> =
        annotations.clone().map(|a| (a.image_id, a.category_id)).collect();
    verified.extend(negative);
    let scored = capped
        .into_iter()
        .filter(|d| counts(detection_area(d)) && verified.contains(&(d.image_id, d.category_id)));
    let mut cells = Cells::new(truth, annotations, scored);
    for (category, images) in cells.categories.iter().zip(&mut cells.by_category) {
        for (image, cell) in images.iter_mut() {
            cell.not_exhaustive = not_exhaustive.contains(&(*image, category.id));
        }
    }

    let classes: Vec<Class> = cells
        .by_category
        .par_iter()
        .map(|images| {
            let matched: Vec<[Matched; AREAS.len()]> =
                images.values().map(|c| match_cell(c, RULES)).collect();
            let curves = std::array::from_fn(|area| Curves::of(matched.iter().map(|m| &m[area]), usize::MAX));
            Class {
                curves,
                countable: matched.iter().map(|m| m[0].countable).sum(),
                detections: images.values().map(|c| c.detections.len() as u64).sum(),
            }
        })
        .collect();

    let in_area = |area: usize| classes.iter().filter_map(move |c| c.curves[area].as_ref());
    let in_group = |group: FrequencyGroup| {
        let members = classes.iter().zip(&cells.categories).filter(move |(_, c)| c.frequency == Some(group));
        mean_precision(members.filter_map(|(class, _)| class.curves[0].as_ref()), 0..IOU_COUNT)
    };
    let metrics: [(&str, Option<f64>); 13] = [
        ("AP", mean_precision(in_area(0), 0..IOU_COUNT)),
        ("AP50", mean_precision(in_area(0), 0..1)),
        ("AP75", mean_precision(in_area(0), IOU_75..IOU_75 + 1)),
        ("APs", mean_precision(in_area(1), 0..IOU_COUNT)),
        ("APm", mean_precision(in_area(2), 0..IOU_COUNT)),
        ("APl", mean_precision(in_area(3), 0..IOU_COUNT)),
        ("APr", in_group(FrequencyGroup::Rare)),
        ("APc", in_group(FrequencyGroup::Common)),
        ("APf", in_group(FrequencyGroup::Frequent)),
        ("AR@300", mean_recall(in_area(0))),
        ("ARs@300", mean_recall(in_area(1))),
        ("ARm@300", mean_recall(in_area(2))),
        ("ARl@300", mean_recall(in_area(3))),
    ];
    let per_category = cells
        .categories
        .iter()
        .zip(&classes)
        .map(|(category, class)| {
            let all = class.curves[0].as_ref();
            CategoryResult {
                category_id: category.id,
                name: category.name.clone(),
                frequency: category.frequency,
                ap: all.and_then(|c| c.average_precision(0..IOU_COUNT)),
                ap50: all.and_then(|c| c.average_precision(0..1)),
                ap75: all.and_then(|c| c.average_precision(IOU_75..IOU_75 + 1)),
                ar: all.and_then(Curves::average_recall),
                ground_truth: class.countable,
                detections: class.detections,
            }
        })
        .collect();
    Ok(EvalReport {
        schema_version: SCHEMA_VERSION,
        protocol: "lvis".into(),
        provenance: BTreeMap::from([
            ("ground_truth".into(), truth.label()),
            ("max_detections".into(), MAX_DETECTIONS.to_string()),
        ]),
        metrics: metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Metrics>(),
        per_category,
    })
}

type Pairs = FxHashSet<(i64, i64)>;

/// Pairs of image and category that are verified absent, and that are not exhaustively annotated.
fn federated(truth: &AnnotationSet) -> Result<(Pairs, Pairs), EvalError> {
    let (mut negative, mut not_exhaustive) = (Pairs::default(), Pairs::default());
    for image in &truth.images {
        let missing = |field: &str| EvalError::GroundTruth {
            set: truth.label(),
            reason: format!(
                "image {} has no `{field}`, which the LVIS protocol needs; score COCO ground truth with \
                 --protocol coco",
                image.id
            ),
        };
        let absent = image.neg_category_ids.as_ref().ok_or_else(|| missing("neg_category_ids"))?;
        negative.extend(absent.iter().map(|&id| (image.id, id)));
        let open = image.not_exhaustive_category_ids.as_ref();
        let open = open.ok_or_else(|| missing("not_exhaustive_category_ids"))?;
        not_exhaustive.extend(open.iter().map(|&id| (image.id, id)));
    }
    Ok((negative, not_exhaustive))
}

/// Images with more detections than the cap keep the best, in order of score; the others keep file order.
fn cap_by_image(detections: &[Detection]) -> Vec<&Detection> {
    let mut place: FxHashMap<i64, usize> = FxHashMap::default();
    let mut images: Vec<Vec<&Detection>> = Vec::new();
    for detection in detections {
        let place = *place.entry(detection.image_id).or_insert_with(|| {
            images.push(Vec::new());
            images.len() - 1
        });
        images[place].push(detection);
    }
    for image in images.iter_mut().filter(|image| image.len() > MAX_DETECTIONS) {
        image.sort_by(|a, b| descending(a.score, b.score));
        image.truncate(MAX_DETECTIONS);
    }
    images.into_iter().flatten().collect()
}
