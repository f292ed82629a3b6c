//! Classes that claim each other's objects.

use crate::common::{annotation, detection, image, set};
use longtail_eval::{Confusion, confusions};

const BOX: [f64; 4] = [10.0, 10.0, 100.0, 100.0];
const ELSEWHERE: [f64; 4] = [300.0, 300.0, 100.0, 100.0];

#[test]
fn the_best_scored_overlapping_detection_claims_a_box() {
    let truth = set(
        vec![image(1), image(2)],
        vec![
            annotation(1, 1, 1, BOX),
            annotation(2, 2, 1, BOX),
            annotation(3, 2, 1, ELSEWHERE),
            annotation(4, 1, 2, ELSEWHERE),
        ],
    );
    let detections = [
        // Box 1: class 2 is surer than the right class.
        detection(1, 1, BOX, 0.6),
        detection(1, 2, BOX, 0.7),
        // Box 2: the right class is surer.
        detection(2, 1, BOX, 0.8),
        detection(2, 2, BOX, 0.7),
        // Box 3: class 2 overlaps by exactly a half, which claims.
        detection(2, 2, [300.0, 300.0, 100.0, 50.0], 0.1),
        // Box 4: class 3 overlaps by less than a half, class 1 claims.
        detection(1, 3, [300.0, 300.0, 100.0, 49.0], 0.9),
        detection(1, 1, ELSEWHERE, 0.2),
    ];
    assert_eq!(
        confusions(&truth, &detections),
        [
            Confusion { truth: 1, claimed: 2, count: 2, total: 3 },
            Confusion { truth: 2, claimed: 1, count: 1, total: 1 },
        ]
    );
}

#[test]
fn unscored_ground_truth_and_other_images_are_left_out() {
    let mut crowd = annotation(1, 1, 1, BOX);
    crowd.iscrowd = true;
    let mut ignored = annotation(2, 1, 1, BOX);
    ignored.ignore = true;
    let truth = set(vec![image(1), image(2)], vec![crowd, ignored, annotation(3, 2, 1, BOX)]);
    assert_eq!(confusions(&truth, &[detection(1, 2, BOX, 0.9)]), []);
    assert_eq!(confusions(&truth, &[]), []);
}
