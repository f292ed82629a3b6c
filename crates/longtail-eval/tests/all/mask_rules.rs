//! Masks that are refused with entry and field, and what decides areas.

use std::fs;

use longtail_eval::{
    Batch, Chosen, Detections, EvalError, EvalReport, Evaluation, GroundTruth, IouType, MaskDetection,
    MaskedSet, Metric, Protocol, Settings, Shard, StreamingEvaluation,
    reading::ground_truth::open_masked_ground_truth,
};
use longtail_formats::ReadOptions;
use longtail_mask::Segmentation;

use crate::common::{ONE, annotation, detection, image, named, set};

/// A square of 4 × 4 pixels in an image of 10 × 10; 16 pixels.
const SQUARE: &str = r#"{"size": [10, 10], "counts": [22, 4, 6, 4, 6, 4, 6, 4, 44]}"#;

fn truth_json(segmentation: &str) -> String {
    format!(
        r#"{{"images": [{{"id": 1, "width": 10, "height": 10}}], "categories": [{{"id": 3}}],
            "annotations": [{{"id": 5, "image_id": 1, "category_id": 3, "bbox": [2, 2, 4, 4],
                             "segmentation": {segmentation}}}]}}"#
    )
}

fn truth_of(text: &str) -> Result<GroundTruth, EvalError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truth.json");
    fs::write(&path, text).unwrap();
    GroundTruth::masked(&open_masked_ground_truth(&path, &ReadOptions::default())?, &Chosen::default())
}

fn settings() -> Settings {
    Settings { iou_type: IouType::Segm, ..Settings::strict(Protocol::Coco) }
}

/// Detections of a file against one square.
fn scored(detections: &str) -> Result<EvalReport, EvalError> {
    let truth = truth_of(&truth_json(SQUARE)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("detections.json");
    fs::write(&path, detections).unwrap();
    let streamed = Evaluation::read(&truth, &path, &settings())?.report(None);
    let mut whole = Detections::new(&truth, Shard::WHOLE);
    whole.read(&path).unwrap();
    assert_eq!(streamed, Evaluation::new(&whole, &settings()).unwrap().report(None));
    Ok(streamed)
}

fn entry(more: &str) -> String {
    format!(r#"{{"image_id": 1, "category_id": 3, "score": 0.5{more}}}"#)
}

fn list(entries: &[&str]) -> String {
    let entries: Vec<String> = entries.iter().map(|more| entry(more)).collect();
    format!("[{}]", entries.join(", "))
}

fn refused(detections: &str, parts: &[&str]) {
    let error = scored(detections).unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "{error}: no {part}");
    }
}

