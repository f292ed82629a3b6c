//! The error analysis against the numbers of PyPI `tidecv` 1.0.1, bit for bit; `error_rules` has cases made
//! by hand.
//!
//! `LONGTAIL_EVAL_FIXTURES` may name a folder with more cases, made by `scripts/golden_tide.py`.

use std::{collections::BTreeMap, path::Path};

use longtail_annotations::AnnotationSet;
use longtail_eval::{Detection, ErrorKind, ErrorOptions, ErrorReport, error_analysis};
use serde_json::Value;

fn golden_cases() -> Vec<(Value, String)> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let more = std::env::var_os("LONGTAIL_EVAL_FIXTURES").map(Into::into);
    let files = [Some(own), more].into_iter().flatten().map(|folder| folder.join("tide/cases.json"));
    // The folder may hold cases of the other tests only.
    let files = files.filter(|file| file.exists());
    files
        .map(|file| {
            let text = std::fs::read_to_string(&file).unwrap();
            (serde_json::from_str(&text).unwrap(), file.display().to_string())
        })
        .collect()
}

/// The inputs of a case; the ground truth goes through the reader, as a file would.
fn inputs(case: &Value) -> (AnnotationSet, Vec<Detection>, ErrorOptions) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("truth.json");
    std::fs::write(&file, case["truth"].to_string()).unwrap();
    let detections = serde_json::from_value(case["detections"].clone()).unwrap();
    let options = serde_json::from_value(case["options"].clone()).unwrap();
    (longtail_formats::read_annotations(&file).unwrap(), detections, options)
}

/// Demands that a number of ours, in 0..=1, be theirs, in percent; from Python 3.12 on, whose `sum` corrects
/// its rounding, to 1e-9.
fn assert_same(what: &str, ours: Option<f64>, percent: &Value, exact: bool) {
    let theirs = percent.as_f64().map(|value| value / 100.0);
    assert!(theirs.is_some() || percent.is_null(), "{what}");
    let same = match (ours, theirs) {
        (Some(a), Some(b)) if exact => a == b,
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9,
        (a, b) => a == b,
    };
    assert!(same, "{what} is {ours:?}, the reference says {theirs:?}");
}

/// Whether the file's Python sums as we do.
fn is_exact(file: &Value) -> bool {
    let python = file["python"].as_str().unwrap().split('.').map(|part| part.parse::<u32>().unwrap());
    python.collect::<Vec<_>>() < vec![3, 12]
}

/// Compares every count and every number.
fn assert_report(case: &str, report: &ErrorReport, expected: &Value, exact: bool) {
    for kind in ErrorKind::ALL {
        let key = serde_json::to_value(kind).unwrap();
        let key = key.as_str().unwrap();
        let errors = &expected["errors"][key];
        let found = report.counts.errors[&kind];
        assert_eq!(Some(found.count), errors["count"].as_u64(), "{case}: {kind:?}");
        assert_eq!(Some(found.ignored), errors["ignored"].as_u64(), "{case}: ignored {kind:?}");
        let by_class: BTreeMap<String, u64> = serde_json::from_value(errors["by_class"].clone()).unwrap();
        let ours = report.by_class.iter().map(|c| (c.category_id.to_string(), c.counts.errors[&kind].count));
        let ours: BTreeMap<String, u64> = ours.filter(|(_, count)| *count > 0).collect();
        assert_eq!(ours, by_class, "{case}: {kind:?} by class");
        let gain = format!("{case}: gain of {kind:?}");
        assert_same(&gain, report.delta_ap[&kind], &expected["delta_ap"][key], exact);
    }
    assert_same(&format!("{case}: AP"), report.ap, &expected["ap"], exact);
    let (positives, negatives) = (report.false_positives_delta_ap, report.false_negatives_delta_ap);
    assert_same(&format!("{case}: false positives"), positives, &expected["false_positives"], exact);
    assert_same(&format!("{case}: false negatives"), negatives, &expected["false_negatives"], exact);
}

#[test]
fn random_cases_are_those_of_tidecv() {
    let mut seen = BTreeMap::new();
    for (file, name) in golden_cases() {
        let cases = file["cases"].as_object().unwrap();
        assert!(cases.len() >= 20, "{name}");
        for (case, content) in cases {
            let (truth, detections, options) = inputs(content);
            let report = error_analysis(&truth, &detections, &options).unwrap();
            assert_report(&format!("{name}, {case}"), &report, &content["expected"], is_exact(&file));
            for (kind, error) in &report.counts.errors {
                *seen.entry((options.federated, *kind)).or_insert(0) += error.count;
            }
        }
    }
    assert_eq!(seen.len(), 2 * ErrorKind::ALL.len());
    assert!(seen.values().all(|&count| count >= 5), "kinds that the cases lack: {seen:?}");
}

#[test]
fn files_of_lvis_and_coco_are_those_of_tidecv() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let text = std::fs::read_to_string(fixtures.join("tide/files.json")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let cases = file["files"].as_array().unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let path = |key: &str| fixtures.join(case[key].as_str().unwrap());
        let truth = longtail_formats::read_annotations(&path("gt")).unwrap();
        let text = std::fs::read_to_string(path("dt")).unwrap();
        let detections: Vec<Detection> = serde_json::from_str(&text).unwrap();
        let options = serde_json::from_value(case["options"].clone()).unwrap();
        let report = error_analysis(&truth, &detections, &options).unwrap();
        let name = format!("{}, federated {}", case["gt"], options.federated);
        assert_report(&name, &report, &case["expected"], is_exact(&file));
        let groups: u64 = report.by_frequency.values().map(|tally| tally.total()).sum();
        let with_group = truth.categories.iter().any(|c| c.frequency.is_some());
        assert_eq!(groups, if with_group { report.counts.total() } else { 0 }, "{name}");
    }
}

#[test]
fn tallies_add_up_whatever_the_number_of_threads() {
    for (file, _) in golden_cases() {
        for (name, case) in file["cases"].as_object().unwrap() {
            let (truth, detections, options) = inputs(case);
            let with_threads = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| error_analysis(&truth, &detections, &options).unwrap())
            };
            let report = with_threads(1);
            let text = serde_json::to_string(&report).unwrap();
            assert_eq!(text, serde_json::to_string(&with_threads(5)).unwrap(), "{name}");
            assert_eq!(serde_json::from_str::<ErrorReport>(&text).unwrap(), report, "{name}");

            let mut kept = 0;
            for image in &truth.images {
                let count = detections.iter().filter(|d| d.image_id == image.id).count();
                kept += count.min(options.max_detections.get()) as u64;
            }
            let missed = report.counts.errors[&ErrorKind::Missed].count;
            assert_eq!(report.counts.correct + report.counts.total() - missed, kept, "{name}");
            let classes = report.by_class.iter();
            assert_eq!(classes.map(|c| c.counts.total()).sum::<u64>(), report.counts.total(), "{name}");
            let shares = report.counts.errors.values().filter_map(|e| e.share);
            assert!(report.counts.total() == 0 || (shares.sum::<f64>() - 1.0).abs() < 1e-12, "{name}");
        }
    }
}
