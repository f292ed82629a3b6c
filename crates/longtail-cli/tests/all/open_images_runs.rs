//! Open Images end to end: a world exported, trained on with the classes that its tree implies, and scored by
//! the challenge's metric inside the run and from its files.

use std::{collections::BTreeMap, fs, path::Path, sync::OnceLock};

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{DETECTOR, output_in, refuses_in, succeed_in};

/// Two short stages; `DATA` stands for the data.
const RECIPE: &str = r#"
name = "tiny"
seed = 2
workers = 1
log_every = 1
DATA
[transform]
resize = { kind = "keep" }
[[stages]]
name = "representation"
train = "all"
length = { iterations = 6 }
batch_size = 2
optimizer = { learning_rate = 0.01 }
classifiers = [{ name = "softmax", loss = { kind = "softmax-cross-entropy" } }]
[[stages]]
name = "classifier"
train = "classifier"
length = { iterations = 4 }
batch_size = 2
sampler = { kind = "class-aware" }
optimizer = { learning_rate = 0.01 }
classifiers = [
    { name = "softmax, continued", loss = { kind = "softmax-cross-entropy" } },
    { name = "BCE", loss = { kind = "sigmoid-bce", background_logit = true } },
    { name = "EQL", loss = { kind = "eql", frequency_threshold = 0.01, background_logit = true } },
    { name = "ACSL", loss = { kind = "acsl" } },
    { name = "ACSL, frequency-sampled", loss = { kind = "acsl", background = "frequency-sampled" } },
]
"#;

const FILES: &str = r#"
[data]
kind = "files"
train_annotations = "world"
train_images = "world/train"
validation_annotations = "world"
validation_images = "world/validation"
labels = "expanded"
"#;

const WORLD: &str = r#"
[data]
kind = "emoji"
classes = 16
images = 200
validation_images = 24
image_size = 64
layout = "open-images"
labels = "expanded"
"#;

const TRUTH: [&str; 6] = [
    "--protocol",
    "open-images",
    "--ground-truth",
    "world/validation-annotations-bbox.csv",
    "--image-labels",
    "world/validation-annotations-human-imagelabels-boxable.csv",
];
const TREE: [&str; 5] = [
    "--classes",
    "world/class-descriptions-boxable.csv",
    "--hierarchy",
    "world/bbox_labels_hierarchy.json",
    "--expand",
];

fn recipe(data: &str) -> String {
    RECIPE.replace("DATA", data) + DETECTOR
}

/// A world with its files, and a finished run on them.
fn project() -> &'static TempDir {
    static PROJECT: OnceLock<TempDir> = OnceLock::new();
    PROJECT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let sizes = ["--classes", "16", "--images", "200", "--validation-images", "24", "--image-size", "64"];
        let export = ["emoji", "export", "world", "--layout", "open-images", "--seed", "2"];
        succeed_in(path, &[&export[..], &sizes].concat());
        fs::write(path.join("files.toml"), recipe(FILES)).unwrap();
        fs::write(path.join("world.toml"), recipe(WORLD)).unwrap();
        succeed_in(path, &["train", "files.toml", "--out", "run"]);
        folder
    })
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn metrics(report: &Value) -> BTreeMap<String, Option<f64>> {
    let metrics = report["metrics"].as_object().unwrap().iter();
    metrics.map(|(name, value)| (name.clone(), value.as_f64())).collect()
}

#[test]
fn eval_agrees_with_the_run() {
    let folder = project().path();
    let results = json(&folder.join("run/results.json"));
    let classifiers = results["classifiers"].as_array().unwrap();
    assert_eq!(classifiers.len(), 6);
    for result in classifiers {
        let own = &result["reports"]["open-images"];
        let detections = format!("run/{}", result["detections"].as_str().unwrap());
        let csv = format!("{}.csv", result["detections"].as_str().unwrap().replace('/', "-"));
        let truth = ["--ground-truth", TRUTH[3], "--images", "world/validation"];
        succeed_in(folder, &[&["data", "convert-detections", &detections, &csv][..], &truth].concat());
        let more = ["--frequencies-from", "world/train-annotations-bbox.csv", "--detections", &csv];
        let report = [&["eval", "--format", "json"][..], &TRUTH, &TREE, &more].concat();
        let report: Value = serde_json::from_str(&succeed_in(folder, &report)).unwrap();
        assert_eq!(metrics(&report), metrics(own), "{}", result["name"]);
        let ap50 = |report: &Value| -> Vec<Value> {
            report["per_category"].as_array().unwrap().iter().map(|c| c["AP50"].clone()).collect()
        };
        assert_eq!(ap50(&report), ap50(own));
        // The classes above have boxes, and groups count.
        let classes = own["per_category"].as_array().unwrap();
        let boxes = |class: &Value| class["ground_truth"].as_u64().unwrap();
        assert!(classes.len() > 16 && classes[16..].iter().all(|class| boxes(class) > 0), "{classes:?}");
        assert!(metrics(own).contains_key("mAP50r") && metrics(own).contains_key("mAP50f"));
    }
    // Trained on expanded boxes the classes above have as many as all below them.
    let of = |name: &str| {
        let classes = results["classes"].as_array().unwrap().iter();
        classes.filter(|c| c["name"] == name).map(|c| c["train_instances"].as_u64().unwrap()).sum::<u64>()
    };
    let rows = fs::read_to_string(folder.join("world/train-annotations-bbox.csv")).unwrap();
    let tree = json(&folder.join("world/bbox_labels_hierarchy.json"));
    let group = &tree["Subcategory"][0];
    let below = group["Subcategory"].as_array().unwrap().iter();
    let leaves: Vec<&str> = below
        .flat_map(|node| node["Subcategory"].as_array().unwrap())
        .map(|leaf| leaf["LabelName"].as_str().unwrap())
        .collect();
    // Columns: image, label, confidence, four corners, occluded, truncated, group, …
    let counted = rows.lines().map(|row| row.split(',').collect::<Vec<_>>());
    let counted = counted.filter(|row| leaves.contains(&row[1]) && row[9] == "0").count();
    assert_eq!(of(group["LabelName"].as_str().unwrap().trim_start_matches("/group/")), counted as u64);
}

