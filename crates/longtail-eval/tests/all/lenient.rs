//! What evaluation does not need is not demanded; what it does need is.

use std::{fs, path::PathBuf};

use longtail_eval::{
    Detection, Detections, EvalError, Evaluation, GroundTruth, Protocol, Settings, Shard, read_detections,
    reading::ground_truth::open_ground_truth,
};
use longtail_formats::ReadOptions;

use crate::common::named;

const DETECTIONS: &str = r#"[{"image_id": 1, "category_id": 3, "bbox": [0, 0, 10, 10], "score": 0.5},
    {"image_id": 2, "category_id": 3, "bbox": [5, 5, 10, 10], "score": 1, "extra": {"\u00e4": [1]}}]"#;
const TRUTH: &str = r#"{"images": [{"id": 1}, {"id": 2.0}], "categories": [{"id": 3.0}],
    "annotations": [{"id": 1, "image_id": 1.0, "category_id": 3, "bbox": [0, 0, 10, 10]},
                    {"id": 2, "image_id": 2, "category_id": 3, "bbox": [5, 5, 10, 10], "iscrowd": true}]}"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn detections(&self, bytes: &[u8]) -> Result<Vec<Detection>, EvalError> {
        read_detections(&self.write("detections.json", bytes))
    }

    fn truth(&self, text: &[u8]) -> Result<longtail_annotations::AnnotationSet, EvalError> {
        open_ground_truth(&self.write("truth.json", text), &ReadOptions::default())
    }
}

fn folder() -> Folder {
    Folder(tempfile::tempdir().unwrap())
}

/// A text as UTF-16 with its byte order mark.
fn wide(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(bytes).collect()
}

#[test]
fn detections_are_read_as_others_write_them() {
    let folder = folder();
    let expected = folder.detections(DETECTIONS.as_bytes()).unwrap();
    assert_eq!((expected.len(), expected[1].image_id), (2, 2));
    let with_ids = DETECTIONS.replace("\"image_id\": 1,", "\"image_id\": 1.0,").replace("\": 3,", "\": 3e0,");
    let with_nan = DETECTIONS.replace("\"extra\"", "\"area\": NaN, \"note\": -Infinity, \"extra\"");
    assert!(with_ids != DETECTIONS && with_nan != DETECTIONS);
    for text in [
        &with_ids,
        &with_nan,
        &format!("\u{feff}{DETECTIONS}"),
        &format!("{{\"info\": {{}}, \"annotations\": {DETECTIONS}}}"),
        &format!("{{\n  \"predictions\": {with_nan}\n}}"),
        &format!(" {{\"results\": {DETECTIONS}}}\n"),
    ] {
        assert_eq!(folder.detections(text.as_bytes()).unwrap(), expected, "{text}");
    }
    for bytes in [wide(DETECTIONS, u16::to_le_bytes), wide(DETECTIONS, u16::to_be_bytes)] {
        assert_eq!(folder.detections(&bytes).unwrap(), expected);
    }
}

#[test]
fn ground_truth_needs_no_more_than_is_scored() {
    let folder = folder();
    let expected = folder.truth(TRUTH.as_bytes()).unwrap();
    let names: Vec<&str> = expected.categories.iter().map(|c| c.name.as_str()).collect();
    assert_eq!((expected.images[1].id, names, expected.annotations[1].iscrowd), (2, vec!["3"], true));
    let with_nan = TRUTH.replace("{\"id\": 1}", "{\"id\": 1, \"width\": NaN, \"date\": Infinity}");
    assert!(with_nan != TRUTH);
    for bytes in
        [with_nan.into_bytes(), format!("\u{feff}{TRUTH}").into_bytes(), wide(TRUTH, u16::to_le_bytes)]
    {
        assert_eq!(folder.truth(&bytes).unwrap(), expected);
    }
    let truth = GroundTruth::new(&expected).unwrap();
    let mut all = Detections::new(&truth, Shard::WHOLE);
    all.extend(&folder.detections(DETECTIONS.as_bytes()).unwrap()).unwrap();
    let report = Evaluation::new(&all, &Settings::strict(Protocol::Coco)).unwrap().report(None);
    assert!(report.metric(&named("AP")).unwrap() > 0.99);
}

#[test]
fn what_is_scored_is_demanded() {
    let folder = folder();
    let cut_short = &TRUTH[..TRUTH.len() - 2];
    for (text, word) in [
        (TRUTH.replace("[0, 0, 10, 10]", "[0, 0, NaN, 10]"), "NaN"),
        (TRUTH.replace("\"image_id\": 1.0", "\"image_id\": 1.5"), "1.5"),
        (TRUTH.replace("\"image_id\": 1.0, ", ""), "image_id"),
        (TRUTH.replace(", \"bbox\": [0, 0, 10, 10]", ""), "bbox"),
        (TRUTH.replace("{\"id\": 3.0}", "{\"name\": \"x\"}"), "`id`"),
        (cut_short.to_owned(), "cut short"),
        (DETECTIONS.to_owned(), "it is a list"),
    ] {
        let read = folder.truth(text.as_bytes()).and_then(|set| GroundTruth::new(&set));
        let error = read.unwrap_err().to_string();
        assert!(error.contains("truth.json") && error.contains(word), "`{word}` is not in `{error}`");
    }
    let error = folder.detections(&wide(DETECTIONS, u16::to_le_bytes)[..9]).unwrap_err().to_string();
    assert!(error.contains("UTF-16"), "{error}");
}
