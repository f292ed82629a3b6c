//! Bad input is named, never a panic; files are whole or absent.

use std::{fs, path::Path};

use crate::common::{annotation, detection, image, set};
use longtail_annotations::AnnotationSet;
use longtail_eval::{
    Detection, Detections, EvalError, GroundTruth, Protocol, Shard, evaluate, read_detections,
    write_detections,
};

const BOX: [f64; 4] = [10.0, 10.0, 100.0, 100.0];

/// The message has every part.
fn assert_says<T: std::fmt::Debug>(result: Result<T, EvalError>, parts: &[&str]) {
    let message = result.unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in `{message}`");
    }
}

fn score(truth: &AnnotationSet, detections: &[Detection]) -> Result<(), EvalError> {
    evaluate(Protocol::Lvis, truth, detections)?;
    evaluate(Protocol::Coco, truth, detections).map(|_| ())
}

#[test]
fn bad_detections_are_named() {
    let truth = set(vec![image(1)], vec![annotation(1, 1, 1, BOX)]);
    let good = detection(1, 1, BOX, 0.5);
    let bad = |detection| score(&truth, &[good, detection]);
    assert_says(bad(detection(1, 1, BOX, f64::NAN)), &["detection 1", "`score` is NaN"]);
    assert_says(bad(detection(1, 1, BOX, f64::INFINITY)), &["detection 1", "`score` is inf"]);
    assert_says(
        bad(detection(1, 1, [f64::NAN, 0.0, 1.0, 1.0], 0.5)),
        &["detection 1", "`bbox`", "not finite"],
    );
    assert_says(
        bad(detection(1, 1, [9.0, 9.0, -1.0, 1.0], 0.5)),
        &["detection 1", "`bbox`", "negative width"],
    );
    let unknown: Vec<Detection> = [1, 50, 50, 51, 52, 53].map(|i| detection(i, 1, BOX, 0.5)).to_vec();
    assert_says(score(&truth, &unknown), &["detection 1", "`image_id` 50, 51, 52, …", "same set?"]);
    // The references leave unknown classes out.
    score(&truth, &[detection(1, 77, BOX, 0.5)]).unwrap();
}

#[test]
fn bad_ground_truth_is_named() {
    let good = || set(vec![image(1)], vec![annotation(1, 1, 1, BOX)]);
    let mut truth = good();
    truth.images.push(image(1));
    assert_says(score(&truth, &[]), &["ground truth annotations", "image id 1 is repeated"]);
    let mut truth = good();
    truth.annotations.push(annotation(1, 1, 2, BOX));
    assert_says(score(&truth, &[]), &["annotation id 1 is repeated"]);
    let mut truth = good();
    truth.categories.push(truth.categories[0].clone());
    assert_says(score(&truth, &[]), &["category id 1 is repeated"]);
    let mut truth = good();
    truth.annotations[0].bbox[3] = -2.0;
    assert_says(score(&truth, &[]), &["annotation 1", "`bbox`", "negative width or height"]);
    let mut truth = good();
    truth.annotations[0].area = Some(f64::NAN);
    assert_says(score(&truth, &[]), &["annotation 1", "`area` is NaN"]);
}

#[test]
fn missing_federated_lists_name_the_other_protocol() {
    let mut truth = set(vec![image(1)], vec![]);
    truth.images[0].neg_category_ids = None;
    assert_says(evaluate(Protocol::Lvis, &truth, &[]), &["image 1", "`neg_category_ids`", "coco"]);
    truth.images[0].neg_category_ids = Some(vec![]);
    truth.images[0].not_exhaustive_category_ids = None;
    assert_says(evaluate(Protocol::Lvis, &truth, &[]), &["`not_exhaustive_category_ids`", "coco"]);
    evaluate(Protocol::Coco, &truth, &[]).unwrap();
}

#[test]
fn protocols_have_names() {
    for (protocol, name) in Protocol::ALL.into_iter().zip(["lvis", "lvis-fixed", "lvis-pooled", "coco"]) {
        assert_eq!(protocol.to_string(), name);
        assert_eq!(name.parse::<Protocol>().unwrap(), protocol);
        assert_eq!(serde_json::to_string(&protocol).unwrap(), format!("\"{name}\""));
    }
    let error = "voc".parse::<Protocol>().unwrap_err().to_string();
    assert!(error.contains("`voc`") && error.contains("lvis-pooled or coco"), "{error}");
}

