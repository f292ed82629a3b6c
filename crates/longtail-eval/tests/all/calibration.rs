//! Scores against the share of right detections.

use crate::common::{annotation, detection, federated_image, set};
use longtail_annotations::FrequencyGroup;
use longtail_eval::{Detections, Evaluation, GroundTruth, Protocol, Settings, Shard, calibration};

const BOX: [f64; 4] = [10.0, 10.0, 100.0, 100.0];
const ELSEWHERE: [f64; 4] = [300.0, 300.0, 100.0, 100.0];

#[test]
fn bins_hold_what_is_counted() {
    let truth =
        set(vec![federated_image(1, &[3], &[2])], vec![annotation(1, 1, 1, BOX), annotation(2, 1, 2, BOX)]);
    let truth = GroundTruth::new(&truth).unwrap();
    let mut detections = Detections::new(&truth, Shard::WHOLE);
    detections
        .extend(&[
            // Rare: right at 0.9, wrong at 0.81 and 0.1.
            detection(1, 1, BOX, 0.9),
            detection(1, 1, ELSEWHERE, 0.81),
            detection(1, 1, ELSEWHERE, 0.1),
            // Common: right; the wrong one is in an open list and says nothing.
            detection(1, 2, BOX, 1.0),
            detection(1, 2, ELSEWHERE, 0.99),
            // Frequent: verified absent.
            detection(1, 3, BOX, -2.0),
        ])
        .unwrap();
    let evaluation = Evaluation::new(&detections, &Settings::strict(Protocol::Lvis)).unwrap();
    let found = calibration(&evaluation).unwrap();
    let groups: Vec<_> = found.iter().map(|c| c.frequency).collect();
    let [rare, common, frequent] = FrequencyGroup::ALL.map(Some);
    assert_eq!(groups, [None, rare, common, frequent]);
    let counts = |c: usize, bin: usize| {
        let bin = &found[c].bins[bin];
        (bin.true_positives, bin.false_positives)
    };
    assert_eq!((counts(1, 8), counts(1, 0), counts(1, 9)), ((1, 1), (0, 1), (0, 0)));
    assert_eq!((counts(2, 9), counts(3, 0)), ((1, 0), (0, 1)));
    let total: u64 = found[0].bins.iter().map(|b| b.true_positives + b.false_positives).sum();
    assert_eq!(total, 5);
    // Rare: two of three at a mean score of 0.855 with precision 0.5, one at 0.1 with 0.
    let expected = 2.0 / 3.0 * 0.355 + 1.0 / 3.0 * 0.1;
    assert!((found[1].expected_calibration_error.unwrap() - expected).abs() < 1e-12);
    assert_eq!(found[2].expected_calibration_error, Some(0.0));
    assert_eq!(found[1].bins[9].mean_score, None);
}
