//! The metrics that each protocol lists.

use longtail_annotations::FrequencyGroup;

use super::{
    accumulate::{Curves, mean_precision, mean_recall},
    curves::ClassCurves,
    ground_truth::Class,
    matches::{ByClass, Found, sorted},
    parameters::AreaRange,
    settings::Plan,
};
use crate::{
    bins::ClassBins,
    metric::{Area, Cap, Measure, Metric, Metrics, Subset},
};

/// An area range in the name of a metric.
fn subset(area: &AreaRange) -> Subset {
    if area.name == AreaRange::ALL { Subset::All } else { Subset::Area(Area::of(&area.name)) }
}

/// All IoU thresholds.
fn every(plan: &Plan) -> Vec<usize> {
    (0..plan.iou_thresholds.len()).collect()
}

/// AP by IoU and AP and AR by area.
fn by_area<'a, I: Iterator<Item = &'a Curves>>(plan: &Plan, in_area: impl Fn(usize) -> I) -> Metrics {
    let mut metrics = Metrics::from([
        (Metric::AP50, mean_precision(in_area(plan.whole), &plan.at_iou(0.5))),
        (Metric::AP75, mean_precision(in_area(plan.whole), &plan.at_iou(0.75))),
    ]);
    for (index, area) in plan.areas.iter().enumerate() {
        let metric = |measure| Metric { measure, subset: subset(area) };
        metrics.insert(metric(Measure::Precision), mean_precision(in_area(index), &every(plan)));
        metrics.insert(metric(Measure::Recall(plan.cap())), mean_recall(in_area(index)));
    }
    metrics
}

/// Classes of a frequency group, by index.
fn members(classes: &[Class], group: FrequencyGroup) -> impl Iterator<Item = usize> + Clone {
    classes.iter().enumerate().filter(move |(_, c)| c.frequency == Some(group)).map(|(k, _)| k)
}

/// AP of classes, over all areas.
fn over(plan: &Plan, curves: &ClassCurves, classes: impl Iterator<Item = usize>) -> Option<f64> {
    let of_class = |k: usize| curves.by_class[k].areas[plan.whole].as_ref();
    mean_precision(classes.filter_map(of_class), &every(plan))
}

/// The 13 numbers of LVIS, or the 12 of COCO. COCO has no frequency groups; a set that names them gets their
/// means as well.
pub(crate) fn of_classes(plan: &Plan, classes: &[Class], curves: &ClassCurves) -> Metrics {
    let mut metrics = by_area(plan, |area| curves.in_area(area));
    for (index, cap) in plan.caps.iter().rev().skip(1).rev().enumerate() {
        let at_cap = curves.by_class.iter().filter_map(|class| class.caps[index].as_ref());
        let measure = Measure::Recall(Cap::Detections(*cap as u64));
        metrics.insert(Metric { measure, subset: Subset::All }, mean_recall(at_cap));
    }
    for group in FrequencyGroup::ALL {
        if plan.federated || members(classes, group).next().is_some() {
            metrics.insert(Metric::AP.of_group(group), over(plan, curves, members(classes, group)));
        }
    }
    metrics
}

/// Pooled AP: the detections of all classes in one list, ties by image, then class.
pub(crate) fn pooled<'a>(
    plan: &Plan,
    classes: &[Class],
    matches: &ByClass<'_>,
    all: impl Iterator<Item = Found<'a>> + Clone,
) -> Metrics {
    let pool = |member: &dyn Fn(usize) -> bool, area: usize| {
        let countable: u64 =
            (0..matches.classes()).filter(|&k| member(k)).map(|k| matches.countable[k][area]).sum();
        let rows = all.clone().filter(|row| member(row.class as usize));
        (countable > 0).then(|| Curves::of(plan, &sorted(rows, usize::MAX), area, countable))
    };
    let areas: Vec<Option<Curves>> = (0..plan.areas.len()).map(|area| pool(&|_| true, area)).collect();
    let mut metrics = by_area(plan, |area| areas[area].iter());
    for group in FrequencyGroup::ALL {
        let curves = pool(&|k| classes[k].frequency == Some(group), plan.whole);
        metrics.insert(Metric::AP.of_group(group), mean_precision(curves.iter(), &every(plan)));
    }
    metrics
}

/// AP of each bin of classes.
pub(crate) fn by_bin(plan: &Plan, classes: &[Class], curves: &ClassCurves, bins: &ClassBins) -> Metrics {
    let of_bin = |bin: usize| {
        let members = classes.iter().enumerate().filter(move |(_, c)| bins.of(c.id) == bin);
        over(plan, curves, members.map(|(k, _)| k))
    };
    let metric = |bin| Metric { measure: Measure::Precision, subset: bins.subset(bin) };
    (0..bins.count()).map(|bin| (metric(bin), of_bin(bin))).collect()
}
