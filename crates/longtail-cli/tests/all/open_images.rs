//! Open Images files from the outside.

use std::{fs, path::Path, process::Output};

use crate::common::output_in;

const TREE: &str =
    r#"{"LabelName": "a", "Subcategory": [{"LabelName": "b", "Subcategory": [{"LabelName": "c"}]}]}"#;

#[test]
fn boxes_are_repeated_for_ancestors() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tree.json"), TREE).unwrap();
    fs::write(folder.path().join("in.csv"), "ImageID,LabelName,XMin,XMax,YMin,YMax\n1,c,0,1,0,1\n").unwrap();
    let arguments = ["data", "expand-hierarchy", "--hierarchy", "tree.json", "in.csv", "out.csv"];
    let done = output_in(folder.path(), &arguments);
    let talk = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success() && talk.contains("1 boxes became 2 in out.csv"), "{talk}");
    let expected = "ImageID,LabelName,XMin,XMax,YMin,YMax\n1,c,0,1,0,1\n1,b,0,1,0,1\n";
    assert_eq!(fs::read_to_string(folder.path().join("out.csv")).unwrap(), expected);

    fs::write(folder.path().join("in.csv"), "ImageID,LabelName,XMin,XMax,YMin,YMax\n1,x,0,1,0,1\n").unwrap();
    let failed = output_in(folder.path(), &arguments);
    let talk = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(failed.status.code(), Some(2));
    assert!(talk.contains("in.csv, line 2: `LabelName` is `x`"), "{talk}");
    // The file that was whole before is still there.
    assert_eq!(fs::read_to_string(folder.path().join("out.csv")).unwrap(), expected);
}

const BOXES: &str = "ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf\n\
    1,/m/cat,0,0.5,0,0.5,0\n1,/m/dog,0,0.5,0,0.5,0\n2,/m/cat,0,1,0,1,1\n";
const LABELS: &str = "ImageID,LabelName,Confidence\n1,/m/cat,1\n3,/m/animal,0\n";
const PREDICTIONS: &str = "ImageID,LabelName,Score,XMin,XMax,YMin,YMax\n\
    1,/m/cat,0.9,0,0.5,0,0.5\n2,/m/cat,0.8,0,0.2,0,0.2\n3,/m/cat,0.95,0,1,0,1\n1,/m/animal,0.7,0,0.5,0,0.5\n";
const CLASSES: &str = "/m/cat,Cat\n/m/dog,Dog\n/m/animal,Animal\n";
const ANIMALS: &str = r#"{"LabelName": "/m/0", "Subcategory": [{"LabelName": "/m/animal", "Subcategory":
    [{"LabelName": "/m/cat"}, {"LabelName": "/m/dog"}]}]}"#;

fn animals() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("boxes.csv", BOXES),
        ("labels.csv", LABELS),
        ("predictions.csv", PREDICTIONS),
        ("classes.csv", CLASSES),
        ("tree.json", ANIMALS),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

const EVAL: [&str; 9] = [
    "eval",
    "--protocol",
    "open-images",
    "--ground-truth",
    "boxes.csv",
    "--detections",
    "predictions.csv",
    "--image-labels",
    "labels.csv",
];

fn eval(folder: &Path, more: &[&str]) -> Output {
    output_in(folder, &EVAL.into_iter().chain(more.iter().copied()).collect::<Vec<_>>())
}

