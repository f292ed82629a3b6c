//! Evaluations fed batch by batch have the bits of one run.

use std::path::{Path, PathBuf};

use longtail_annotations::AnnotationSet;
use longtail_eval::{
    Batch, Detection, Detections, Evaluation, GroundTruth, MaxDetections, Protocol, Settings, Shard,
    StreamingEvaluation, read_detections,
};
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::common::{annotation, detection, image, set};

const BOX: [f64; 4] = [10.0, 10.0, 40.0, 40.0];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Settings, ground truth and detections with ties of scores.
fn cases() -> Vec<(Settings, AnnotationSet, Vec<Detection>)> {
    let mut agnostic = Settings::strict(Protocol::Coco);
    agnostic.parameters.class_agnostic = true;
    agnostic.parameters.iou_thresholds = (1..20).map(|step| f64::from(step) * 0.05).collect();
    agnostic.max_detections = MaxDetections::Caps(vec![2, 20]);
    let lvis = ("lvis/gt_val100_boxes.json", "lvis/dt_b_score_ties.json");
    let coco = ("coco/gt_val2014_100.json", "coco/dt_val2014_fakebbox100.json");
    let case = |settings, (truth, results): (&str, &str)| {
        let truth = longtail_formats::read_annotations(&fixture(truth)).unwrap();
        (settings, truth, read_detections(&fixture(results)).unwrap())
    };
    vec![
        case(Settings::strict(Protocol::Lvis), lvis),
        case(Settings::strict(Protocol::Coco), coco),
        case(agnostic, coco),
    ]
}

fn whole(settings: &Settings, truth: &GroundTruth, detections: &[Detection]) -> Evaluation {
    let mut all = Detections::new(truth, Shard::WHOLE);
    all.extend(detections).unwrap();
    Evaluation::new(&all, settings).unwrap()
}

fn assert_same(found: &Evaluation, expected: &Evaluation) {
    let (mut report, expected_report) = (found.report(None), expected.report(None));
    report.provenance.clone_from(&expected_report.provenance);
    assert_eq!(report, expected_report);
    assert!(found.arrays() == expected.arrays());
}

#[test]
fn batches_in_any_order_make_the_same_bits() {
    for (settings, set, detections) in cases() {
        let expected = whole(&settings, &GroundTruth::new(&set).unwrap(), &detections);
        for seed in 0..3 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut images = set.images.clone();
            images.shuffle(&mut rng);
            // Two evaluations side by side, one of them by way of bytes, then joined.
            let mut halves = [0, 1].map(|_| StreamingEvaluation::new(&set.categories, &settings).unwrap());
            while !images.is_empty() {
                let batch = images.split_off(images.len().saturating_sub(rng.random_range(1..9)));
                let inside = |id: i64| batch.iter().any(|image| image.id == id);
                let annotations: Vec<_> =
                    set.annotations.iter().filter(|a| inside(a.image_id)).cloned().collect();
                let found: Vec<_> = detections.iter().filter(|d| inside(d.image_id)).copied().collect();
                let batch = Batch { images: &batch, annotations: &annotations, detections: &found };
                let half = &mut halves[rng.random_range(0..2)];
                half.update(&batch).unwrap();
                if rng.random_range(0..4) == 0 {
                    *half = StreamingEvaluation::from_bytes(&half.to_bytes().unwrap()).unwrap();
                }
            }
            let [mut first, second] = halves;
            first.merge(second).unwrap();
            assert_eq!(first.images(), set.images.len());
            assert_same(&first.finish().unwrap(), &expected);
        }
    }
}

#[test]
fn a_known_ground_truth_makes_the_same_bits() {
    for (settings, set, detections) in cases() {
        let truth = GroundTruth::new(&set).unwrap();
        let mut evaluation = StreamingEvaluation::for_truth(&truth, &settings).unwrap();
        let ids: Vec<i64> = set.images.iter().rev().map(|image| image.id).collect();
        for batch in ids.chunks(7) {
            let found: Vec<_> = detections.iter().filter(|d| batch.contains(&d.image_id)).copied().collect();
            evaluation.update_known(&truth, batch, &found).unwrap();
        }
        assert_same(&evaluation.finish().unwrap(), &whole(&settings, &truth, &detections));
    }
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let set = set(vec![image(1), image(2)], vec![annotation(1, 1, 1, BOX)]);
    let coco = Settings::strict(Protocol::Coco);
    let new = |settings: &Settings| StreamingEvaluation::new(&set.categories, settings);
    let mut evaluation = new(&coco).unwrap();
    let batch = Batch { images: &set.images[..1], annotations: &set.annotations, detections: &[] };
    evaluation.update(&batch).unwrap();
    let fails = |result: Result<(), longtail_eval::EvalError>, word: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    };
    fails(evaluation.update(&batch), "image id 1 was added before");
    let second = &set.images[1..];
    fails(evaluation.update(&Batch { images: second, ..batch }), "annotation 1");
    let lost = [detection(1, 1, BOX, 0.5)];
    fails(evaluation.update(&Batch { images: second, annotations: &[], detections: &lost }), "`image_id` 1");
    let wrong = [detection(2, 1, BOX, f64::NAN)];
    fails(evaluation.update(&Batch { images: second, annotations: &[], detections: &wrong }), "`score`");
    assert_eq!(evaluation.images(), 1);

    let mut other = new(&coco).unwrap();
    other.update(&batch).unwrap();
    fails(evaluation.merge(other), "image id 1 is in both");
    fails(evaluation.merge(new(&Settings::strict(Protocol::Lvis)).unwrap()), "settings");
    let fixed = new(&Settings::strict(Protocol::LvisFixed)).unwrap_err().to_string();
    assert!(fixed.contains("run it whole"), "{fixed}");

    let bytes = evaluation.to_bytes().unwrap();
    for length in 0..bytes.len() {
        assert!(StreamingEvaluation::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
    }
    let mut flipped = bytes;
    *flipped.last_mut().unwrap() ^= 1;
    let error = StreamingEvaluation::from_bytes(&flipped).unwrap_err().to_string();
    assert!(error.contains("checksum"), "{error}");
}
