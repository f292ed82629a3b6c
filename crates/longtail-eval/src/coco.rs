//! The COCO protocol (Lin et al., ECCV 2014; `pycocotools` 2.0.11) for boxes.

use std::collections::BTreeMap;

use longtail_data::AnnotationSet;
use rayon::prelude::*;

use crate::{
    accumulate::{Curves, mean_precision, mean_recall},
    detection::Detection,
    input::Cells,
    matching::{Matched, Rules, match_cell},
    numerics::{AREAS, IOU_75, IOU_COUNT},
    report::{CategoryResult, EvalReport, Metrics, SCHEMA_VERSION},
};

/// Detections an image and class, of three recalls; the last is that of all other metrics.
const CAPS: [usize; 3] = [1, 10, 100];

const RULES: Rules = Rules { crowds: true, ignore_field: false, cap: CAPS[2] };

/// A class: its curves in each area range at the full cap, and over all areas at the smaller caps.
struct Class {
    by_area: [Option<Curves>; AREAS.len()],
    by_cap: [Option<Curves>; 2],
    countable: u64,
    detections: u64,
}

pub(crate) fn evaluate(truth: &AnnotationSet, detections: &[Detection]) -> EvalReport {
    let cells = Cells::new(truth, truth.annotations.iter(), detections.iter());
    let classes: Vec<Class> = cells
        .by_category
        .par_iter()
        .map(|images| {
            let matched: Vec<[Matched; AREAS.len()]> =
                images.values().map(|c| match_cell(c, RULES)).collect();
            let curves = |area: usize, cap| Curves::of(matched.iter().map(move |m| &m[area]), cap);
            Class {
                by_area: std::array::from_fn(|area| curves(area, CAPS[2])),
                by_cap: std::array::from_fn(|cap| curves(0, CAPS[cap])),
                countable: matched.iter().map(|m| m[0].countable).sum(),
                detections: matched.iter().map(|m| m[0].outcomes.len() as u64).sum(),
            }
        })
        .collect();
    let in_area = |area: usize| classes.iter().filter_map(move |c| c.by_area[area].as_ref());
    let at_cap = |cap: usize| classes.iter().filter_map(move |c| c.by_cap[cap].as_ref());
    let metrics: [(&str, Option<f64>); 12] = [
        ("AP", mean_precision(in_area(0), 0..IOU_COUNT)),
        ("AP50", mean_precision(in_area(0), 0..1)),
        ("AP75", mean_precision(in_area(0), IOU_75..IOU_75 + 1)),
        ("APs", mean_precision(in_area(1), 0..IOU_COUNT)),
        ("APm", mean_precision(in_area(2), 0..IOU_COUNT)),
        ("APl", mean_precision(in_area(3), 0..IOU_COUNT)),
        ("AR@1", mean_recall(at_cap(0))),
        ("AR@10", mean_recall(at_cap(1))),
        ("AR@100", mean_recall(in_area(0))),
        ("ARs@100", mean_recall(in_area(1))),
        ("ARm@100", mean_recall(in_area(2))),
        ("ARl@100", mean_recall(in_area(3))),
    ];
    let mut metrics: Metrics = metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    // COCO has no frequency groups; a set that names them gets their means as well.
    for group in longtail_data::FrequencyGroup::ALL {
        let members =
            || classes.iter().zip(&cells.categories).filter(move |(_, c)| c.frequency == Some(group));
        if members().next().is_some() {
            let curves = members().filter_map(|(class, _)| class.by_area[0].as_ref());
            metrics.insert(format!("AP{}", group.letter()), mean_precision(curves, 0..IOU_COUNT));
        }
    }
    let per_category = cells
        .categories
        .iter()
        .zip(&classes)
        .map(|(category, class)| {
            let all = class.by_area[0].as_ref();
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
    EvalReport {
        schema_version: SCHEMA_VERSION,
        protocol: "coco".into(),
        provenance: BTreeMap::from([
            ("ground_truth".into(), truth.label()),
            ("max_detections".into(), CAPS[2].to_string()),
        ]),
        metrics,
        per_category,
    }
}
