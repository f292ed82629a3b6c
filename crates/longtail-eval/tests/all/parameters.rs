//! Parameters as values: what cannot be honoured is refused by name, and every detection is accounted for.

use longtail_eval::{
    AreaRange, Chosen, DetectionCounts, Detections, EvalError, EvalReport, Evaluation, GroundTruth,
    MaxDetections, Parameters, Protocol, Settings, Shard, calibration,
};

use crate::common::{annotation, detection, federated_image, image, named, set};

const BOX: [f64; 4] = [10.0, 10.0, 40.0, 40.0];
const APART: [f64; 4] = [300.0, 300.0, 40.0, 40.0];

fn score(settings: &Settings, chosen: &Chosen) -> Result<EvalReport, EvalError> {
    let images = vec![federated_image(1, &[2], &[]), image(2)];
    let truth = set(images, vec![annotation(1, 1, 1, BOX), annotation(2, 2, 3, BOX)]);
    let truth = GroundTruth::chosen(&truth, chosen)?;
    let mut all = Detections::new(&truth, Shard::WHOLE);
    all.extend(&[
        detection(1, 1, BOX, 0.9),
        detection(1, 2, APART, 0.8),
        // Neither annotated nor verified absent there.
        detection(1, 3, BOX, 0.7),
        // Without extent.
        detection(1, 1, [5.0, 5.0, 0.0, 4.0], 0.6),
        // Of an unknown category.
        detection(2, 99, BOX, 0.5),
        detection(2, 3, BOX, 0.4),
        detection(2, 3, APART, 0.3),
    ])?;
    Ok(Evaluation::new(&all, settings)?.report(None))
}

fn with(protocol: Protocol, change: impl Fn(&mut Settings)) -> Settings {
    let mut settings = Settings::strict(protocol);
    change(&mut settings);
    settings
}