fn json(output: Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn predictions_are_scored_with_and_without_expansion() {
    let folder = animals();
    let with = |more: &[&str]| json(eval(folder.path(), &[more, &["--format", "json"]].concat()));
    let ap50 = |report: &serde_json::Value, class: usize| report["per_category"][class]["AP50"].as_f64();
    let plain = with(&["--classes", "classes.csv"]);
    // The cat of image 3 is not verified; the group counts 1.
    assert_eq!([0, 1, 2].map(|class| ap50(&plain, class)), [Some(1.0), Some(0.0), None]);
    assert_eq!(
        (plain["metrics"]["mAP50"].as_f64(), &plain["per_category"][0]["label"]),
        (Some(0.5), &"/m/cat".into())
    );
    let expand = ["--classes", "classes.csv", "--hierarchy", "tree.json", "--expand"];
    let expanded = with(&expand);
    // Image 3 has no animal, so no cat; animals are the cat, the dog and the group.
    assert_eq!([0, 1, 2].map(|class| ap50(&expanded, class)), [Some(2.0 / 3.0), Some(0.0), Some(1.0 / 3.0)]);
    assert_eq!(expanded["per_category"][2]["ground_truth"], 3);
    let absorbing = with(&[&expand[..], &["--group-of-weight", "0"]].concat());
    assert_eq!(absorbing["per_category"][2]["ground_truth"], 2);
    assert_eq!(absorbing["provenance"]["group_of_weight"], "0");

    // Expanding beforehand is the same.
    for (from, to) in [("boxes.csv", "more-boxes.csv"), ("labels.csv", "more-labels.csv")] {
        let arguments = ["data", "expand-hierarchy", "--hierarchy", "tree.json", from, to];
        assert!(output_in(folder.path(), &arguments).status.success());
    }
    let mut arguments = EVAL;
    (arguments[4], arguments[8]) = ("more-boxes.csv", "more-labels.csv");
    let arguments = [&arguments[..], &["--classes", "classes.csv", "--format", "json"]].concat();
    let before = json(output_in(folder.path(), &arguments));
    assert_eq!(
        (&before["metrics"], &before["per_category"]),
        (&expanded["metrics"], &expanded["per_category"])
    );

    let counted = with(&[&expand[..], &["--frequencies-from", "boxes.csv", "--bins", "0"]].concat());
    assert!(counted["metrics"]["mAP50r"].is_number() && counted["metrics"]["mAP50[>0]"].is_number());
    let text = String::from_utf8(eval(folder.path(), &expand).stdout).unwrap();
    assert!(text.contains("mAP50") && text.contains("Animal") && text.contains("33.33"), "{text}");
    let csv =
        String::from_utf8(eval(folder.path(), &[&expand[..], &["--format", "csv"]].concat()).stdout).unwrap();
    assert_eq!(csv.lines().nth(2), Some("2,/m/dog,Dog,,0.0,1,0"), "{csv}");
}

#[test]
fn mistakes_with_open_images_are_named() {
    let folder = animals();
    let fails = |arguments: &[&str], parts: &[&str]| {
        let output = output_in(folder.path(), arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        for part in parts {
            assert!(text.contains(part), "`{part}` is not in `{text}`");
        }
    };
    let with = |more: &[&'static str]| [&EVAL[..], more].concat();
    fails(&EVAL[..7], &["--image-labels is needed", "too high"]);
    fails(&with(&["--errors"]), &["--errors has no meaning"]);
    fails(&with(&["--hierarchy", "tree.json"]), &["--expand"]);
    fails(&with(&["--group-of-weight", "2"]), &["--group-of-weight"]);
    fs::write(folder.path().join("few.csv"), "/m/cat,Cat\n/m/animal,Animal\n").unwrap();
    fails(&with(&["--classes", "few.csv"]), &["boxes.csv", "`/m/dog` is not among the classes"]);
    let arguments = ["data", "expand-hierarchy", "--hierarchy", "tree.json", "boxes.csv", "boxes.csv"];
    assert!(output_in(folder.path(), &arguments).status.success());
    fails(&with(&["--hierarchy", "tree.json", "--expand"]), &["boxes.csv is expanded already", "leave out"]);
    fs::write(folder.path().join("tree.json"), ANIMALS.replace("dog", "cow")).unwrap();
    fs::write(folder.path().join("boxes.csv"), BOXES).unwrap();
    fails(
        &with(&["--hierarchy", "tree.json", "--expand"]),
        &["cannot expand boxes.csv", "`/m/dog` is not a class"],
    );
    fails(
        &[
            "eval",
            "--protocol",
            "coco",
            "--ground-truth",
            "boxes.csv",
            "--detections",
            "x",
            "--classes",
            "few.csv",
        ],
        &["open-images"],
    );
    fails(
        &["eval", "--protocol", "voc", "--ground-truth", "boxes.csv", "--detections", "x"],
        &["open-images"],
    );
    fs::write(
        folder.path().join("predictions.csv"),
        "ImageID,LabelName,Score,XMin,XMax,YMin,YMax\n9,/m/cat,1,0,1,0,1\n",
    )
    .unwrap();
    let nothing = eval(folder.path(), &[]);
    assert!(nothing.status.success());
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("no prediction is scored"));
}
