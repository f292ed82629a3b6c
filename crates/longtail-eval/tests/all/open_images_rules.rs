//! The Open Images protocol rule by rule, and what is said of bad input and large files.

use crate::common::named;
use std::{collections::BTreeMap, fs};

use longtail_eval::{
    ClassBins, EvalError, EvalReport, OpenImagesEvaluation, OpenImagesPredictions, OpenImagesTruth,
};
use longtail_formats::open_images::{
    Hierarchy, HierarchyNode, ImageLabel, OpenImagesBox, OpenImagesClass, expand_boxes, expand_image_labels,
};

use crate::common::open_images::{Corners, Found, by_label, classes, found, image_label, score, truth_box};
const A: Corners = [0.0, 0.0, 0.5, 0.5];
const FAR: Corners = [0.6, 0.6, 0.9, 0.9];

#[test]
fn of_equal_scores_the_later_takes_the_box_and_the_earlier_ranks_first() {
    let score = |predictions: &[Found]| {
        score(&[truth_box("1", "a", A, false)], &[], None, predictions, 1.0).unwrap().metric(&named("mAP50"))
    };
    // Equal scores are turned round twice: in the image, and in the class.
    assert_eq!(score(&[found("1", "a", 0.5, A), found("1", "a", 0.5, FAR)]), Some(1.0));
    assert_eq!(score(&[found("1", "a", 0.5, FAR), found("1", "a", 0.5, A)]), Some(0.5));
    // Both are on the box; the later takes it, and the other, now wrong, ranks before it.
    assert_eq!(score(&[found("1", "a", 0.5, A), found("1", "a", 0.5, A)]), Some(0.5));
}

#[test]
fn there_is_no_second_choice_of_box() {
    let near = [0.0, 0.0, 0.5, 0.45];
    let boxes = [truth_box("1", "a", A, false), truth_box("1", "a", near, false)];
    // Both prefer the first box; the second overlaps by 0.9 too.
    let predictions = [found("1", "a", 0.9, A), found("1", "a", 0.8, A)];
    assert_eq!(score(&boxes, &[], None, &predictions, 1.0).unwrap().metric(&named("mAP50")), Some(0.5));
}

#[test]
fn groups_absorb_and_count_by_their_weight() {
    let whole = [0.0, 0.0, 1.0, 1.0];
    let boxes = [truth_box("1", "a", whole, true), truth_box("2", "a", A, false)];
    let predictions = [
        found("1", "a", 0.9, A),
        found("1", "a", 0.8, FAR),
        found("2", "a", 0.7, A),
        found("2", "a", 0.95, FAR),
    ];
    // Weight 0: one box, found after a wrong one. Weight 1: two boxes, the group at 0.9 and the box at 0.7.
    assert_eq!(score(&boxes, &[], None, &predictions, 0.0).unwrap().metric(&named("mAP50")), Some(0.5));
    let with_groups = score(&boxes, &[], None, &predictions, 1.0).unwrap();
    assert_eq!(with_groups.metric(&named("mAP50")), Some(2.0 / 3.0));
    assert_eq!(with_groups.per_category[0].ground_truth, 2);
    assert!(score(&boxes, &[], None, &predictions, f64::NAN).unwrap_err().to_string().contains("weight NaN"));
}

#[test]
fn only_verified_classes_are_scored() {
    let boxes = [truth_box("1", "a", A, false), truth_box("2", "b", A, false)];
    let wrong = [found("2", "a", 0.9, A), found("1", "a", 0.5, A), found("none", "a", 1.0, A)];
    let run = |labels: &[ImageLabel]| by_label(&score(&boxes, labels, None, &wrong, 1.0).unwrap())["a"];
    assert_eq!(run(&[]), Some(1.0));
    assert_eq!(run(&[image_label("2", "a", false)]), Some(0.5));
    assert_eq!(run(&[image_label("2", "a", true)]), Some(0.5));
}

#[test]
fn at_most_ten_thousand_of_an_image_and_class_are_scored() {
    let boxes = [truth_box("1", "a", A, false)];
    let mut predictions = vec![found("1", "a", 0.9, FAR); 9_999];
    predictions.push(found("1", "a", 0.5, A));
    let run = |predictions: &[Found]| {
        score(&boxes, &[], None, predictions, 1.0).unwrap().metric(&named("mAP50")).unwrap()
    };
    assert_eq!(run(&predictions), 1.0 / 10_000.0);
    predictions.insert(0, found("1", "a", 0.9, FAR));
    assert_eq!(run(&predictions), 0.0);
}