#[test]
fn files_keep_every_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("detections.json");
    let detections = [
        detection(i64::MAX, i64::MIN, [0.1 + 0.2, 1e-308, 1.0 / 3.0, 123_456.789], 0.1 + 0.7),
        detection(0, 0, [0.0, -0.0, 5.0, 0.0], f64::MIN_POSITIVE),
    ];
    write_detections(&path, &detections).unwrap();
    let read = read_detections(&path).unwrap();
    let bits = |d: &Detection| (d.image_id, d.category_id, d.bbox.map(f64::to_bits), d.score.to_bits());
    assert!(read.iter().map(bits).eq(detections.iter().map(bits)));
    // Written over, and empty.
    write_detections(&path, &[]).unwrap();
    assert_eq!(read_detections(&path).unwrap(), []);
    assert_eq!(names_in(folder.path()), ["detections.json"], "nothing else is left");
}

#[test]
fn a_failed_write_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("detections.json");
    write_detections(&path, &[detection(1, 1, BOX, 0.5)]).unwrap();
    assert_says(
        write_detections(&path, &[detection(1, 1, BOX, f64::NAN)]),
        &["detection 0", "`score` is NaN"],
    );
    assert_eq!(read_detections(&path).unwrap().len(), 1);
    assert_eq!(names_in(folder.path()), ["detections.json"]);
    assert_says(write_detections(&folder.path().join("none/d.json"), &[]), &["cannot write", "d.json"]);
    fs::create_dir(folder.path().join("taken.json")).unwrap();
    assert_says(write_detections(&folder.path().join("taken.json"), &[]), &["cannot write", "taken.json"]);
    assert_eq!(names_in(folder.path()), ["detections.json", "taken.json"]);
}

#[test]
fn bad_files_name_entry_and_field() {
    let good = r#"{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1, "area": 3}"#;
    let second = |entry: &str| format!("[{good}, {entry}]");
    let cases = [
        (
            second(r#"{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]}"#),
            "entry 1 (counted from 0): field `score`",
        ),
        (second(r#"{"image_id": "1", "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}"#), "entry 1"),
        (
            second(r#"{"image_id": 1, "category_id": 1.5, "bbox": [0, 0, 1, 1], "score": 1}"#),
            "`category_id` is 1.5",
        ),
        (second(r#"{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1], "score": 1}"#), "`bbox` is [0,0,1]"),
        (
            second(r#"{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": null}"#),
            "`score` is null",
        ),
        (second("3"), "3 is not an object"),
        (second(r#"{"image_id": 1, "score": NaN}"#), "field `category_id` is missing"),
        (
            second(r#"{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": NaN}"#),
            "`score` is \"NaN\"",
        ),
        (
            second(r#"{"image_id": 1, "category_id": 1, "segmentation": [[1, 2, 3, 4, 5, 6]], "score": 1}"#),
            "mask",
        ),
        (
            second(
                r#"{"image_id": 9223372036854775808, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}"#,
            ),
            "9223372036854775808",
        ),
        (format!("[{good}"), "cut short"),
        (format!("{{\"annotations\": [{good}, 3]}}"), "is not a list of detections"),
        (String::new(), "empty"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.json");
    for (text, part) in cases {
        fs::write(&path, &text).unwrap();
        assert_says(read_detections(&path), &["bad.json", part]);
    }
    assert_says(read_detections(&folder.path().join("none.json")), &["cannot read", "none.json"]);
}

/// Ten gigabytes, of which a disk holds one entry: the file is read in parts, so that the mistake behind the
/// entry is found without reading, or holding, the rest.
#[test]
fn a_file_larger_than_memory_is_read_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.json");
    let entry = br#"[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}, "#;
    fs::write(&path, entry).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(10 << 30).unwrap();
    assert_says(read_detections(&path), &["huge.json", "line 1 column"]);
    let truth = set(vec![image(1)], vec![annotation(1, 1, 1, BOX)]);
    let truth = GroundTruth::new(&truth).unwrap();
    let mut part = Detections::new(&truth, "1/2".parse().unwrap());
    assert_says(part.read(&path), &["huge.json", "line 1 column"]);
    assert!(part.is_empty());
    assert_says(Detections::new(&truth, Shard::WHOLE).read(&path), &["huge.json"]);
}

#[test]
fn boxes_of_five_numbers_and_ids_as_text_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.json");
    for (entry, part) in [
        (
            r#"{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1, 1], "score": 1}"#,
            "`bbox` is [0,0,1,1,1]",
        ),
        (
            r#"{"image_id": 1, "category_id": "1", "bbox": [0, 0, 1, 1], "score": 1}"#,
            "`category_id` is \"1\"",
        ),
        (r#"{"image_id": 1, "category_id": 1, "bbox": {"x": 1}, "score": 1}"#, "`bbox` is {\"x\":1}"),
    ] {
        for text in [format!("[{entry}]"), format!("{entry}\n")] {
            fs::write(&path, text).unwrap();
            assert_says(read_detections(&path), &["bad.json", part]);
        }
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}
