//! The LVIS protocol on sets small enough to work out by hand.

use crate::common::{ONE, annotation, detection, federated_image, image, named, set};
use longtail_annotations::AnnotationSet;
use longtail_eval::{Detection, EvalReport, Protocol, evaluate};

/// Side of 100: neither small nor medium.
const BOX: [f64; 4] = [10.0, 10.0, 100.0, 100.0];
const ELSEWHERE: [f64; 4] = [300.0, 300.0, 100.0, 100.0];

fn score(truth: &AnnotationSet, detections: &[Detection]) -> EvalReport {
    evaluate(Protocol::Lvis, truth, detections).unwrap()
}

#[test]
fn names_are_the_references() {
    let report = score(&set(vec![image(1)], vec![]), &[]);
    let names = [
        "AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf", "AR@300", "ARs@300", "ARm@300",
        "ARl@300",
    ];
    assert_eq!(report.metrics.keys().map(ToString::to_string).collect::<Vec<_>>(), names);
    assert!(report.metrics.values().all(Option::is_none), "nothing is defined without ground truth");
}

#[test]
fn a_perfect_detection_scores_in_its_own_groups_only() {
    let truth = set(vec![image(1)], vec![annotation(1, 1, 2, BOX)]);
    let report = score(&truth, &[detection(1, 2, BOX, 0.9)]);
    for name in ["AP50", "AP75", "AP", "APl", "APc"] {
        let value = report.metric(&named(name)).unwrap();
        assert!((value - ONE).abs() <= f64::EPSILON, "{name} is {value}");
    }
    assert_eq!((report.metric(&named("AR@300")), report.metric(&named("ARl@300"))), (Some(1.0), Some(1.0)));
    for name in ["APs", "APm", "APr", "APf", "ARs@300", "ARm@300"] {
        assert_eq!(report.metric(&named(name)), None, "{name}");
    }
    let class = &report.per_category[1];
    assert_eq!((class.category_id, class.ground_truth, class.detections), (2, 1, 1));
    assert_eq!(report.per_category[0].ap, None);
}

#[test]
fn no_detection_scores_zero_and_is_defined() {
    let report = score(&set(vec![image(1)], vec![annotation(1, 1, 1, BOX)]), &[]);
    assert_eq!((report.metric(&named("AP")), report.metric(&named("AR@300"))), (Some(0.0), Some(0.0)));
    assert_eq!(report.per_category[0].ap, Some(0.0));
}

#[test]
fn only_verified_classes_are_penalised() {
    let truth =
        |absent: &[i64]| set(vec![image(1), federated_image(2, absent, &[])], vec![annotation(1, 1, 1, BOX)]);
    // The wrong detection of image 2 scores higher than the right one of image 1.
    let detections = [detection(1, 1, BOX, 0.5), detection(2, 1, BOX, 0.9)];
    let unverified = score(&truth(&[]), &detections);
    assert_eq!(
        unverified.metric(&named("AP50")),
        score(&truth(&[]), &detections[..1]).metric(&named("AP50"))
    );
    assert_eq!(unverified.per_category[0].detections, 1, "the other one is not seen");
    // 1 right of 2: every cell is 1/(1 + 1 + 2^-52), which rounds to 1/2.
    let negative = score(&truth(&[1]), &detections);
    assert_eq!(negative.metric(&named("AP50")), Some(0.5));
    assert_eq!(negative.per_category[0].detections, 2);
}

#[test]
fn not_exhaustive_classes_forgive_what_matches_nothing() {
    let truth = |open: &[i64]| set(vec![federated_image(1, &[], open)], vec![annotation(1, 1, 1, BOX)]);
    let detections = [detection(1, 1, ELSEWHERE, 0.9), detection(1, 1, BOX, 0.5)];
    assert_eq!(score(&truth(&[]), &detections).metric(&named("AP50")), Some(0.5));
    assert!(score(&truth(&[1]), &detections).metric(&named("AP50")).unwrap() > 0.99);
}

#[test]
fn recall_of_half_fills_51_of_101_cells() {
    let truth = set(vec![image(1)], vec![annotation(1, 1, 1, BOX), annotation(2, 1, 1, ELSEWHERE)]);
    let report = score(&truth, &[detection(1, 1, BOX, 0.5)]);
    let ap = report.metric(&named("AP50")).unwrap();
    assert!((ap - 51.0 / 101.0).abs() < 1e-15, "{ap}");
    assert_eq!(report.metric(&named("AR@300")), Some(0.5));
}

#[test]
fn overlap_of_exactly_a_half_matches_at_the_first_threshold_only() {
    let truth = set(vec![image(1)], vec![annotation(1, 1, 1, BOX)]);
    let report = score(&truth, &[detection(1, 1, [10.0, 10.0, 100.0, 50.0], 0.5)]);
    assert!(report.metric(&named("AP50")).unwrap() > 0.99);
    assert_eq!(report.metric(&named("AP75")), Some(0.0));
    assert_eq!(report.metric(&named("AR@300")), Some(0.1), "1 of 10 thresholds");
}