#[test]
fn a_class_without_boxes_has_no_value_and_one_without_predictions_has_0() {
    let labels = [image_label("1", "c", false)];
    let report =
        score(&[truth_box("1", "a", A, false)], &labels, Some(classes(&["a", "b", "c"])), &[], 1.0).unwrap();
    assert_eq!(by_label(&report).into_values().collect::<Vec<_>>(), [Some(0.0), None, None]);
    assert_eq!(report.metric(&named("mAP50")), Some(0.0));
    assert_eq!(report.per_category[1].name, "name of b");
    let none = score(&[], &labels, None, &[], 1.0).unwrap();
    assert_eq!(none.metrics[&named("mAP50")], None);
}

#[test]
fn expansion_and_frequency_groups_change_what_is_meant() {
    let node =
        |label: &str, subcategories| HierarchyNode { label: label.into(), subcategories, parts: vec![] };
    let root = node("entity", vec![node("animal", vec![node("cat", vec![]), node("dog", vec![])])]);
    let tree = Hierarchy::new(root).unwrap();
    let boxes = [truth_box("1", "cat", A, false), truth_box("1", "dog", A, false)];
    let boxes = expand_boxes(&tree, &boxes).unwrap();
    let labels = expand_image_labels(&tree, &[image_label("2", "animal", false)]).unwrap();
    let predictions = [found("1", "animal", 0.9, A), found("1", "cat", 0.9, A), found("2", "cat", 0.95, A)];
    let mut truth = OpenImagesTruth::new("x".into(), &boxes, &labels, None).unwrap();
    let training: Vec<OpenImagesBox> = (0..20).map(|n| truth_box(&n.to_string(), "cat", A, n > 14)).collect();
    let counts = truth.image_counts(&training);
    truth.set_frequencies(&counts).unwrap();
    let mut all = OpenImagesPredictions::new(&truth);
    all.extend(&predictions.iter().map(Found::borrowed).collect::<Vec<_>>()).unwrap();
    let bins = ClassBins::new(counts, vec![10]).unwrap();
    let report = OpenImagesEvaluation::new(&all, 1.0).unwrap().report(Some(&bins));
    // Two boxes of an animal, one found; the cat of image 2 is verified absent; no dog was found.
    let expected = BTreeMap::from([("animal", Some(0.5)), ("cat", Some(0.5)), ("dog", Some(0.0))]);
    assert_eq!(by_label(&report), expected.into_iter().map(|(l, v)| (l.to_owned(), v)).collect());
    // Fifteen training images of cats without groups; none of the others.
    assert_eq!(report.metric(&named("mAP50c")), Some(0.5));
    assert_eq!((report.metric(&named("mAP50r")), report.metrics.get(&named("mAP50f"))), (Some(0.25), None));
    assert_eq!(
        (report.metric(&named("mAP50[0-10]")), report.metric(&named("mAP50[>10]"))),
        (Some(0.25), Some(0.5))
    );
    let error = truth.set_frequencies(&truth.image_counts(&[])).unwrap_err().to_string();
    assert!(error.contains("same data set"), "{error}");
}

#[test]
fn bad_input_is_named() {
    let good = truth_box("1", "a", A, false);
    let says = |result: Result<EvalReport, EvalError>, parts: &[&str]| {
        let error = result.unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in `{error}`");
        }
    };
    let swapped = truth_box("1", "a", [0.5, 0.0, 0.1, 1.0], false);
    says(score(&[good.clone(), swapped], &[], None, &[], 1.0), &["box 1", "XMin 0.5 is above XMax 0.1"]);
    let infinite = truth_box("1", "a", [0.0, 0.0, f64::INFINITY, 1.0], false);
    says(score(&[infinite], &[], None, &[], 1.0), &["box 0", "not all finite"]);
    let machine = ImageLabel { confidence: 0.7, ..image_label("1", "a", true) };
    says(
        score(std::slice::from_ref(&good), &[machine], None, &[], 1.0),
        &["image-level label 0", "0.7", "machines"],
    );
    says(score(&[], &[], None, &[], 1.0), &["neither boxes nor image-level labels"]);
    let known = || Some(classes(&["a"]));
    says(
        score(&[good.clone(), truth_box("1", "b", A, false)], &[], known(), &[], 1.0),
        &["box 1", "`b` is not among the classes"],
    );
    says(
        score(std::slice::from_ref(&good), &[image_label("1", "b", true)], known(), &[], 1.0),
        &["image-level label 0", "`b`"],
    );
    let boxes = std::slice::from_ref(&good);
    says(
        score(boxes, &[], known(), &[found("1", "a", 0.5, A), found("1", "b", 0.5, A)], 1.0),
        &["detection 1", "`b`"],
    );
    assert!(score(boxes, &[], None, &[found("1", "b", 0.5, A)], 1.0).is_ok());
    says(score(boxes, &[], None, &[found("1", "a", f64::NAN, A)], 1.0), &["detection 0", "not finite"]);
    let huge = vec![OpenImagesClass { id: i64::MAX, label: "a".into(), name: "a".into() }];
    says(score(boxes, &[], Some(huge), &[], 1.0), &["id 9223372036854775807", "too large"]);
}

