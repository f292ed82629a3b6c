//! The rules of the error analysis, one case at a time.

use std::num::NonZeroUsize;

use crate::common::{annotation, detection, federated_image, image, set};
use longtail_annotations::{AnnotationSet, FrequencyGroup};
use longtail_eval::{
    Detection, EvalError,
    analysis::errors::{BoundsError, ErrorKind, ErrorOptions, ErrorReport, OverlapBounds, error_analysis},
};

/// A set of the boxes in one image, 1, exhaustively annotated: all three classes are verified.
fn one_image(boxes: &[(i64, [f64; 4])]) -> AnnotationSet {
    let annotations = (1..).zip(boxes).map(|(id, &(class, bbox))| annotation(id, 1, class, bbox));
    set(vec![federated_image(1, &[1, 2, 3], &[])], annotations.collect())
}

fn analyse(truth: &AnnotationSet, detections: &[Detection]) -> ErrorReport {
    error_analysis(truth, detections, &ErrorOptions::coco()).unwrap()
}

/// Counts in the order of the kinds.
fn counts(report: &ErrorReport) -> [u64; 6] {
    ErrorKind::ALL.map(|kind| report.counts.errors[&kind].count)
}

/// Gains in the order of the kinds, where they are above 0.
fn gains(report: &ErrorReport) -> Vec<(ErrorKind, f64)> {
    report.delta_ap.iter().filter_map(|(&kind, gain)| gain.filter(|&g| g > 0.0).map(|g| (kind, g))).collect()
}

const BOX: [f64; 4] = [0.0, 0.0, 100.0, 100.0];
const FAR: [f64; 4] = [300.0, 300.0, 100.0, 100.0];
/// IoU 0.3 with [`BOX`].
const PART: [f64; 4] = [0.0, 0.0, 30.0, 100.0];

#[test]
fn right_detections_leave_nothing_to_mend() {
    let report =
        analyse(&one_image(&[(1, BOX), (2, FAR)]), &[detection(1, 1, BOX, 0.9), detection(1, 2, FAR, 0.2)]);
    assert_eq!((report.ap, counts(&report)), (Some(1.0), [0; 6]));
    assert_eq!((report.counts.ground_truth, report.counts.correct), (2, 2));
    assert!(report.delta_ap.values().all(|&gain| gain == Some(0.0)));
    assert!(report.counts.errors.values().all(|error| error.share.is_none()));
}

#[test]
fn wrong_class() {
    // Class 2 has no ground truth and counts as 0 until its detection becomes one of class 1.
    let report = analyse(&one_image(&[(1, BOX)]), &[detection(1, 2, BOX, 0.9)]);
    assert_eq!(counts(&report), [1, 0, 0, 0, 0, 0]);
    assert_eq!(report.ap, Some(0.0));
    assert_eq!(gains(&report), [(ErrorKind::Class, 1.0)]);
    let tally = |class: usize| (report.by_class[class].category_id, report.by_class[class].counts.total());
    assert_eq!([tally(0), tally(1), tally(2)], [(1, 0), (2, 1), (3, 0)], "counted for the class it claims");
    assert_eq!(report.by_frequency[&FrequencyGroup::Common].errors[&ErrorKind::Class].share, Some(1.0));
    assert_eq!(report.by_frequency[&FrequencyGroup::Rare].errors[&ErrorKind::Class].share, None);
}

#[test]
fn wrong_place() {
    let report = analyse(&one_image(&[(1, BOX)]), &[detection(1, 1, PART, 0.9)]);
    assert_eq!(counts(&report), [0, 1, 0, 0, 0, 0]);
    assert_eq!(gains(&report), [(ErrorKind::Localisation, 1.0)]);
}

#[test]
fn wrong_class_and_place() {
    // The box is not mended by it, and so it is missed too.
    let report = analyse(&one_image(&[(1, BOX)]), &[detection(1, 2, PART, 0.9)]);
    assert_eq!(counts(&report), [0, 0, 1, 0, 0, 1]);
    // Without the detection class 1 is alone, still at 0; without the box class 2 is, at 0 too.
    assert_eq!(gains(&report), []);
}

