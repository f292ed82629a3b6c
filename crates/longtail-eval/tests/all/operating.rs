//! Operating points against counts made for every score anew.

use longtail_eval::{
    Detections, EvalError, Evaluation, GroundTruth, OperatingPoint, Protocol, Settings, Shard,
    operating_points, read_detections,
};

use crate::common::{annotation, detection, image, set};

const BOX: [f64; 4] = [10.0, 10.0, 100.0, 100.0];
const OTHER: [f64; 4] = [300.0, 300.0, 100.0, 100.0];
const NOTHING: [f64; 4] = [500.0, 10.0, 50.0, 50.0];

fn evaluated(settings: &Settings) -> Evaluation {
    let truth = set(
        vec![image(1), image(2)],
        vec![annotation(1, 1, 1, BOX), annotation(2, 1, 1, OTHER), annotation(3, 2, 2, BOX)],
    );
    let truth = GroundTruth::new(&truth).unwrap();
    let mut detections = Detections::new(&truth, Shard::WHOLE);
    detections
        .extend(&[
            detection(1, 1, BOX, 0.9),
            detection(1, 1, NOTHING, 0.8),
            detection(1, 1, NOTHING, 0.7),
            detection(1, 1, OTHER, 0.6),
            detection(2, 1, NOTHING, 0.6),
            detection(2, 3, NOTHING, 0.95),
        ])
        .unwrap();
    Evaluation::new(&detections, settings).unwrap()
}

#[test]
fn the_best_score_and_the_one_asked_for() {
    let found = operating_points(&evaluated(&Settings::strict(Protocol::Coco)), Some(0.65)).unwrap();
    // Class 3 has no ground truth.
    let ids: Vec<_> = found.iter().map(|of| (of.category_id, of.ground_truth)).collect();
    assert_eq!(ids, [(None, 3), (Some(1), 2), (Some(2), 1)]);
    let point = |score, precision, recall, f1| OperatingPoint { score, precision, recall, f1 };
    // One of one: 2/3 is more than two of five, 4/7.
    let first = point(0.9, Some(1.0), 0.5, 2.0 / 3.0);
    assert_eq!(found[1].best_f1, Some(first));
    assert_eq!(found[1].at_score, Some(point(0.65, Some(1.0 / 3.0), 0.5, 0.4)));
    assert_eq!(found[1].curve, [first, point(0.6, Some(0.4), 1.0, 4.0 / 7.0)]);
    // Nothing was found, at no score.
    assert_eq!(found[2].best_f1, None);
    assert_eq!(found[2].at_score, Some(point(0.65, None, 0.0, 0.0)));
    // All together: the wrong one of class 3 comes first.
    assert_eq!(found[0].best_f1, Some(point(0.6, Some(1.0 / 3.0), 2.0 / 3.0, 4.0 / 9.0)));
}

#[test]
fn what_cannot_be_is_refused() {
    let evaluation = evaluated(&Settings::strict(Protocol::Coco));
    let error = operating_points(&evaluation, Some(f64::NAN)).unwrap_err();
    assert!(matches!(error, EvalError::Parameter { name: "score", .. }), "{error}");
    let mut settings = Settings::strict(Protocol::Coco);
    settings.parameters.iou_thresholds = vec![0.75];
    let error = operating_points(&evaluated(&settings), None).unwrap_err();
    assert!(error.to_string().contains("operating points"), "{error}");
}

#[test]
fn points_of_a_data_set_are_those_of_cut_off_detections() {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/coco");
    let set = longtail_formats::read_annotations(&fixtures.join("gt_val2014_100.json")).unwrap();
    let truth = GroundTruth::new(&set).unwrap();
    let detections = read_detections(&fixtures.join("dt_val2014_fakebbox100.json")).unwrap();
    let at = |least: f64| {
        let kept: Vec<_> = detections.iter().copied().filter(|d| d.score >= least).collect();
        let mut all = Detections::new(&truth, Shard::WHOLE);
        all.extend(&kept).unwrap();
        Evaluation::new(&all, &Settings::strict(Protocol::Coco)).unwrap()
    };
    let whole = at(f64::NEG_INFINITY);
    for score in [0.2, 0.5, 0.9] {
        let found = operating_points(&whole, Some(score)).unwrap();
        // Cut off below the score, the arrays have the recall, and all that is left counts.
        let cut = at(score);
        let arrays = cut.arrays();
        let of_cut = operating_points(&cut, Some(f64::MIN)).unwrap();
        assert_eq!(found.len(), of_cut.len());
        for (a, b) in found.iter().zip(&of_cut) {
            let (a, b) = (a.at_score.unwrap(), b.at_score.unwrap());
            assert_eq!((a.precision, a.recall, a.f1), (b.precision, b.recall, b.f1));
        }
        for of in &found[1..] {
            let class = set.categories.iter().filter(|c| c.id < of.category_id.unwrap()).count();
            // IoU 0.5, all areas, cap 100.
            let recall = arrays.recall[class * 12 + 2];
            assert_eq!(of.at_score.unwrap().recall, recall, "{}", of.name);
        }
    }
    for of in operating_points(&whole, None).unwrap() {
        assert!(of.curve.is_sorted_by(|a, b| a.score > b.score && a.recall < b.recall), "{}", of.name);
        assert!(of.curve.len() <= 202);
        let best = of.curve.iter().map(|point| point.f1).fold(0.0, f64::max);
        assert_eq!(of.best_f1.map_or(0.0, |point| point.f1), best, "{}", of.name);
    }
}
