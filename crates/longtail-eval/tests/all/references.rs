//! The evaluators against the numbers of PyPI `lvis` 0.5.3 and `pycocotools` 2.0.11, bit for bit.
//!
//! `LONGTAIL_EVAL_FIXTURES` may name a folder with more cases in the same layout.

use crate::common::named;
use std::path::{Path, PathBuf};

use longtail_annotations::AnnotationSet;
use longtail_eval::{
    AreaRange, Chosen, Detection, Detections, EvalReport, Evaluation, GroundTruth, MaxDetections, Protocol,
    Settings, Shard, evaluate, read_detections,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub fn folders() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let more = std::env::var_os("LONGTAIL_EVAL_FIXTURES").map(PathBuf::from);
    [Some(own), more].into_iter().flatten().collect()
}

pub fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Compares every expected number; -1 of the references is "undefined" here.
pub fn assert_same(case: &str, report: &EvalReport, expected: &Value) {
    let same = |what: &str, found: Option<f64>, expected: &Value| {
        let expected = expected.as_f64().unwrap();
        let found = found.unwrap_or(-1.0);
        assert_eq!(
            found.to_bits(),
            expected.to_bits(),
            "{case}: {what} is {found}, the reference says {expected}"
        );
    };
    let metrics = expected["summary"].as_object().unwrap();
    assert!(metrics.len() >= 12, "{case}");
    for (name, value) in metrics {
        // The fixtures of COCO leave the cap out of the recalls by area.
        let ours = match name.as_str() {
            "ARs" | "ARm" | "ARl" => format!("{name}@100"),
            // Without a cap an image, `lvis` writes -1.
            _ if name.ends_with("@-1") && report.protocol == "lvis" => name.replace("-1", "all"),
            _ if name.ends_with("@-1") => name.replace("-1", "10000/class"),
            _ => name.clone(),
        };
        assert!(report.metrics.contains_key(&named(&ours)), "{case}: no {ours}");
        same(name, report.metric(&named(&ours)), value);
    }
    let category = |id: &str| {
        let id: i64 = id.parse().unwrap();
        report.per_category.iter().find(|c| c.category_id == id).unwrap()
    };
    for (id, values) in expected["per_category"].as_object().into_iter().flatten() {
        same(&format!("AP of {id}"), category(id).ap, &values["AP"]);
        same(&format!("AP50 of {id}"), category(id).ap50, &values["AP50"]);
        same(&format!("AR of {id}"), category(id).ar, &values["AR"]);
    }
    for (id, value) in expected["per_category_AP"].as_object().into_iter().flatten() {
        same(&format!("AP of {id}"), category(id).ap, value);
    }
}

#[test]
fn lvis_tiny_cases() {
    for folder in folders() {
        let truth = longtail_formats::read_annotations(&folder.join("lvis/tiny_gt.json")).unwrap();
        let cases = json(&folder.join("lvis/tiny_cases.json"));
        assert!(cases.as_object().unwrap().len() >= 8);
        for (name, case) in cases.as_object().unwrap() {
            let detections: Vec<Detection> = serde_json::from_value(case["detections"].clone()).unwrap();
            assert_same(name, &evaluate(Protocol::Lvis, &truth, &detections).unwrap(), case);
            assert_variants(name, &truth, &detections, case);
        }
    }
}

/// Other caps, fixed and pooled AP, and whole arrays, where a case has them.
fn assert_variants(name: &str, truth: &AnnotationSet, detections: &[Detection], case: &Value) {
    let truth = GroundTruth::new(truth).unwrap();
    let mut all = Detections::new(&truth, Shard::WHOLE);
    all.extend(detections).unwrap();
    let lvis = Settings::strict(Protocol::Lvis);
    let variants = [
        ("unlimited", Settings { max_detections: MaxDetections::Unlimited, ..lvis.clone() }),
        ("seven", Settings { max_detections: MaxDetections::Caps(vec![7]), ..lvis.clone() }),
        ("fixed", Settings::strict(Protocol::LvisFixed)),
    ];
    for (key, settings) in variants {
        if let Some(expected) = case.get(key) {
            let evaluation = Evaluation::new(&all, &settings).unwrap();
            assert_same(&format!("{name}, {key}"), &evaluation.report(None), expected);
            assert_arrays(name, &evaluation, expected);
        }
    }
    if let Some(pooled) = case.get("fixed").map(|fixed| &fixed["pooled"]) {
        let report = Evaluation::new(&all, &Settings::strict(Protocol::LvisPooled)).unwrap().report(None);
        for (metric, value) in pooled.as_object().unwrap() {
            let found = report.metric(&named(metric)).unwrap_or(-1.0);
            assert_eq!(found.to_bits(), value.as_f64().unwrap().to_bits(), "{name}: pooled {metric}");
        }
    }
    assert_arrays(name, &Evaluation::new(&all, &lvis).unwrap(), case);
}