#[test]
fn duplicate() {
    let truth = one_image(&[(1, BOX), (1, FAR)]);
    let report =
        analyse(&truth, &[detection(1, 1, BOX, 0.9), detection(1, 1, BOX, 0.8), detection(1, 1, FAR, 0.7)]);
    assert_eq!(counts(&report), [0, 0, 0, 1, 0, 0]);
    // Precision is 1 up to recall 0.5 (51 of 101 points) and 2/3 beyond.
    let ap = (51.0 + 50.0 * 2.0 / 3.0) / 101.0;
    assert!((report.ap.unwrap() - ap).abs() < 1e-12);
    let [(ErrorKind::Duplicate, gain)] = gains(&report)[..] else { panic!("{:?}", report.delta_ap) };
    assert!((gain - (1.0 - ap)).abs() < 1e-12);
    // Ranked last, the duplicate does no harm either.
    assert!((report.false_positives_delta_ap.unwrap() - (1.0 - ap)).abs() < 1e-12);
}

#[test]
fn background() {
    let truth = one_image(&[(1, BOX)]);
    let report = analyse(&truth, &[detection(1, 1, FAR, 0.9), detection(1, 1, BOX, 0.8)]);
    assert_eq!((report.ap, counts(&report)), (Some(0.5), [0, 0, 0, 0, 1, 0]));
    assert_eq!(gains(&report), [(ErrorKind::Background, 0.5)]);
    assert_eq!(report.false_positives_delta_ap, Some(0.5));
    assert_eq!(report.false_negatives_delta_ap, Some(0.0));
}

#[test]
fn missed() {
    let truth = one_image(&[(1, BOX), (1, FAR)]);
    let report = analyse(&truth, &[detection(1, 1, BOX, 0.9)]);
    assert_eq!(counts(&report), [0, 0, 0, 0, 0, 1]);
    let ap = 51.0 / 101.0;
    assert!((report.ap.unwrap() - ap).abs() < 1e-12);
    let [(ErrorKind::Missed, gain)] = gains(&report)[..] else { panic!("{:?}", report.delta_ap) };
    assert!((gain - (1.0 - ap)).abs() < 1e-12);
    assert_eq!(report.false_negatives_delta_ap, Some(gain));
    assert_eq!(report.by_frequency[&FrequencyGroup::Rare].errors[&ErrorKind::Missed].count, 1);
}

#[test]
fn only_the_best_error_of_a_box_is_mended() {
    let detections = [detection(1, 1, PART, 0.5), detection(1, 1, PART, 0.9), detection(1, 2, BOX, 0.7)];
    let report = analyse(&one_image(&[(1, BOX)]), &detections);
    assert_eq!(counts(&report), [1, 2, 0, 0, 0, 0]);
    // The misplaced one of 0.9 becomes the match and the other goes; class 2 stays at 0. The error of class
    // is not the box's best: mending it only takes it away.
    assert_eq!(gains(&report), [(ErrorKind::Localisation, 0.5)]);
}

#[test]
fn a_taken_box_at_exactly_the_foreground_iou_is_misplaced() {
    let half = [0.0, 0.0, 50.0, 100.0];
    let detections = [detection(1, 1, BOX, 0.9), detection(1, 1, half, 0.8)];
    assert_eq!(counts(&analyse(&one_image(&[(1, BOX)]), &detections)), [0, 1, 0, 0, 0, 0]);
    // A free box is matched at that IoU.
    assert_eq!(counts(&analyse(&one_image(&[(1, BOX)]), &detections[1..])), [0; 6]);
}

#[test]
fn of_equal_overlaps_the_first_box_in_the_file_is_matched() {
    // Both boxes overlap the first detection by 0.6; the second detection is on the one or the other.
    let (left, right) = ([0.0, 0.0, 100.0, 100.0], [50.0, 0.0, 100.0, 100.0]);
    let middle = detection(1, 1, [25.0, 0.0, 100.0, 100.0], 0.9);
    let on = |bbox| [middle, detection(1, 1, bbox, 0.8)];
    let truth = one_image(&[(1, left), (1, right)]);
    assert_eq!(analyse(&truth, &on(right)).counts.correct, 2);
    let report = analyse(&truth, &on(left));
    assert_eq!((report.counts.correct, counts(&report)), (1, [0, 0, 0, 1, 0, 1]));
}

#[test]
fn exactly_the_background_iou_is_near_for_the_own_class_only() {
    let tenth = [0.0, 0.0, 10.0, 100.0];
    let truth = one_image(&[(1, BOX)]);
    assert_eq!(counts(&analyse(&truth, &[detection(1, 1, tenth, 0.5)])), [0, 1, 0, 0, 0, 0]);
    assert_eq!(counts(&analyse(&truth, &[detection(1, 2, tenth, 0.5)])), [0, 0, 0, 0, 1, 1]);
}

