//! Data sets converted, joined, split, cut down and filtered by the binary, and trained on and scored in
//! other formats.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::common::{output, refuses};

fn succeed(arguments: &[&str]) -> (String, String) {
    let output = output(arguments);
    let (out, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{arguments:?}: {error}");
    (out, error)
}

/// 40 images of 3 classes with 40, 20 and 2 boxes, with pictures.
fn coco(folder: &Path) -> String {
    let mut annotations = Vec::new();
    let mut images = Vec::new();
    fs::create_dir(folder.join("images")).unwrap();
    for id in 1..=40 {
        let name = format!("video{}_{id:02}.png", id / 10);
        image::RgbImage::new(32, 24).save(folder.join("images").join(&name)).unwrap();
        images.push(json!({"id": id, "file_name": name, "width": 32, "height": 24, "license": 4}));
        let mut add = |class: i64, x: f64| {
            let number = annotations.len() + 1;
            annotations
                .push(json!({"id": number, "image_id": id, "category_id": class, "bbox": [x, 2, 10.5, 8],
                "area": 84, "iscrowd": 0, "segmentation": [[x, 2, x + 10.5, 2, x, 10]]}));
        };
        add(1, 1.0);
        if id % 2 == 0 {
            add(5, 4.0);
        }
        if id % 20 == 3 {
            add(9, 8.0);
        }
    }
    let categories = json!([{"id": 1, "name": "cow"}, {"id": 5, "name": "dog"}, {"id": 9, "name": "yak"}]);
    let set =
        json!({"info": {"year": 1}, "images": images, "annotations": annotations, "categories": categories});
    let path = folder.join("set.json");
    fs::write(&path, set.to_string()).unwrap();
    path.display().to_string()
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Numbers as floats: 84 and 84.0 are the same area.
fn as_floats(value: &mut Value) {
    match value {
        Value::Number(number) => *value = json!(number.as_f64()),
        Value::Array(entries) => entries.iter_mut().for_each(as_floats),
        Value::Object(entries) => entries.values_mut().for_each(as_floats),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn count(set: &Value, list: &str) -> usize {
    set[list].as_array().unwrap().len()
}

#[test]
fn a_set_goes_through_every_format_and_losses_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let set = coco(folder.path());
    let images = at("images");
    let place = ["--images", &images, "--place-images", "link"];
    for format in ["yolo", "voc", "open-images"] {
        let out = at(format);
        let convert =
            [&["data", "convert", &set, &out, "--to", format, "--format", "json"][..], &place].concat();
        let (report, talk) = succeed(&convert);
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!((&report["images"], &report["boxes"]), (&json!(40), &json!(62)));
        assert_eq!(report["lost"]["file field `info`"], 1);
        assert!(talk.contains("40 × image field `license`"), "{talk}");
        let back = at(&format!("{format}.json"));
        succeed(&["data", "convert", &out, &back, "--to", "coco"]);
        let back = read(Path::new(&back));
        assert_eq!(
            (count(&back, "images"), count(&back, "annotations"), count(&back, "categories")),
            (40, 62, 3)
        );
        let (stats, _) = succeed(&["data", "stats", &out, "--format", "json"]);
        assert!(stats.contains("\"boxes\": 62") || stats.contains("\"boxes\":62"), "{stats}");
    }
    let (_, talk) = succeed(&["data", "convert", &set, &at("set.csv")]);
    assert!(!talk.contains("segmentation"), "{talk}");
    succeed(&["data", "convert", &at("set.csv"), &at("again.json")]);
    let annotations = |path: &Path| {
        let mut value = read(path)["annotations"].take();
        as_floats(&mut value);
        value
    };
    assert_eq!(annotations(&folder.path().join("again.json")), annotations(Path::new(&set)));
    refuses(&["data", "convert", &set, &at("set.csv")], &["set.csv", "--force"]);
    refuses(&["data", "convert", &set, &at("somewhere")], &["somewhere", "--to"]);
    refuses(&["data", "convert", &set, &at("new.csv"), "--place-images", "link"], &["--images"]);
    refuses(&["data", "convert", &at("none"), &at("new.csv")], &["none"]);
    refuses(&["data", "convert", &set, &at("new.csv"), "--from", "yolo"], &["set.json"]);
}

#[test]
fn sets_are_split_merged_cut_and_filtered() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let set = coco(folder.path());
    let (report, talk) =
        succeed(&["data", "split", &set, &at("parts"), "--every-class", "--shares", "train=0.75,val=0.25"]);
    assert!(report.contains("train") && report.contains("30"), "{report}");
    assert!(!talk.contains("not in every part"), "{talk}");
    let (train, val) = (at("parts/train.json"), at("parts/val.json"));
    assert_eq!(
        (count(&read(Path::new(&train)), "images"), count(&read(Path::new(&val)), "images")),
        (30, 10)
    );
    succeed(&["data", "split", &set, &at("yolo"), "--to", "yolo", "--group-by", r"^(video\d)"]);
    refuses(&["data", "stats", &at("yolo")], &["yolo", "several parts", "--part"]);
    refuses(&["data", "split", &set, &at("parts")], &["train.json", "exists already"]);
    refuses(&["data", "split", &set, &at("other"), "--shares", "a=0.5,b=0.6"], &["sum to 1"]);
    refuses(&["data", "split", &set, &at("other"), "--group-by", "("], &["not a regular expression"]);
    let (report, _) =
        succeed(&["data", "merge", &train, &val, "--out", &at("whole.json"), "--format", "json"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["images"], &report["renumbered_images"]), (&json!(40), &json!(0)));
    refuses(&["data", "merge", &set, &train, "--out", &at("x.json")], &["video", "join", "prefix"]);
    let (_, talk) = succeed(&["data", "subset", &set, &at("lt.json"), "--long-tail", "10"]);
    assert!(talk.contains("of 3 classes have exactly"), "{talk}");
    let lt = read(&folder.path().join("lt.json"));
    assert!(count(&lt, "images") < 40 && lt["annotations"][0]["segmentation"].is_array());
    let counts = at("counts.csv");
    fs::write(&counts, "class,count\ncow,10\n").unwrap();
    let (table, _) =
        succeed(&["data", "subset", &set, &at("few.json"), "--counts", &counts, "--format", "csv"]);
    assert!(table.contains("cow,40,10,10"), "{table}");
    refuses(&["data", "subset", &set, &at("y.json")], &["--classes"]);
    refuses(&["data", "subset", &set, &at("y.json"), "--classes", "horse"], &["`horse`"]);
    let (table, _) =
        succeed(&["data", "filter", &set, &at("f.json"), "--except-classes", "cow", "--no-empty-images"]);
    assert!(table.contains("of other classes"), "{table}");
    assert_eq!(count(&read(&folder.path().join("f.json")), "images"), 22);
}

#[test]
fn ground_truth_and_detections_of_other_formats_are_scored() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let set = coco(folder.path());
    succeed(&["data", "convert", &set, &at("truth.csv")]);
    let found: Vec<Value> = read(Path::new(&set))["annotations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| json!({"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": 0.5}))
        .collect();
    fs::write(at("results.json"), Value::from(found).to_string()).unwrap();
    let score = |truth: &str, results: &str| {
        let evaluate = [
            "eval",
            "--protocol",
            "coco",
            "--ground-truth",
            truth,
            "--detections",
            results,
            "--format",
            "json",
        ];
        let report: Value = serde_json::from_str(&succeed(&evaluate).0).unwrap();
        report["metrics"]["AP"].as_f64().unwrap()
    };
    assert_eq!(score(&at("truth.csv"), &at("results.json")), 1.0);
    for target in ["results.csv", "results"] {
        let other = at(target);
        succeed(&["data", "convert-detections", &at("results.json"), &other, "--ground-truth", &set]);
        let back = at(&format!("{target}.back.json"));
        succeed(&["data", "convert-detections", &other, &back, "--ground-truth", &at("truth.csv")]);
        assert_eq!(score(&set, &back), 1.0, "{target}");
    }
}