#[test]
fn every_form_of_a_mask_is_the_same_mask() {
    let text =
        longtail_mask::Rle::new(longtail_mask::Size::new(10, 10).unwrap(), vec![22, 4, 6, 4, 6, 4, 6, 4, 44]);
    let compressed = serde_json::to_string(&longtail_mask::Runs::from(&text.unwrap())).unwrap();
    for form in [SQUARE, "[[2, 2, 6, 2, 6, 6, 2, 6]]", &compressed, &format!("[{SQUARE}, {SQUARE}]")] {
        for boxed in ["", r#", "bbox": [0, 0, 1, 1]"#, r#", "bbox": []"#, r#", "bbox": null"#] {
            let report = scored(&list(&[&format!(r#"{boxed}, "segmentation": {form}"#)])).unwrap();
            assert_eq!(report.metric(&Metric::AP), Some(ONE), "{form} {boxed}");
            assert_eq!(report.provenance["iou_type"], "segm");
        }
        assert!(truth_of(&truth_json(form)).is_ok(), "{form}");
    }
}

#[test]
fn areas_are_of_boxes_where_the_first_detection_has_one() {
    // A small mask in the box of a medium object: unmatched, it counts among those of the area's range.
    let small = r#", "segmentation": {"size": [10, 10], "counts": [90, 1, 9]}"#;
    let boxed = format!(r#"{small}, "bbox": [0, 0, 50, 50]"#);
    let hit = format!(r#", "segmentation": {SQUARE}"#);
    let first = |wrong: &str, right: &str| {
        let wrong = entry(wrong).replace("0.5", "0.9");
        format!("[{wrong}, {}]", entry(right))
    };
    let of_small = |report: EvalReport| report.metric(&named("APs")).unwrap();
    // By masks, the wrong one is small, and counts there.
    let by_masks = of_small(scored(&first(small, &hit)).unwrap());
    assert!(by_masks < 0.51, "{by_masks}");
    // By boxes it is medium, and does not.
    let by_boxes = of_small(scored(&first(&boxed, &format!(r#"{hit}, "bbox": [2, 2, 4, 4]"#))).unwrap());
    assert_eq!(by_boxes, ONE);
    // The first decides: boxes of later ones are not read.
    let later =
        of_small(scored(&format!("[{}, {}]", entry(&hit).replace("0.5", "0.1"), entry(&boxed))).unwrap());
    assert!(later < 0.51, "{later}");
    // Where the first has one, all need one; the references crash.
    let parts = ["detection 1 (counted from 0)", "`bbox` is missing"];
    refused(&first(&boxed, &hit), &parts);
}

#[test]
fn masks_that_are_none_are_refused_with_entry_and_field() {
    let good = format!(r#", "segmentation": {SQUARE}"#);
    let with = |segmentation: &str| list(&[&good, &format!(r#", "segmentation": {segmentation}"#)]);
    let entry = "detection 1 (counted from 0): `segmentation`";
    refused(&with(r#"{"size": [10, 10], "counts": [50, 60]}"#), &[entry, "overrun", "run 1"]);
    refused(&with(r#"{"size": [10, 10], "counts": [50]}"#), &[entry, "add up to 50"]);
    refused(&with(r#"{"size": [10, 10], "counts": "~~"}"#), &[entry, "byte 0"]);
    refused(&with(r#"{"size": [10, 10], "counts": ""}"#), &[entry, "empty"]);
    refused(&with(r#"{"size": [5, 20], "counts": [100]}"#), &[entry, "different sizes", "10 × 10", "5 × 20"]);
    refused(&with("[[1, 2, 3, 4, 5, 1e300]]"), &[entry, "polygon 0", "number 5"]);
    refused(&with("[[1, 2, 3, 4]]"), &[entry, "polygon 0", "2 points"]);
    refused(&with("[[1, 2, 3, 4, 5]]"), &[entry, "polygon 0", "pairs"]);
    refused(&with("[]"), &[entry, "no mask to merge"]);
    refused(&with("null"), &[entry, "missing", "--iou-type bbox"]);
    refused(&list(&[&good, r#", "bbox": [1, 2, 3, 4]"#]), &[entry, "missing", "--iou-type bbox"]);
    let parsed = "entry 1 (counted from 0): field `segmentation` is not a mask";
    refused(&with("7"), &[parsed]);
    refused(&with(r#"{"size": [10, 10]}"#), &[parsed, "counts"]);
    refused(&with(r#"{"size": [10, 10], "counts": [-1, 101]}"#), &[parsed]);
    refused(&with("[[1, 2, NaN, 4, 5, 6]]"), &[parsed]);
    let short_box = format!(r#"{good}, "bbox": [1, 2]"#);
    refused(&list(&[&good, &short_box]), &["entry 1", "`bbox`", "four numbers"]);
    let negative = format!(r#"{good}, "bbox": [1, 2, -3, 4]"#);
    refused(&list(&[&good, &negative]), &["detection 1", "`bbox`", "negative"]);
}

#[test]
fn ground_truth_without_masks_or_sizes_is_refused_by_its_annotation() {
    let refused = |text: &str, parts: &[&str]| {
        let error = truth_of(text).unwrap_err().to_string();
        for part in ["truth.json", "annotation 5"].iter().chain(parts) {
            assert!(error.contains(part), "{error}: no {part}");
        }
    };
    refused(&truth_json("null"), &["`segmentation` is missing"]);
    refused(&truth_json("7"), &["`segmentation` is not a mask"]);
    refused(&truth_json("[[1, 2, 3, 4]]"), &["polygon 0", "2 points"]);
    refused(&truth_json(r#"{"size": [9, 10], "counts": [90]}"#), &["different sizes"]);
    let without_size = truth_json(SQUARE).replace(r#", "width": 10, "height": 10"#, "");
    refused(&without_size, &["`height` and `width`"]);
    // What takes no part needs no mask.
    let unknown_class = truth_json("null").replace(r#""category_id": 3"#, r#""category_id": 4"#);
    assert!(truth_of(&unknown_class).is_ok());
}

#[test]
fn a_missing_area_is_the_masks() {
    // 16 pixels in a box of 2,500: small.
    let text = truth_json(SQUARE).replace("[2, 2, 4, 4]", "[0, 0, 50, 50]");
    let truth = truth_of(&text).unwrap();
    let report = Evaluation::new(&Detections::new(&truth, Shard::WHOLE), &settings()).unwrap().report(None);
    assert_eq!(report.metric(&named("APs")), Some(0.0));
    assert_eq!(report.metric(&named("APm")), None);
}

#[test]
fn boxes_and_masks_are_not_mixed() {
    let masked = truth_of(&truth_json(SQUARE)).unwrap();
    let of = |result: Result<(), EvalError>| result.unwrap_err().to_string();
    let mut detections = Detections::new(&masked, Shard::WHOLE);
    let boxed = detection(1, 3, [0.0, 0.0, 1.0, 1.0], 0.5);
    assert!(of(detections.extend(&[boxed])).contains("`segmentation` is missing"));
    let by_boxes = Evaluation::new(&detections, &Settings::strict(Protocol::Coco)).map(|_| ());
    assert!(of(by_boxes).starts_with("iou_type: boxes are scored"));

    let set = set(vec![image(1)], vec![annotation(1, 1, 1, [0.0, 0.0, 9.0, 9.0])]);
    let plain = GroundTruth::new(&set).unwrap();
    let mut detections = Detections::new(&plain, Shard::WHOLE);
    let segmentation: Segmentation = serde_json::from_str(SQUARE).unwrap();
    let mask = MaskDetection {
        image_id: 1,
        category_id: 1,
        bbox: None,
        segmentation: Some(segmentation.clone()),
        score: 0.5,
    };
    assert!(of(detections.extend_masks(&[mask])).contains("boxes are scored"));
    let by_masks = Evaluation::new(&detections, &settings()).map(|_| ());
    assert!(of(by_masks).starts_with("iou_type: masks are scored"));
    let mut streaming = StreamingEvaluation::new(&set.categories, &settings()).unwrap();
    let batch = Batch { images: &set.images, annotations: &set.annotations, detections: &[] };
    assert!(of(streaming.update(&batch)).starts_with("iou_type"));
    assert!(MaskedSet::new(set.clone(), vec![]).is_err());
    // Of the image's size, 480 × 640, it is not.
    let masked = MaskedSet::new(set, vec![Some(segmentation)]).unwrap();
    let error = GroundTruth::masked(&masked, &Chosen::default()).unwrap_err().to_string();
    assert!(error.contains("annotation 1: `segmentation`: masks of different sizes"), "{error}");
}

#[test]
fn a_ratio_that_has_no_meaning_is_refused() {
    let truth = truth_of(&truth_json(SQUARE)).unwrap();
    let none = Detections::new(&truth, Shard::WHOLE);
    for dilation_ratio in [-0.1, f64::NAN, f64::INFINITY] {
        let settings = Settings { iou_type: IouType::Boundary { dilation_ratio }, ..settings() };
        let error = Evaluation::new(&none, &settings).unwrap_err().to_string();
        assert!(error.starts_with("dilation_ratio: "), "{error}");
    }
}