#[test]
fn areas_include_both_ends() {
    let square = [0.0, 0.0, 32.0, 32.0];
    let truth = set(vec![image(1)], vec![annotation(1, 1, 1, square)]);
    let report = score(&truth, &[detection(1, 1, square, 0.5)]);
    assert_eq!((report.metric(&named("ARs@300")), report.metric(&named("ARm@300"))), (Some(1.0), Some(1.0)));
    assert_eq!(report.metric(&named("ARl@300")), None);
}

#[test]
fn the_area_field_decides_not_the_box() {
    let mut annotation = annotation(1, 1, 1, BOX);
    annotation.area = Some(100.0);
    let report = score(&set(vec![image(1)], vec![annotation.clone()]), &[detection(1, 1, BOX, 0.5)]);
    assert_eq!((report.metric(&named("ARs@300")), report.metric(&named("ARl@300"))), (Some(1.0), None));
    // Area 0 takes no part at all, so the class is not even verified in the image.
    annotation.area = Some(0.0);
    let report = score(&set(vec![image(1)], vec![annotation]), &[detection(1, 1, BOX, 0.5)]);
    assert_eq!((report.metric(&named("AP")), report.per_category[0].detections), (None, 0));
}

#[test]
fn ignored_boxes_absorb_one_detection() {
    let mut ignored = annotation(1, 1, 1, ELSEWHERE);
    ignored.ignore = true;
    let truth = set(vec![image(1)], vec![ignored, annotation(2, 1, 1, BOX)]);
    let absorbed = detection(1, 1, ELSEWHERE, 0.9);
    let right = detection(1, 1, BOX, 0.5);
    let report = score(&truth, &[absorbed, right]);
    assert!(report.metric(&named("AP50")).unwrap() > 0.99);
    assert_eq!(report.per_category[0].ground_truth, 1);
    // A second one on the ignored box is wrong: no crowds in LVIS.
    assert_eq!(score(&truth, &[absorbed, absorbed, right]).metric(&named("AP50")), Some(0.5));
}

#[test]
fn of_equal_overlaps_the_later_box_is_taken() {
    // The first detection overlaps both boxes by the same two thirds; the second fits one of them.
    let (left, right) = ([0.0, 0.0, 100.0, 100.0], [40.0, 0.0, 100.0, 100.0]);
    let truth = set(vec![image(1)], vec![annotation(1, 1, 1, left), annotation(2, 1, 1, right)]);
    let between = detection(1, 1, [20.0, 0.0, 100.0, 100.0], 0.9);
    let on = |bbox| detection(1, 1, bbox, 0.5);
    // Both overlaps are 80/120, above 0.5 and 0.65 but not 0.7.
    let report = |bbox| score(&truth, &[between, on(bbox)]).metric(&named("AP50")).unwrap();
    assert!(report(left) > 0.99, "the earlier box is still free");
    assert!(report(right) < 0.6, "the later box is taken");
}

#[test]
fn annotation_id_zero_reads_as_no_match() {
    let truth = |id| set(vec![image(1)], vec![annotation(id, 1, 1, BOX)]);
    let detections = [detection(1, 1, BOX, 0.5)];
    assert_eq!(score(&truth(0), &detections).metric(&named("AP")), Some(0.0));
    assert!(score(&truth(-1), &detections).metric(&named("AP")).unwrap() > 0.99);
}

#[test]
fn the_cap_counts_all_classes_and_comes_first() {
    let truth = set(vec![image(1)], vec![annotation(1, 1, 1, BOX)]);
    let right = detection(1, 1, BOX, 0.5);
    // Class 3 is not verified here, and class 99 does not exist; both use up places.
    for other in [3, 99] {
        let mut detections = vec![detection(1, other, ELSEWHERE, 0.9); 299];
        detections.push(right);
        assert!(score(&truth, &detections).metric(&named("AP")).unwrap() > 0.99);
        detections.insert(0, detection(1, other, ELSEWHERE, 0.9));
        assert_eq!(score(&truth, &detections).metric(&named("AP")), Some(0.0));
    }
}

#[test]
fn ties_keep_the_order_of_images_and_zero_equals_minus_zero() {
    let images = vec![federated_image(7, &[1], &[]), image(2)];
    let truth = set(images, vec![annotation(1, 2, 1, BOX)]);
    // Right in image 2, wrong in image 7: the smaller id comes first, whatever the order of the files.
    for (right, wrong) in [(0.5, 0.5), (-0.0, 0.0), (0.0, -0.0)] {
        let report = score(&truth, &[detection(7, 1, BOX, wrong), detection(2, 1, BOX, right)]);
        assert!(report.metric(&named("AP50")).unwrap() > 0.99, "scores {right} and {wrong}");
    }
}