// Files of predictions.

const HEADER: &str = "ImageID,LabelName,Score,XMin,XMax,YMin,YMax\n";

fn read(text: &[u8], rows: &mut u64) -> Result<EvalReport, EvalError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("predictions.csv");
    fs::write(&path, text).unwrap();
    let boxes = [truth_box("1", "a", A, false), truth_box("2", "b,c", A, false)];
    let truth = OpenImagesTruth::new("x".into(), &boxes, &[], Some(classes(&["a", "b,c", "d"]))).unwrap();
    let mut all = OpenImagesPredictions::new(&truth);
    all.read(&path)?;
    *rows = all.len() as u64;
    Ok(OpenImagesEvaluation::new(&all, 1.0)?.report(None))
}

#[test]
fn large_files_are_read_in_parts_with_the_same_result() {
    // Several parts of 1 MiB; among them rows that are not scored.
    let mut text = HEADER.to_owned();
    for n in 0..120_000 {
        let label = if n % 3 == 0 { "d" } else { "a" };
        text.push_str(&format!("1,{label},0.{},0,0.5,0,0.{}\n", n * 7919 % 100_000, 1 + n % 7));
    }
    assert!(text.len() > 2_500_000);
    let mut rows = 0;
    let plain = read(text.as_bytes(), &mut rows).unwrap();
    assert_eq!(rows, 80_000);
    let value = plain.per_category[0].ap50.unwrap();
    assert!(value > 0.0);
    // Quotes, and other line ends, take the other way of reading.
    let quoted = text.replace("\n1,", "\n\"1\",");
    assert_eq!(read(quoted.as_bytes(), &mut rows).unwrap(), plain);
    let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    assert_eq!(read(windows.as_bytes(), &mut rows).unwrap(), plain);
    let old_mac = text.replace('\n', "\r");
    assert_eq!(read(old_mac.as_bytes(), &mut rows).unwrap(), plain);
    // A mistake far inside is found with its line.
    let mut lines: Vec<&str> = text.lines().collect();
    lines[90_000] = "1,x,0.5,0,0.5,0,0.5";
    for end in ["\n", "\r\n", "\n\n"] {
        let error = read(lines.join(end).as_bytes(), &mut rows).unwrap_err().to_string();
        let line = if end == "\n\n" { 180_001 } else { 90_001 };
        let expected = format!("predictions.csv, line {line}: label `x` is not among");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn broken_predictions_are_named_with_their_line() {
    let mut rows = 0;
    for (text, parts) in [
        (String::new(), vec!["line 1", "the file is empty"]),
        ("ImageID,LabelName,Conf,XMin,XMax,YMin,YMax\n".into(), vec!["column `Score` is missing", "Conf"]),
        (format!("{HEADER}1,a,0.5,0,0.5,0\n"), vec!["line 2", "6 fields"]),
        (format!("{HEADER}1,a,0,5,0,0.5,0,0.5\n"), vec!["line 2", "8 fields", "decimal commas"]),
        (format!("{HEADER}1,a,0.5,0,0.5,0,0.5\n\n1,a,nan,0,0.5,0,0.5\n"), vec!["line 4", "`Score` is `nan`"]),
        (format!("{HEADER}1,a,1e999,0,0.5,0,0.5\n"), vec!["line 2", "`Score`"]),
        (
            format!("{HEADER}1,\"b,c\",0.5,0,0.5,0,0.5\n1,e,0.5,0,0.5,0,0.5\n"),
            vec!["line 3", "`e` is not among"],
        ),
        (format!("{HEADER},a,0.5,0,0.5,0,0.5\n"), vec!["line 2", "`ImageID` is empty"]),
    ] {
        let error = read(text.as_bytes(), &mut rows).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in `{error}`");
        }
    }
    // No row at all: every class with boxes scores 0.
    assert_eq!(read(HEADER.as_bytes(), &mut rows).unwrap().metric(&named("mAP50")), Some(0.0));
    assert_eq!(read(HEADER.trim_end().as_bytes(), &mut rows).unwrap().metric(&named("mAP50")), Some(0.0));
}
