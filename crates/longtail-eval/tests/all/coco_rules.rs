//! The COCO protocol on sets small enough to work out by hand.

use crate::common::{annotation, detection, image, named, set};
use longtail_annotations::AnnotationSet;
use longtail_eval::{Detection, EvalReport, Protocol, evaluate};

const BOX: [f64; 4] = [10.0, 10.0, 100.0, 100.0];
const ELSEWHERE: [f64; 4] = [300.0, 300.0, 100.0, 100.0];

fn score(truth: &AnnotationSet, detections: &[Detection]) -> EvalReport {
    evaluate(Protocol::Coco, truth, detections).unwrap()
}

#[test]
fn names_are_the_references_and_groups_are_added_where_the_set_has_them() {
    let mut truth = set(vec![image(1)], vec![]);
    let names = [
        "AP", "AP50", "AP75", "APs", "APm", "APl", "AR@1", "AR@10", "AR@100", "ARs@100", "ARm@100", "ARl@100",
    ];
    assert_eq!(score(&truth, &[]).metrics.len(), names.len() + 3);
    for category in &mut truth.categories {
        category.frequency = None;
    }
    let report = score(&truth, &[]);
    assert_eq!(report.metrics.keys().map(ToString::to_string).collect::<Vec<_>>(), names);
}

#[test]
fn federated_lists_are_not_needed_and_not_used() {
    let mut plain = image(1);
    plain.neg_category_ids = None;
    plain.not_exhaustive_category_ids = None;
    let truth = set(vec![plain, image(2)], vec![annotation(1, 1, 1, BOX)]);
    // A detection in an image without the class is wrong here, in LVIS it would not be seen.
    let detections = [detection(2, 1, BOX, 0.9), detection(1, 1, BOX, 0.5)];
    assert_eq!(score(&truth, &detections).metric(&named("AP50")), Some(0.5));
}

#[test]
fn a_crowd_absorbs_every_detection_inside() {
    let mut crowd = annotation(1, 1, 1, [0.0, 0.0, 400.0, 400.0]);
    crowd.iscrowd = true;
    let truth = set(vec![image(1)], vec![crowd, annotation(2, 1, 1, BOX)]);
    // Their IoU with the crowd is 1/16, but all of them lies inside.
    let inside = detection(1, 1, [200.0, 200.0, 100.0, 100.0], 0.9);
    let detections = [inside, inside, inside, detection(1, 1, BOX, 0.5)];
    let report = score(&truth, &detections);
    assert!(report.metric(&named("AP")).unwrap() > 0.99);
    assert_eq!(report.per_category[0].ground_truth, 1);
}

#[test]
fn the_ignore_field_has_no_effect() {
    let mut marked = annotation(1, 1, 1, BOX);
    marked.ignore = true;
    let report = score(&set(vec![image(1)], vec![marked]), &[]);
    assert_eq!((report.metric(&named("AP")), report.per_category[0].ground_truth), (Some(0.0), 1));
}

#[test]
fn empty_boxes_count() {
    let empty = [10.0, 10.0, 0.0, 0.0];
    let truth = set(vec![image(1)], vec![annotation(1, 1, 1, empty), annotation(2, 1, 2, BOX)]);
    let report = score(&truth, &[detection(1, 2, empty, 0.9), detection(1, 2, BOX, 0.5)]);
    assert_eq!(report.per_category[0].ap, Some(0.0), "nothing can match an empty box");
    assert_eq!(report.per_category[1].ap50, Some(0.5), "an empty detection is wrong");
}

#[test]
fn recalls_differ_by_cap() {
    let row = |i: usize| [150.0 * (i % 4) as f64, 150.0 * (i / 4) as f64, 100.0, 100.0];
    let truth = set(vec![image(1)], (0..12).map(|i| annotation(i as i64 + 1, 1, 1, row(i))).collect());
    let detections: Vec<Detection> =
        (0..12).map(|i| detection(1, 1, row(i), 1.0 - 0.01 * i as f64)).collect();
    let report = score(&truth, &detections);
    let recalls = ["AR@1", "AR@10", "AR@100"].map(|name| report.metric(&named(name)).unwrap());
    assert!((recalls[0] - 1.0 / 12.0).abs() < 1e-15, "{recalls:?}");
    assert!((recalls[1] - 10.0 / 12.0).abs() < 1e-15, "{recalls:?}");
    assert_eq!(recalls[2], 1.0);
}

#[test]
fn at_most_100_detections_of_an_image_and_class_take_part() {
    let truth = set(vec![image(1)], vec![annotation(1, 1, 1, BOX)]);
    let mut detections = vec![detection(1, 1, ELSEWHERE, 0.9); 99];
    detections.push(detection(1, 1, BOX, 0.5));
    assert_eq!(score(&truth, &detections).metric(&named("AR@100")), Some(1.0));
    detections.insert(0, detection(1, 1, ELSEWHERE, 0.9));
    let report = score(&truth, &detections);
    assert_eq!((report.metric(&named("AR@100")), report.per_category[0].detections), (Some(0.0), 100));
    // The cap is by class: those of another class take no place.
    let mut detections = vec![detection(1, 2, ELSEWHERE, 0.9); 200];
    detections.push(detection(1, 1, BOX, 0.5));
    assert_eq!(score(&truth, &detections).metric(&named("AR@100")), Some(1.0));
}