#[test]
fn scores_of_zero_and_minus_zero_tie() {
    let options = ErrorOptions { max_detections: NonZeroUsize::MIN, ..ErrorOptions::coco() };
    let detections = [detection(1, 1, BOX, -0.0), detection(1, 1, FAR, 0.0)];
    let report = error_analysis(&one_image(&[(1, BOX)]), &detections, &options).unwrap();
    assert_eq!((report.counts.correct, report.counts.total()), (1, 0), "the first given is kept");
}

#[test]
fn a_fix_that_leaves_no_class_is_undefined() {
    let report = analyse(&one_image(&[(1, BOX)]), &[]);
    assert_eq!((report.ap, counts(&report)), (Some(0.0), [0, 0, 0, 0, 0, 1]));
    assert_eq!(report.delta_ap[&ErrorKind::Missed], None);
    assert_eq!(report.false_negatives_delta_ap, None);
    let report = analyse(&one_image(&[]), &[]);
    assert_eq!((report.ap, report.false_positives_delta_ap), (None, None));
    assert!(report.delta_ap.values().all(Option::is_none));
}

#[test]
fn crowds_ignore_what_lies_in_them() {
    let mut truth = one_image(&[(1, BOX), (1, FAR)]);
    truth.annotations[1].iscrowd = true;
    let inside = [310.0, 310.0, 20.0, 20.0];
    let detections = [detection(1, 1, inside, 0.9), detection(1, 2, inside, 0.8), detection(1, 1, BOX, 0.7)];
    let report = analyse(&truth, &detections);
    assert_eq!(report.counts.ground_truth, 1);
    let background = report.counts.errors[&ErrorKind::Background];
    assert_eq!((background.count, background.ignored), (2, 1), "the other class's is not ignored");
    assert_eq!(report.ap, Some(0.5), "class 1 is whole, class 2 has no ground truth");
    // A detection that lies in it by no more than half is not.
    let half = [detection(1, 1, [390.0, 310.0, 20.0, 20.0], 0.9)];
    assert_eq!(analyse(&truth, &half).counts.errors[&ErrorKind::Background].ignored, 0);
    // `ignore` has no meaning for COCO; federated it is the other way round.
    (truth.annotations[1].iscrowd, truth.annotations[1].ignore) = (false, true);
    assert_eq!(analyse(&truth, &detections).counts.ground_truth, 2);
    let federated = error_analysis(&truth, &detections, &ErrorOptions::lvis()).unwrap();
    assert_eq!(federated.counts, report.counts);
}

#[test]
fn federated_classes_that_nobody_verified_are_ignored() {
    // Class 1 is annotated, 2 verified absent, 3 unknown.
    let mut truth = set(vec![federated_image(1, &[2], &[])], vec![annotation(1, 1, 1, BOX)]);
    let detections = [1, 2, 3, 77].map(|class| detection(1, class, FAR, 0.5));
    let ignored = |truth: &AnnotationSet| -> Vec<(i64, u64)> {
        let report = error_analysis(truth, &detections, &ErrorOptions::lvis()).unwrap();
        assert_eq!(counts(&report), [0, 0, 0, 0, 4, 1]);
        let rows = report.by_class.iter();
        rows.map(|c| (c.category_id, c.counts.errors[&ErrorKind::Background].ignored)).collect()
    };
    // A class that the set does not know is never ignored.
    assert_eq!(ignored(&truth), [(1, 0), (2, 0), (3, 1), (77, 0)]);
    truth.images[0].not_exhaustive_category_ids = Some(vec![1]);
    assert_eq!(ignored(&truth), [(1, 1), (2, 0), (3, 1), (77, 0)]);
    // Not federated, none is.
    let report = analyse(&truth, &detections);
    assert_eq!(report.counts.errors[&ErrorKind::Background].ignored, 0);
    let unknown = report.by_class.last().unwrap();
    assert_eq!((unknown.category_id, &unknown.name, unknown.frequency), (77, &None, None));
}

#[test]
fn the_cap_is_over_all_classes_of_an_image() {
    let truth = one_image(&[(1, BOX), (2, FAR)]);
    let detections = [detection(1, 1, BOX, 0.5), detection(1, 3, BOX, 0.9), detection(1, 2, FAR, 0.7)];
    let options = ErrorOptions { max_detections: NonZeroUsize::new(2).unwrap(), ..ErrorOptions::coco() };
    let report = error_analysis(&truth, &detections, &options).unwrap();
    // The worst, which would have matched, is out.
    assert_eq!((report.counts.correct, counts(&report)), (1, [1, 0, 0, 0, 0, 0]));
}

