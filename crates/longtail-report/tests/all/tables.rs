//! Tables of evaluations, comparisons and analyses.

use std::collections::BTreeMap;

use longtail_annotations::FrequencyGroup;
use longtail_eval::{
    Calibration, ClassDifference, Comparison, Difference, ErrorKind, ErrorOptions, ErrorReport, Metric,
    Operating, OperatingPoint, Reliability,
    analysis::errors::{ERROR_SCHEMA_VERSION, ErrorCount, ErrorTally},
};
use longtail_report::{
    analyses::{Analyses, Pair},
    comparison, scores,
};

use crate::{plain, report};

#[test]
fn an_evaluation() {
    let values = [
        ("ARs@300", None),
        ("AR@300", Some(0.5)),
        ("AP[>10]", Some(0.25)),
        ("APr", Some(0.125)),
        ("APs", Some(0.3)),
        ("AP50", Some(0.45)),
        ("AP", Some(0.375)),
    ];
    let report = report("lvis", &values);
    let parts = [
        scores::metrics(&report, plain),
        scores::detections(&report),
        scores::extreme_classes(&report, plain),
        scores::classes_csv(&report).unwrap(),
    ];
    insta::assert_snapshot!(parts.join("\n\n"));
}

#[test]
fn a_comparison() {
    let difference = |value: f64, low, high, images| Difference { value, low, high, won: 0.75, images };
    let class = |category_id, name: &str, difference| ClassDifference {
        category_id,
        name: name.to_owned(),
        frequency: Some(FrequencyGroup::Rare),
        ground_truth: 9,
        baseline: 0.25,
        difference,
    };
    let metrics = [
        (Metric::AP, difference(0.02, 0.01, 0.03, 90)),
        (Metric::AP.of_group(FrequencyGroup::Rare), difference(-0.1, -0.3, 0.1, 8)),
    ];
    let found = Comparison {
        metrics: metrics.into(),
        classes: vec![
            class(3, "won", difference(0.5, 0.25, 0.75, 20)),
            class(2, "equal", difference(0.0, 0.0, 0.0, 20)),
            class(1, "lost", difference(-0.25, -0.5, 0.0, 2)),
        ],
    };
    let baseline = report("lvis", &[("AP", Some(0.375)), ("APr", Some(0.125))]);
    let mut parts = comparison::tables(&found, &baseline, "first.json", 5, plain);
    parts.push(comparison::csv(&["other.json".to_owned()], &[found]).unwrap());
    insta::assert_snapshot!(parts.join("\n\n"));
}

#[test]
fn analyses() {
    let mut counts = ErrorTally::default();
    counts.errors.insert(ErrorKind::Background, ErrorCount { count: 3, share: Some(0.75), ignored: 1 });
    counts.errors.insert(ErrorKind::Missed, ErrorCount { count: 1, share: Some(0.25), ignored: 0 });
    let errors = ErrorReport {
        schema_version: ERROR_SCHEMA_VERSION,
        ground_truth: "val.json".into(),
        options: ErrorOptions::coco(),
        ap: Some(0.4),
        by_frequency: BTreeMap::from([(FrequencyGroup::Rare, counts.clone())]),
        counts,
        delta_ap: BTreeMap::from([(ErrorKind::Background, Some(0.0625)), (ErrorKind::Missed, None)]),
        false_positives_delta_ap: None,
        false_negatives_delta_ap: None,
        by_class: Vec::new(),
    };
    let pair = |truth: &str, training_images| Pair {
        truth: truth.to_owned(),
        claimed: "eye mask".into(),
        count: 5,
        total: 9,
        training_images,
        frequencies: (Some(FrequencyGroup::Frequent), None),
        across: true,
    };
    let bin =
        Reliability { true_positives: 3, false_positives: 1, mean_score: Some(0.7), precision: Some(0.75) };
    let calibration = |frequency| Calibration {
        frequency,
        expected_calibration_error: Some(0.05),
        bins: vec![Reliability::default(), bin],
    };
    let point = |score, recall| OperatingPoint { score, precision: Some(0.75), recall, f1: 0.6 };
    let operating = |category_id, name: &str, best_f1, at_score| Operating {
        category_id,
        name: name.into(),
        ground_truth: 8,
        best_f1,
        at_score,
        curve: Vec::new(),
    };
    let none = OperatingPoint { score: 0.5, precision: None, recall: 0.0, f1: 0.0 };
    let analyses = Analyses {
        errors: Some(errors),
        confusions: Some(vec![pair("sunglasses", Some((120, 3))), pair("goggles", None)]),
        calibration: Some(vec![calibration(None), calibration(Some(FrequencyGroup::Rare))]),
        operating_points: Some(vec![
            operating(None, "all classes", Some(point(0.25, 0.5)), Some(point(0.5, 0.375))),
            operating(Some(3), "goggles", None, Some(none)),
        ]),
    };
    insta::assert_snapshot!(analyses.tables(plain).join("\n\n"));
}
