//! `longtail eval` and `longtail compare` from the outside.

use std::{fs, path::Path};

use serde_json::Value;

use crate::common::{output, refuses, succeed};

fn fixture(name: &str) -> String {
    format!("{}/../longtail-eval/tests/fixtures/lvis/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// `eval` of the fixture with more arguments.
fn eval(protocol: &str, detections: &str, more: &[&str]) -> Vec<String> {
    let truth = fixture("gt_val100_boxes.json");
    let fixed = ["eval", "--protocol", protocol, "--ground-truth", &truth, "--detections", detections];
    fixed.iter().chain(more).map(|s| (*s).to_owned()).collect()
}

fn json(arguments: &[String]) -> Value {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(["--format", "json"]).collect();
    serde_json::from_str(&succeed(&arguments)).unwrap()
}

#[test]
fn parts_are_joined_to_the_same_output() {
    let folder = tempfile::tempdir().unwrap();
    let ties = fixture("dt_b_score_ties.json");
    let mut merge = vec!["eval".to_owned(), "--merge".into()];
    for part in ["1/2", "2/2"] {
        let path = folder.path().join(part.replace('/', "-")).display().to_string();
        let arguments = eval("lvis", &ties, &["--shard", part, "--partial", &path]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        assert_eq!(succeed(&arguments), "");
        merge.push(path);
    }
    let (mut whole, joined) = (json(&eval("lvis", &ties, &[])), json(&merge));
    whole["provenance"].as_object_mut().unwrap().remove("detections");
    assert_eq!(joined, whole);
    refuses(&["eval", "--merge", &merge[2]], &["2/2 missing"]);
    refuses(&["eval", "--merge", &ties], &["dt_b_score_ties.json", "not a part of an evaluation"]);
}

#[test]
fn operating_points_and_curves_are_given() {
    let folder = tempfile::tempdir().unwrap();
    let curves = folder.path().join("curves.json").display().to_string();
    let matrix = folder.path().join("matrix.json").display().to_string();
    let tables = folder.path().join("tables").display().to_string();
    let files = ["--curves", &curves, "--confusion-matrix", &matrix, "--tables", &tables];
    let more = [&["--operating-points", "--at-score", "0.5"][..], &files].concat();
    let arguments = eval("lvis", &fixture("dt_b_score_ties.json"), &more);
    let report = json(&arguments);
    let points = report["operating_points"].as_array().unwrap();
    assert!(points.len() > 100);
    assert_eq!(points[0]["name"], "all classes");
    assert_eq!(points[0]["at_score"]["score"], 0.5);
    assert!(points[0].get("curve").is_none());
    let curves: Value = serde_json::from_str(&fs::read_to_string(&curves).unwrap()).unwrap();
    let matrix: Value = serde_json::from_str(&fs::read_to_string(&matrix).unwrap()).unwrap();
    assert!(matrix["cells"].as_array().unwrap().len() > 50);
    for name in ["classes", "detections", "images"] {
        assert!(Path::new(&tables).join(format!("{name}.parquet")).is_file());
    }
    assert_eq!(curves[0]["best_f1"], points[0]["best_f1"]);
    assert!(curves[0]["curve"].as_array().unwrap().len() > 10);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let text = succeed(&arguments);
    assert!(text.contains("Operating points at IoU 0.5") && text.contains("precision at 0.5"), "{text}");
}

#[test]
fn masks_and_boundaries_are_scored() {
    let cases = fs::read_to_string(fixture("../masks/cases.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&cases).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, value: &Value| {
        let path = folder.path().join(name).display().to_string();
        fs::write(&path, value.to_string()).unwrap();
        path
    };
    for case in cases.iter().take(4) {
        let of = |field: &str| case[field].as_str().unwrap().to_owned();
        let (truth, found) = (write("truth.json", &case["truth"]), write("found.json", &case["detections"]));
        let (protocol, iou_type) = (of("protocol"), of("iou_type"));
        let inputs = ["--protocol", &protocol, "--ground-truth", &truth, "--detections", &found];
        let arguments = [&["eval"], &inputs[..], &["--iou-type", &iou_type]].concat();
        let report: Value =
            serde_json::from_str(&succeed(&[&arguments[..], &["--format", "json"]].concat())).unwrap();
        assert_eq!(report["provenance"]["iou_type"], iou_type.as_str());
        let ap = report["metrics"]["AP"].as_f64().unwrap_or(-1.0);
        assert_eq!(Some(ap), case["summary"]["AP"].as_f64());
        refuses(&[&arguments[..], &["--errors"]].concat(), &["--confusion-matrix are of boxes"]);
        if iou_type == "segm" {
            let ratio = [&arguments[..], &["--dilation-ratio", "0.1"]].concat();
            refuses(&ratio, &["--dilation-ratio", "segm"]);
        }
    }
}

#[test]
fn analyses_are_added_to_the_report() {
    let ties = fixture("dt_b_score_ties.json");
    let truth = fixture("gt_val100_boxes.json");
    let more = ["--errors", "--confusions", "--calibration", "--frequencies-from", &truth, "--bins", "1,5"];
    let arguments = eval("lvis", &ties, &more);
    let found = json(&arguments);
    assert!(found["metrics"]["AP[0-1]"].is_number() && found["metrics"]["AP[>5]"].is_null());
    let errors = found["errors"]["counts"]["errors"].as_object().unwrap();
    let total: u64 = errors.values().map(|e| e["count"].as_u64().unwrap()).sum();
    assert!(errors.len() == 6 && total > 100);
    assert!(found["calibration"][0]["expected_calibration_error"].as_f64().unwrap() < 0.5);
    let pairs = found["confusions"].as_array().unwrap();
    assert!(pairs.iter().all(|pair| pair["count"].as_u64() <= pair["total"].as_u64()) && !pairs.is_empty());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let text = succeed(&arguments);
    for part in ["missed", "Confusions", "expected calibration error"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn caps_and_protocols_change_what_is_counted() {
    let ties = fixture("dt_b_score_ties.json");
    let ap =
        |protocol: &str, more: &[&str]| json(&eval(protocol, &ties, more))["metrics"]["AP"].as_f64().unwrap();
    let all = ap("lvis", &[]);
    assert!(ap("lvis", &["--max-detections", "1"]) < all);
    // No image has more than 300 detections, no class more than 10,000.
    assert_eq!(ap("lvis", &["--max-detections", "none"]), all);
    assert_eq!(ap("lvis-fixed", &[]), all);
    assert!(ap("lvis-pooled", &[]) != all);
    let fails_with = |protocol, more: &[&str], part: &str| {
        let arguments = eval(protocol, &ties, more);
        refuses(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &[part]);
    };
    fails_with("lvis-fixed", &["--max-detections", "9"], "has its own cap");
    fails_with("lvis", &["--max-detections", "0"], "not a cap");
    fails_with("lvis", &["--bins", "10"], "--frequencies-from");
    fails_with("lvis-fixed", &["--shard", "1/2", "--partial", "none/x"], "run it whole");
    let truth = fixture("gt_val100_boxes.json");
    fails_with("lvis", &["--frequencies-from", &truth, "--bins", "10,5"], "do not ascend");
    fails_with("voc", &[], "not a protocol");
}

#[test]
fn files_that_are_something_else_are_named() {
    let truth = fixture("gt_val100_boxes.json");
    let fails_with = |detections: &str, parts: &[&str]| {
        let arguments = eval("lvis", detections, &[]);
        refuses(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), parts);
    };
    fails_with(&truth, &["gt_val100_boxes.json", "ground truth"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.json");
    let file = path.display().to_string();
    fs::write(&path, [0x1f, 0x8b, 8, 0]).unwrap();
    fails_with(&file, &["x.json", "unpacked"]);
    let missing = Path::new(&file).with_file_name("none.json").display().to_string();
    fails_with(&missing, &["cannot read", "none.json"]);
    let ties = fixture("dt_b_score_ties.json");
    refuses(
        &["eval", "--protocol", "lvis", "--ground-truth", &ties, "--detections", &ties],
        &["dt_b_score_ties.json"],
    );
}

#[test]
fn a_worse_detector_fails_where_that_was_asked() {
    let folder = tempfile::tempdir().unwrap();
    let ties = fixture("dt_b_score_ties.json");
    // Half of the detections, in turn.
    let all: Vec<Value> = serde_json::from_str(&fs::read_to_string(&ties).unwrap()).unwrap();
    let half: Vec<&Value> = all.iter().step_by(2).collect();
    let worse = folder.path().join("half.json").display().to_string();
    fs::write(&worse, serde_json::to_string(&half).unwrap()).unwrap();
    let truth = fixture("gt_val100_boxes.json");
    let compare = |a: &str, b: &str, more: &[&str]| {
        let fixed = ["compare", a, b, "--protocol", "lvis", "--ground-truth", &truth, "--resamples", "100"];
        output(&fixed.into_iter().chain(more.iter().copied()).collect::<Vec<_>>())
    };
    let gate = ["--fail-if-worse", "AP", "--format", "json"];
    let found = compare(&ties, &worse, &gate);
    assert_eq!(found.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    let ap = &found["comparisons"][0]["metrics"]["AP"];
    assert!(ap["high"].as_f64().unwrap() < 0.0 && ap["won"].as_f64().unwrap() < 0.05, "{ap}");
    assert_eq!(compare(&worse, &ties, &gate).status.code(), Some(0));
    let text = String::from_utf8(compare(&ties, &ties, &[]).stdout).unwrap();
    assert!(text.contains("the interval includes 0"), "{text}");
}