#[test]
fn the_world_in_memory_gives_the_same_run() {
    let folder = project().path();
    succeed_in(folder, &["train", "world.toml", "--out", "memory"]);
    for entry in fs::read_dir(folder.join("run/detections")).unwrap() {
        let name = entry.unwrap().file_name();
        let read = |run: &str| fs::read(folder.join(run).join("detections").join(&name)).unwrap();
        assert!(read("run") == read("memory"), "{name:?}");
    }
    let (files, memory) = (json(&folder.join("run/results.json")), json(&folder.join("memory/results.json")));
    for (a, b) in [0, 3, 5].map(|place| (&files["classifiers"][place], &memory["classifiers"][place])) {
        let of = |result: &Value| metrics(&result["reports"]["open-images"]);
        assert_eq!(of(a), of(b));
        // Every class verified everywhere: more that can be wrong.
        let all = metrics(&b["reports"]["exhaustive"]);
        assert!(all["mAP50"] <= of(b)["mAP50"]);
    }
    let table = succeed_in(folder, &["report", "memory", "--format", "csv"]);
    assert!(table.starts_with("truth,method,background,mAP50,mAP50r,mAP50c,mAP50f\n"), "{table}");
    assert!(
        table.lines().nth(1).unwrap().starts_with("\"Open Images challenge (sampled negatives)\""),
        "{table}"
    );
    refuses_in(folder, &["report", "memory", "--intervals"], &["Open Images challenge"]);
}

#[test]
fn detections_of_leaves_are_scored_for_the_classes_above() {
    let folder = project().path();
    // What the tables say of single objects, as detections.
    let rows = fs::read_to_string(folder.join("world/validation-annotations-bbox.csv")).unwrap();
    let mut found = String::from("ImageID,LabelName,Score,XMin,XMax,YMin,YMax\n");
    for row in rows.lines().skip(1) {
        let cells: Vec<&str> = row.split(',').collect();
        found.push_str(&format!("{},{},0.9,{}\n", cells[0], cells[1], cells[3..7].join(",")));
    }
    fs::write(folder.join("leaves.csv"), found).unwrap();
    let convert = ["data", "convert-detections", "leaves.csv", "all.csv", "--images", "world/validation"];
    let truth = ["--ground-truth", TRUTH[3]];
    succeed_in(folder, &[&convert[..], &truth, &TREE[2..]].concat());
    let eval = |detections: &str| -> Vec<f64> {
        let more = ["--format", "json", "--detections", detections];
        let report = succeed_in(folder, &[&["eval"][..], &TRUTH, &TREE, &more].concat());
        let report: Value = serde_json::from_str(&report).unwrap();
        report["per_category"].as_array().unwrap().iter().map(|c| c["AP50"].as_f64().unwrap()).collect()
    };
    let (leaves, all) = (eval("leaves.csv"), eval("all.csv"));
    assert!(all.iter().all(|ap| *ap == 1.0), "{all:?}");
    assert_eq!(leaves[..16], all[..16]);
    assert!(leaves[16..].iter().all(|ap| *ap == 0.0), "{leaves:?}");
    refuses_in(folder, &[&convert[..], &truth, &["--expand"]].concat(), &["--hierarchy"]);
}

#[test]
fn what_cannot_be_trained_or_read_is_refused() {
    let folder = project().path();
    let train = |recipe: &str, set: &str, parts: &[&str]| {
        refuses_in(folder, &["train", recipe, "--out", "refused", "--set", set], parts);
    };
    train("world.toml", "data.layout=lvis", &["`labels` needs `layout"]);
    train("files.toml", "data.labels=some", &["unknown variant `some`", "`expanded`"]);
    let pastes = "transform.augmentations=[{ kind = \"copy-paste\" }]";
    train("files.toml", pastes, &["data.labels", "copy-paste"]);
    // A table of another format has no such labels.
    succeed_in(
        folder,
        &["data", "convert", "world", "set.json", "--part", "train", "--images", "world/train"],
    );
    let other = ["--set", "data.train_annotations=set.json"];
    let arguments = [&["train", "files.toml", "--out", "refused"][..], &other].concat();
    refuses_in(folder, &arguments, &["data.labels", "set.json"]);
    // A bank keeps one label a RoI.
    refuses_in(
        folder,
        &["features", "extract", "run", "--out", "bank"],
        &["data.labels", "expanded", "leaf"],
    );

    refuses_in(folder, &["data", "stats", "world"], &["several parts", "--part"]);
    let stats = succeed_in(folder, &["data", "stats", "world", "--part", "train", "--format", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&stats).unwrap()["images"], 200);
    let check = ["data", "check", "world", "--part", "train", "--against", "world"];
    refuses_in(folder, &check, &["several parts", "--part"]);
    let checked = output_in(folder, &[&check[..], &["--against-part", "val", "--format", "json"]].concat());
    assert!(
        checked.status.code().is_some_and(|code| code < 2),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
}