#[test]
fn what_cannot_be_honoured_is_refused_by_name() {
    let fails = |settings: Settings, chosen: Chosen, words: &[&str]| {
        let error = score(&settings, &chosen).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    let parameters = |change: fn(&mut Parameters), words: &[&str]| {
        fails(with(Protocol::Coco, |s| change(&mut s.parameters)), Chosen::default(), words);
    };
    parameters(|p| p.iou_thresholds.clear(), &["iou_thresholds", "empty"]);
    parameters(|p| p.iou_thresholds.push(1.5), &["iou_thresholds", "1.5"]);
    parameters(|p| p.iou_thresholds[0] = f64::NAN, &["iou_thresholds", "NaN"]);
    parameters(|p| p.recall_thresholds.reverse(), &["recall_thresholds", "ascend"]);
    parameters(|p| p.areas.clear(), &["areas", "`all`"]);
    parameters(|p| p.areas.push(AreaRange::new("all", 0.0, 1.0)), &["areas", "twice"]);
    parameters(|p| p.areas.push(AreaRange::new("0-10", 0.0, 1.0)), &["areas", "0-10"]);
    parameters(|p| p.areas.push(AreaRange::new("thin", 5.0, 1.0)), &["areas", "thin", "5"]);

    let agnostic = with(Protocol::Lvis, |s| s.parameters.class_agnostic = true);
    fails(agnostic, Chosen::default(), &["class_agnostic", "lvis", "coco"]);
    let caps = |caps: &[usize]| MaxDetections::Caps(caps.to_vec());
    for (protocol, max_detections, words) in [
        (Protocol::Lvis, caps(&[1, 10]), &["max_detections", "one cap"][..]),
        (Protocol::LvisFixed, caps(&[10]), &["lvis-fixed"]),
        (Protocol::Coco, MaxDetections::Unlimited, &["coco"]),
        (Protocol::Coco, caps(&[]), &["coco"]),
        (Protocol::Coco, caps(&[0]), &["coco"]),
    ] {
        fails(with(protocol, |s| s.max_detections = max_detections.clone()), Chosen::default(), words);
    }
    let images = |ids: &[i64]| Chosen { images: Some(ids.to_vec()), categories: None };
    fails(Settings::strict(Protocol::Coco), images(&[1, 7]), &["image id 7", "chosen"]);
    fails(Settings::strict(Protocol::LvisFixed), images(&[1]), &["images", "lvis-fixed"]);
    let categories = Chosen { images: None, categories: Some(vec![1, 8]) };
    fails(Settings::strict(Protocol::Coco), categories, &["category id 8", "chosen"]);

    let truth = set(vec![image(1)], vec![annotation(1, 1, 1, BOX)]);
    let truth = GroundTruth::new(&truth).unwrap();
    let settings = with(Protocol::Coco, |s| s.parameters.iou_thresholds = vec![0.75]);
    let evaluation = Evaluation::new(&Detections::new(&truth, Shard::WHOLE), &settings).unwrap();
    assert!(calibration(&evaluation).unwrap_err().to_string().contains("0.5"));
    assert!(evaluation.false_positives_per_image(0.5).unwrap_err().to_string().contains("0.5"));
}

#[test]
fn every_detection_is_accounted_for() {
    let read = 7;
    let lvis = score(&Settings::strict(Protocol::Lvis), &Chosen::default()).unwrap();
    let expected = DetectionCounts {
        read,
        scored: 4,
        unknown_category: 1,
        not_verified: 1,
        without_extent: 1,
        ..Default::default()
    };
    assert_eq!(lvis.detections, expected);

    let capped = with(Protocol::Coco, |s| s.max_detections = MaxDetections::Caps(vec![1]));
    let coco = score(&capped, &Chosen::default()).unwrap();
    let expected =
        DetectionCounts { read, scored: 4, unknown_category: 1, over_cap: 2, ..Default::default() };
    assert_eq!(coco.detections, expected);

    let chosen = Chosen { images: Some(vec![1]), categories: Some(vec![1]) };
    let part = score(&Settings::strict(Protocol::Coco), &chosen).unwrap();
    let expected = DetectionCounts { read, scored: 2, not_chosen: 5, ..Default::default() };
    assert_eq!(part.detections, expected);
    assert_eq!(part.per_category.len(), 1);
}

#[test]
fn metrics_follow_the_parameters_and_the_report_says_which() {
    let settings = with(Protocol::Coco, |s| {
        s.parameters.iou_thresholds = vec![0.3, 0.5];
        s.parameters.areas = vec![AreaRange::new("tiny", 0.0, 256.0), AreaRange::new("all", 0.0, 1e10)];
        s.max_detections = MaxDetections::Caps(vec![500, 1]);
    });
    let report = score(&settings, &Chosen::default()).unwrap();
    let names: Vec<String> = report.metrics.keys().map(ToString::to_string).collect();
    let expected = ["AP", "AP50", "AP75", "AP[tiny]", "APr", "APc", "APf", "AR@1", "AR@500", "AR[tiny]@500"];
    assert_eq!(names, expected);
    assert_eq!((report.metric(&named("AP75")), report.metric(&named("AP[tiny]"))), (None, None));
    // One class is found at once, the other behind a wrong box.
    assert!((report.metric(&named("AP50")).unwrap() - 0.75).abs() < 1e-9);
    assert_eq!(report.provenance["iou_thresholds"], "0.3,0.5");
    assert_eq!(report.provenance["areas"], "tiny:0-256,all:0-10000000000");
    assert!(!report.provenance.contains_key("recall_thresholds"));
}

#[test]
fn settings_survive_the_way_through_a_file() {
    let settings = with(Protocol::Coco, |s| {
        s.parameters.class_agnostic = true;
        s.parameters.iou_thresholds = vec![0.1, 0.899_999_999_999_999_9];
        s.max_detections = MaxDetections::Caps(vec![3]);
    });
    let json = serde_json::to_string(&settings).unwrap();
    assert_eq!(serde_json::from_str::<Settings>(&json).unwrap(), settings);
    for (text, area) in
        [("tiny:0-256", Some(AreaRange::new("tiny", 0.0, 256.0))), ("tiny", None), ("a:1", None)]
    {
        assert_eq!(text.parse().ok(), area, "{text}");
    }
    assert_eq!("1,10,500".parse(), Ok(MaxDetections::Caps(vec![1, 10, 500])));
    for text in ["0", "", "1,,2", "-1", "all"] {
        assert!(text.parse::<MaxDetections>().is_err(), "{text}");
    }
}