/// The arrays have the references' bits.
pub fn assert_arrays(name: &str, evaluation: &Evaluation, case: &Value) {
    let found = evaluation.arrays();
    for (array, expected) in case.get("arrays").and_then(Value::as_object).into_iter().flatten() {
        let values = match array.as_str() {
            "precision" => &found.precision,
            "recall" => &found.recall,
            _ => &found.scores,
        };
        let mut hash = Sha256::new();
        values.iter().for_each(|value| hash.update(value.to_le_bytes()));
        let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, expected.as_str().unwrap(), "{name}: {array}");
    }
}

/// COCO's settings and ground truth with the parameters of a case.
fn with_parameters(truth: &AnnotationSet, chosen: &Value) -> (Settings, GroundTruth) {
    let mut settings = Settings::strict(Protocol::Coco);
    let list = |name: &str| -> Option<Vec<f64>> { serde_json::from_value(chosen.get(name)?.clone()).ok() };
    let ids = |name: &str| -> Option<Vec<i64>> { serde_json::from_value(chosen.get(name)?.clone()).ok() };
    let parameters = &mut settings.parameters;
    parameters.iou_thresholds = list("iou_thresholds").unwrap_or(parameters.iou_thresholds.clone());
    parameters.recall_thresholds = list("recall_thresholds").unwrap_or(parameters.recall_thresholds.clone());
    if let Some(areas) = chosen.get("areas").and_then(Value::as_array) {
        let area = |area: &Value| {
            AreaRange::new(area[0].as_str().unwrap(), area[1].as_f64().unwrap(), area[2].as_f64().unwrap())
        };
        parameters.areas = areas.iter().map(area).collect();
    }
    parameters.class_agnostic = chosen.get("class_agnostic").is_some();
    if let Some(caps) = ids("max_detections") {
        settings.max_detections = MaxDetections::Caps(caps.into_iter().map(|cap| cap as usize).collect());
    }
    let chosen = Chosen { images: ids("images"), categories: ids("categories") };
    (settings, GroundTruth::chosen(truth, &chosen).unwrap())
}

/// Whole arrays and means with other parameters, where a case has them.
fn assert_parameters(name: &str, truth: &AnnotationSet, detections: &[Detection], case: &Value) -> usize {
    let variants = case.get("variants").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for variant in variants {
        let name = format!("{name}, {}", variant["parameters"]);
        let (settings, truth) = with_parameters(truth, &variant["parameters"]);
        let mut all = Detections::new(&truth, Shard::WHOLE);
        all.extend(detections).unwrap();
        let evaluation = Evaluation::new(&all, &settings).unwrap();
        assert_eq!(serde_json::json!(evaluation.arrays().shape), variant["shape"], "{name}");
        assert_arrays(&name, &evaluation, variant);
        let report = evaluation.report(None);
        for (metric, expected) in variant["means"].as_object().unwrap() {
            let found = report.metric(&named(metric)).unwrap_or(-1.0);
            assert_eq!(found.to_bits(), expected.as_f64().unwrap().to_bits(), "{name}: {metric}");
        }
        let counts = report.detections;
        let left_out: u64 = counts.left_out().iter().map(|(count, _)| count).sum();
        assert_eq!((counts.read, counts.scored + left_out), (detections.len() as u64, counts.read), "{name}");
    }
    variants.len()
}

#[test]
fn lvis_validation_images() {
    let mut compared = 0;
    for folder in folders() {
        let truth = longtail_formats::read_annotations(&folder.join("lvis/gt_val100_boxes.json")).unwrap();
        let cases = json(&folder.join("lvis/expected_val100.json"));
        for (name, case) in cases.as_object().unwrap() {
            if case["max_dets"] == 300 {
                let file = case["results_file"].as_str().unwrap();
                let detections = read_detections(&folder.join("lvis").join(file)).unwrap();
                assert_same(name, &evaluate(Protocol::Lvis, &truth, &detections).unwrap(), case);
                compared += 1;
            }
        }
    }
    assert!(compared > 0);
}

#[test]
fn coco_cases() {
    let (mut compared, mut varied) = (0, 0);
    for folder in folders() {
        let cases = json(&folder.join("coco/expected.json"));
        for (name, case) in cases.as_object().unwrap() {
            let file = |key: &str| folder.join("coco").join(case[key].as_str().unwrap());
            let set = longtail_formats::read_annotations(&file("gt")).unwrap();
            let detections = read_detections(&file("dt")).unwrap();
            assert_same(name, &evaluate(Protocol::Coco, &set, &detections).unwrap(), case);
            let truth = GroundTruth::new(&set).unwrap();
            let mut all = Detections::new(&truth, Shard::WHOLE);
            all.extend(&detections).unwrap();
            assert_arrays(name, &Evaluation::new(&all, &Settings::strict(Protocol::Coco)).unwrap(), case);
            compared += 1;
            varied += assert_parameters(name, &set, &detections, case);
        }
    }
    assert!(compared >= 2 && varied >= 24);
}
