//! The metrics that each protocol lists.

use longtail_annotations::FrequencyGroup;

use crate::{
    accumulate::{Curves, mean_precision, mean_recall},
    bins::ClassBins,
    evaluation::{ClassCurves, Evaluation},
    matches::{ByClass, sorted},
    numerics::{IOU_75, IOU_COUNT},
    protocol::COCO_CAPS,
    report::Metrics,
};

/// Names of the AP and AR of the area ranges.
const AREA_LETTERS: [&str; 4] = ["", "s", "m", "l"];

/// AP by IoU and by area.
fn precisions<'a, I: Iterator<Item = &'a Curves>>(in_area: impl Fn(usize) -> I) -> Metrics {
    let mut metrics = Metrics::from([
        ("AP50".to_owned(), mean_precision(in_area(0), 0..1)),
        ("AP75".to_owned(), mean_precision(in_area(0), IOU_75..IOU_75 + 1)),
    ]);
    for (area, letter) in AREA_LETTERS.into_iter().enumerate() {
        metrics.insert(format!("AP{letter}"), mean_precision(in_area(area), 0..IOU_COUNT));
    }
    metrics
}

/// AR by area; `cap` is the name of the cap.
fn recalls(curves: &ClassCurves, cap: &str) -> impl Iterator<Item = (String, Option<f64>)> {
    let name = move |letter: &str| format!("AR{letter}@{cap}");
    AREA_LETTERS
        .into_iter()
        .enumerate()
        .map(move |(area, letter)| (name(letter), mean_recall(curves.in_area(area))))
}

/// AP of classes, over all areas.
fn over(curves: &ClassCurves, classes: impl Iterator<Item = usize>) -> Option<f64> {
    mean_precision(classes.filter_map(|k| curves.by_class[k].areas[0].as_ref()), 0..IOU_COUNT)
}

/// The 13 numbers of LVIS.
pub(crate) fn lvis(evaluation: &Evaluation, curves: &ClassCurves) -> Metrics {
    let mut metrics = precisions(|area| curves.in_area(area));
    metrics.extend(recalls(curves, &evaluation.settings.cap_name()));
    for group in FrequencyGroup::ALL {
        metrics.insert(format!("AP{}", group.letter()), over(curves, evaluation.group(group)));
    }
    metrics
}

/// The 12 numbers of COCO. It has no frequency groups; a set that names them gets their means as well.
pub(crate) fn coco(evaluation: &Evaluation, curves: &ClassCurves) -> Metrics {
    let mut metrics = precisions(|area| curves.in_area(area));
    metrics.extend(recalls(curves, &evaluation.settings.cap_name()));
    for (place, cap) in COCO_CAPS[..2].iter().enumerate() {
        let at_cap = curves.by_class.iter().filter_map(|class| class.caps[place].as_ref());
        metrics.insert(format!("AR@{cap}"), mean_recall(at_cap));
    }
    for group in FrequencyGroup::ALL {
        let members = evaluation.group(group);
        if members.clone().next().is_some() {
            metrics.insert(format!("AP{}", group.letter()), over(curves, members));
        }
    }
    metrics
}

/// Pooled AP: the detections of all classes in one list, ties by image, then class.
pub(crate) fn pooled(evaluation: &Evaluation, matches: &ByClass<'_>) -> Metrics {
    let pool = |member: &dyn Fn(usize) -> bool, area: usize| {
        let countable: u64 =
            (0..matches.classes()).filter(|&k| member(k)).map(|k| matches.countable[k][area]).sum();
        let rows = evaluation.matches.rows().filter(|row| member(row.class as usize));
        (countable > 0).then(|| Curves::of(&sorted(rows, None), area, countable))
    };
    let areas: [Option<Curves>; AREA_LETTERS.len()] = std::array::from_fn(|area| pool(&|_| true, area));
    let mut metrics = precisions(|area| areas[area].iter());
    let cap = evaluation.settings.cap_name();
    for (curves, letter) in areas.iter().zip(AREA_LETTERS) {
        metrics.insert(format!("AR{letter}@{cap}"), mean_recall(curves.iter()));
    }
    for group in FrequencyGroup::ALL {
        let curves = pool(&|k| evaluation.classes[k].frequency == Some(group), 0);
        metrics.insert(format!("AP{}", group.letter()), mean_precision(curves.iter(), 0..IOU_COUNT));
    }
    metrics
}

/// AP of each bin of classes.
pub(crate) fn by_bin(evaluation: &Evaluation, curves: &ClassCurves, bins: &ClassBins) -> Metrics {
    let of_bin = |bin: usize| {
        let members = evaluation.classes.iter().enumerate().filter(move |(_, c)| bins.of(c.id) == bin);
        over(curves, members.map(|(k, _)| k))
    };
    (0..bins.count()).map(|bin| (format!("AP[{}]", bins.name(bin)), of_bin(bin))).collect()
}
