//! The confusion matrix: each object and each detection once.

use longtail_eval::{MatrixCell, confusion_matrix};

use crate::common::{annotation, detection, federated_image, image, set};

const BOX: [f64; 4] = [10.0, 10.0, 100.0, 100.0];
const NEAR: [f64; 4] = [20.0, 10.0, 100.0, 100.0];
const OTHER: [f64; 4] = [300.0, 300.0, 100.0, 100.0];

fn cell(truth: Option<i64>, claimed: Option<i64>, count: u64) -> MatrixCell {
    MatrixCell { truth, claimed, count }
}

fn coco(mut images: Vec<longtail_annotations::ImageRecord>) -> Vec<longtail_annotations::ImageRecord> {
    for image in &mut images {
        (image.neg_category_ids, image.not_exhaustive_category_ids) = (None, None);
    }
    images
}

#[test]
fn every_object_and_detection_is_in_one_cell() {
    let objects = vec![annotation(1, 1, 1, BOX), annotation(2, 1, 2, OTHER), annotation(3, 2, 3, BOX)];
    let truth = set(coco(vec![image(1), image(2)]), objects);
    let found = [
        // Takes the object of class 1, as the more certain of two.
        detection(1, 2, NEAR, 0.9),
        detection(1, 1, BOX, 0.8),
        detection(1, 2, OTHER, 0.7),
        // Below the score, of an unknown class, of an unknown image.
        detection(2, 3, BOX, 0.2),
        detection(2, 9, BOX, 0.9),
        detection(7, 1, BOX, 0.9),
    ];
    let matrix = confusion_matrix(&truth, &found, 0.5);
    let expected = [
        cell(None, Some(1), 1),
        cell(Some(1), Some(2), 1),
        cell(Some(2), Some(2), 1),
        cell(Some(3), None, 1),
    ];
    assert_eq!((matrix.cells.as_slice(), matrix.left_out), (&expected[..], 0));
}

#[test]
fn of_equal_overlaps_the_own_class_is_taken() {
    let truth = set(coco(vec![image(1)]), vec![annotation(1, 1, 1, BOX), annotation(2, 1, 2, BOX)]);
    let found = [detection(1, 2, BOX, 0.9), detection(1, 2, BOX, 0.8)];
    let matrix = confusion_matrix(&truth, &found, 0.5);
    assert_eq!(matrix.cells, [cell(Some(1), Some(2), 1), cell(Some(2), Some(2), 1)]);
}

#[test]
fn what_may_be_right_is_left_out() {
    let mut crowd = annotation(1, 1, 1, [0.0, 0.0, 400.0, 400.0]);
    crowd.iscrowd = true;
    let truth = set(coco(vec![image(1)]), vec![crowd]);
    let matrix = confusion_matrix(&truth, &[detection(1, 2, BOX, 0.9)], 0.5);
    assert_eq!((matrix.cells.len(), matrix.left_out), (0, 1));
    // Verified absent, open, neither.
    let truth = set(vec![federated_image(1, &[1], &[2])], vec![annotation(1, 1, 2, OTHER)]);
    let found = [detection(1, 1, BOX, 0.9), detection(1, 2, BOX, 0.9), detection(1, 3, BOX, 0.9)];
    let matrix = confusion_matrix(&truth, &found, 0.5);
    assert_eq!(matrix.cells, [cell(None, Some(1), 1), cell(Some(2), None, 1)]);
    assert_eq!(matrix.left_out, 2);
}