#[test]
fn low_scores_are_mended_too() {
    let report = analyse(&one_image(&[(1, BOX)]), &[detection(1, 1, PART, -2.0)]);
    assert_eq!(gains(&report), [(ErrorKind::Localisation, 1.0)]);
}

#[test]
fn boxes_beyond_the_range_of_areas_overlap_with_nothing() {
    let huge = [0.0, 0.0, 1e200, 1e200];
    let report = analyse(&one_image(&[(1, huge), (2, BOX)]), &[detection(1, 1, huge, 0.9)]);
    assert_eq!(counts(&report), [0, 0, 0, 0, 1, 2]);
}

#[test]
fn bounds_are_checked_wherever_they_come_from() {
    for (background, foreground) in [(0.0, 0.5), (0.6, 0.5), (0.1, 1.0), (f64::NAN, 0.5), (0.1, f64::NAN)] {
        let error: BoundsError = OverlapBounds::new(background, foreground).unwrap_err();
        assert!(error.to_string().contains("0 < background ≤ foreground < 1"));
    }
    let bounds = OverlapBounds::new(0.5, 0.5).unwrap();
    assert_eq!((bounds.background(), bounds.foreground()), (0.5, 0.5));
    let text = serde_json::to_string(&ErrorOptions::lvis()).unwrap();
    assert_eq!(serde_json::from_str::<ErrorOptions>(&text).unwrap(), ErrorOptions::lvis());
    let error = serde_json::from_str::<ErrorOptions>(&text.replace("0.1", "0.9")).unwrap_err();
    assert!(error.to_string().contains("do not ascend from 0 to 1"), "{error}");
}

#[test]
fn bad_input_is_refused_with_its_place() {
    let truth = one_image(&[(1, BOX)]);
    let refused = |truth: &AnnotationSet, detections: &[Detection], options: &ErrorOptions| {
        error_analysis(truth, detections, options).unwrap_err()
    };
    let coco = ErrorOptions::coco();
    let good = detection(1, 1, BOX, 0.5);
    let bad = [
        (detection(9, 1, BOX, 0.5), "`image_id` 9"),
        (detection(1, 1, BOX, f64::NAN), "`score` is NaN"),
        (detection(1, 1, [0.0, 0.0, -1.0, 1.0], 0.5), "negative width or height"),
        (detection(1, 1, [0.0, f64::INFINITY, 1.0, 1.0], 0.5), "not finite"),
    ];
    for (bad, message) in bad {
        let error = refused(&truth, &[good, bad], &coco);
        assert!(matches!(error, EvalError::Detection { index: 1, .. }), "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
    type Spoil = fn(&mut AnnotationSet);
    let spoilt: [(Spoil, &str); 5] = [
        (|t| t.images.push(image(1)), "image id 1 is repeated"),
        (|t| t.categories.push(t.categories[1].clone()), "category id 2 is repeated"),
        (|t| t.annotations.push(t.annotations[0].clone()), "annotation id 1 is repeated"),
        (|t| t.annotations[0].bbox[3] = -1.0, "annotation 1: `bbox`"),
        (|t| t.annotations[0].bbox[0] = f64::NAN, "not finite"),
    ];
    for (spoil, message) in spoilt {
        let mut truth = truth.clone();
        spoil(&mut truth);
        let error = refused(&truth, &[good], &coco);
        assert!(matches!(error, EvalError::GroundTruth { .. }), "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
    let lists: [(Spoil, &str); 2] = [
        (|t| t.images[0].neg_category_ids = None, "`neg_category_ids`"),
        (|t| t.images[0].not_exhaustive_category_ids = None, "`not_exhaustive_category_ids`"),
    ];
    for (take, field) in lists {
        let mut truth = truth.clone();
        take(&mut truth);
        assert!(error_analysis(&truth, &[good], &coco).is_ok());
        let error = refused(&truth, &[good], &ErrorOptions::lvis());
        assert!(error.to_string().contains(field), "{error}");
    }
    // Boxes of images that the set does not list are left out.
    let mut truth = truth.clone();
    truth.annotations.push(annotation(2, 9, 1, FAR));
    assert_eq!(error_analysis(&truth, &[good], &coco).unwrap().counts.ground_truth, 1);
}
