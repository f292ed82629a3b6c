//! The binary from the outside: a world exported, checked, trained on, predicted, scored and reported; and
//! what it says and leaves behind when something is wrong.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{DETECTOR, assert_says, output, succeed};

/// Two short stages on files; `FOLDER` stands for the exported world.
const RECIPE: &str = r#"
name = "tiny"
workers = 1
log_every = 1
checkpoint_every = 2
[data]
kind = "files"
train_annotations = "FOLDER/lvis_train.json"
train_images = "FOLDER"
validation_annotations = "FOLDER/lvis_val.json"
[transform]
resize = { kind = "short-side", short = 64, max = 96 }
[[stages]]
name = "representation"
train = "all"
length = { iterations = 4 }
batch_size = 2
optimizer = { learning_rate = 0.01 }
classifiers = [{ name = "softmax", loss = { kind = "softmax-cross-entropy" } }]
[[stages]]
name = "classifier"
train = "classifier"
length = { iterations = 4 }
batch_size = 2
optimizer = { learning_rate = 0.01 }
classifiers = [{ name = "ACSL", loss = { kind = "acsl" } }]
"#;

fn recipe(folder: &str) -> String {
    RECIPE.replace("FOLDER", folder) + DETECTOR
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// A world as files, its recipe, and a finished run.
struct Project {
    folder: TempDir,
}

impl Project {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project = Self { folder };
        let (world, run) = (project.path("world"), project.path("run"));
        succeed(&["emoji", "export", &world, "--classes", "4", "--images", "160", "--image-size", "64"]);
        project.write_recipe("recipe.toml", &recipe("world"));
        succeed(&["train", &project.path("recipe.toml"), "--out", &run]);
        project
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn write_recipe(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }
}

/// Trained once, read by many tests.
fn project() -> &'static Project {
    static PROJECT: OnceLock<Project> = OnceLock::new();
    PROJECT.get_or_init(Project::new)
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Temporary files below a folder.
fn leftovers(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(leftovers(&path));
        } else if path.extension().is_some_and(|e| e == "tmp" || e == "partial") {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_run_leaves_what_the_documents_say_and_eval_agrees_with_it() {
    let run = project().path("run");
    let names = names_in(Path::new(&run));
    for name in
        ["checkpoints", "config.toml", "detections", "environment.json", "metrics.jsonl", "report.html"]
    {
        assert!(names.iter().any(|n| n == name), "{name} is not in {names:?}");
    }
    let results: Value =
        serde_json::from_slice(&fs::read(Path::new(&run).join("results.json")).unwrap()).unwrap();
    let truth = project().path("world/lvis_val.json");
    for classifier in results["classifiers"].as_array().unwrap() {
        let detections = format!("{run}/{}", classifier["detections"].as_str().unwrap());
        let arguments = ["eval", "--protocol", "lvis", "--ground-truth", &truth, "--detections", &detections];
        let text = succeed(&[&arguments[..], &["--format", "json"]].concat());
        let report: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(report["schema_version"], 1);
        let names: Vec<&String> = report["metrics"].as_object().unwrap().keys().collect();
        for name in ["AP", "AP50", "AP75", "APr", "APc", "APf", "AR@300"] {
            assert!(names.iter().any(|n| *n == name), "{name} is not in {names:?}");
        }
        for key in ["category_id", "name", "frequency", "AP", "AP50", "ground_truth"] {
            assert!(report["per_category"][0].get(key).is_some(), "{key}");
        }
        // The run scored the detections in memory, this command those of the file.
        assert_eq!(classifier["reports"]["lvis"]["metrics"], report["metrics"]);
        let csv = succeed(&[&arguments[..], &["--format", "csv"]].concat());
        assert_eq!(csv.lines().count(), 1 + report["per_category"].as_array().unwrap().len());
    }
}

#[test]
fn reports_of_one_and_of_several_runs() {
    let run = project().path("run");
    let rows: Value = serde_json::from_str(&succeed(&["report", &run, "--format", "json"])).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 2);
    let html = fs::read_to_string(Path::new(&run).join("report.html")).unwrap();
    assert!(html.contains("ACSL") && !html.contains("http-equiv") && !html.contains("src=\"http"));
    let markdown = succeed(&["report", &run, &run, "--format", "markdown"]);
    assert!(markdown.contains('±'), "{markdown}");
    let markdown = succeed(&["report", &run, &run, "--intervals", "--format", "markdown"]);
    for part in ["baseline", "fixed AP", "false positives", " to "] {
        assert!(markdown.contains(part), "{part}: {markdown}");
    }
}

#[test]
fn statistics_in_every_format() {
    let annotations = project().path("world/lvis_train.json");
    let text = succeed(&["data", "stats", &annotations, "--images", &project().path("world")]);
    for part in ["imbalance ratio", "Gini", "largest classes", "frequent", "missing image files"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json: Value =
        serde_json::from_str(&succeed(&["data", "stats", &annotations, "--format", "json"])).unwrap();
    assert_eq!(json["images"], 160);
    assert_eq!(succeed(&["data", "stats", &annotations, "--format", "csv"]).lines().count(), 5);
    for part in ["Box aspect", "median", "verified absent", "lift"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(json["shares"]["crowd_boxes"], 0);
    let counted: u64 =
        json["boxes_per_image"]["counts"].as_array().unwrap().iter().filter_map(Value::as_u64).sum();
    assert_eq!(counted, 160);
    let page = project().path("look.html");
    succeed(&["data", "stats", &annotations, "--html", &page]);
    let page = fs::read_to_string(page).unwrap();
    assert!(page.ends_with("</html>") && page.matches("<svg").count() >= 6 && !page.contains("<script"));
}

#[test]
fn check_repairs_a_copy_and_holds_splits_against_each_other() {
    let project = project();
    let world = project.path("world");
    let text = fs::read_to_string(project.path("world/lvis_train.json")).unwrap();
    let mut set: Value = serde_json::from_str(&text).unwrap();
    set["annotations"][0]["category_id"] = 999.into();
    set["annotations"][0]["segmentation"] = serde_json::json!([[1.25, 2.0]]);
    set["annotations"][1]["bbox"] = serde_json::json!([-9.0, -9.0, 30.0, 30.0]);
    set["annotations"][1]["note"] = "kept".into();
    let (bad, good) = (project.path("to_repair.json"), project.path("repaired.json"));
    fs::write(&bad, set.to_string()).unwrap();
    let found = output(&["data", "check", &bad, "--fix", &good, "--format", "json"]);
    assert_eq!(code(&found), 0, "all errors are repaired");
    let said: Value = serde_json::from_slice(&found.stdout).unwrap();
    let entries: Vec<&str> =
        said["changes"].as_array().unwrap().iter().filter_map(|c| c["kind"].as_str()).collect();
    assert_eq!(entries, ["unknown-category", "box-reaches-out"]);
    let repaired: Value = serde_json::from_str(&fs::read_to_string(&good).unwrap()).unwrap();
    let all = set["annotations"].as_array().unwrap();
    assert_eq!(repaired["annotations"].as_array().unwrap()[1..], all[2..]);
    assert_eq!(repaired["annotations"][0]["bbox"], serde_json::json!([0.0, 0.0, 21.0, 21.0]));
    assert_eq!((&repaired["annotations"][0]["note"], &repaired["images"]), (&"kept".into(), &set["images"]));
    let refused = output(&["data", "check", &bad, "--fix", &bad]);
    assert_eq!(code(&refused), 2);
    assert_says(&refused, &["another name"]);
    assert_eq!(fs::read_to_string(&bad).unwrap(), set.to_string());

    // The training images against themselves: every one is in both.
    let train = project.path("world/lvis_train.json");
    let against = ["--against", &train, "--against-images", &world];
    let arguments =
        [&["data", "check", &train, "--images", &world, "--format", "json"][..], &against].concat();
    let found = output(&arguments);
    assert_eq!(code(&found), 1);
    let findings: Vec<Value> = serde_json::from_slice(&found.stdout).unwrap();
    let same = findings.iter().find(|f| f["kind"] == "same-picture-in-both").unwrap();
    assert_eq!(same["count"], 160);
    // The benchmark's own splits share nothing.
    let validation = project.path("world/lvis_val.json");
    let against = ["--against", &validation, "--against-images", &world];
    let found =
        output(&[&["data", "check", &train, "--images", &world, "--format", "json"][..], &against].concat());
    assert_eq!(code(&found), 0, "{}", String::from_utf8_lossy(&found.stdout));
}

#[test]
fn check_exits_with_1_if_there_is_an_error() {
    let project = project();
    let world = project.path("world");
    let good = output(&["data", "check", &project.path("world/lvis_train.json"), "--images", &world]);
    assert_eq!(code(&good), 0, "{}", String::from_utf8_lossy(&good.stdout));

    let text = fs::read_to_string(project.path("world/lvis_train.json")).unwrap();
    let mut set: Value = serde_json::from_str(&text).unwrap();
    set["annotations"][0]["category_id"] = 999.into();
    set["annotations"][1]["bbox"] = serde_json::json!([5.0, 5.0, 0.0, 3.0]);
    set["images"][0]["width"] = 63.into();
    set["images"][1]["coco_url"] = "http://images.cocodataset.org/train2017/none.jpg".into();
    set["images"][1]["file_name"] = "none.jpg".into();
    let bad = project.path("bad.json");
    fs::write(&bad, set.to_string()).unwrap();
    let found = output(&["data", "check", &bad, "--images", &world]);
    assert_eq!(code(&found), 1);
    let text = String::from_utf8(found.stdout).unwrap();
    for part in ["error", "warning", "999", "none.jpg", "63"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json = output(&["data", "check", &bad, "--images", &world, "--format", "json"]);
    assert!(serde_json::from_slice::<Value>(&json.stdout).unwrap().as_array().unwrap().len() >= 4);
}

#[test]
fn predict_draws_images_of_any_size_and_names_those_it_cannot_read() {
    let project = project();
    let folder = project.path("pictures");
    fs::create_dir_all(format!("{folder}/again")).unwrap();
    let (dot, strip) = (format!("{folder}/dot.png"), format!("{folder}/strip.png"));
    image::RgbImage::from_pixel(1, 1, image::Rgb([9, 99, 199])).save(&dot).unwrap();
    image::RgbImage::from_fn(20_000, 20, |x, y| image::Rgb([x as u8, y as u8, 0])).save(&strip).unwrap();
    let same_name = format!("{folder}/again/dot.png");
    fs::copy(&dot, &same_name).unwrap();
    let cut = format!("{folder}/cut.jpg");
    image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([(x * y) as u8, 0, y as u8])).save(&cut).unwrap();
    let bytes = fs::read(&cut).unwrap();
    fs::write(&cut, &bytes[..bytes.len() * 3 / 4]).unwrap();
    let out = project.path("drawn");
    let run = project.path("run");
    let found =
        output(&["predict", &run, &dot, &strip, &cut, &same_name, "--out", &out, "--score-threshold", "0"]);
    assert_eq!(code(&found), 2);
    assert_says(&found, &["cut.jpg", "1 of 4 images"]);
    assert_eq!(names_in(Path::new(&out)), ["detections.json", "dot-2.png", "dot.png", "strip.png"]);
    let drawn = image::open(format!("{out}/strip.png")).unwrap();
    assert_eq!((drawn.width(), drawn.height()), (20_000, 20));

    let unknown = output(&["predict", &run, &dot, "--classifier", "none", "--out", &out]);
    assert_eq!(code(&unknown), 2);
    assert_says(&unknown, &["none", "`softmax`", "`ACSL`"]);
}

#[test]
fn bad_input_is_named_and_writes_nothing() {
    let project = project();
    let recipe = project.path("recipe.toml");
    let out = project.path("never");
    for (override_, parts) in [
        ("stages.0.lenght=3", vec!["lenght", "length"]),
        ("stages.0.optimizer.learning_rate=0", vec!["stages.0.optimizer.learning_rate"]),
        ("data.train_annotations=\"none.json\"", vec!["none.json"]),
    ] {
        let found = output(&["train", &recipe, "--out", &out, "--set", override_]);
        assert_eq!(code(&found), 2, "{override_}");
        assert_says(&found, &parts);
    }
    let long = format!("x = {:?} y", "z".repeat(5000));
    for (given, part) in [
        (project.path("world/lvis_train.json"), "is JSON, not a recipe"),
        (project.path("world"), "is a folder"),
        (project.write_recipe("long.toml", &long), "TOML parse error at line 1"),
    ] {
        let found = output(&["train", &given]);
        assert_eq!(code(&found), 2, "{given}");
        assert_says(&found, &[part]);
        assert!(found.stderr.len() < 400, "{given}: {} bytes of error", found.stderr.len());
    }
    let missing = output(&["train", "none.toml"]);
    assert_eq!(code(&missing), 2);
    assert_says(&missing, &["none.toml"]);
    fs::write(project.path("file"), "").unwrap();
    let unwritable = output(&["train", &recipe, "--out", &project.path("file/run")]);
    assert_eq!(code(&unwritable), 2);
    assert_says(&unwritable, &["cannot create run folder"]);
    let twice = output(&["train", &recipe, "--out", &project.path("run")]);
    assert_eq!(code(&twice), 2);
    assert_says(&twice, &["--resume"]);
    fs::write(project.path("empty.json"), "").unwrap();
    let empty = output(&["data", "stats", &project.path("empty.json")]);
    assert_eq!(code(&empty), 2);
    assert_says(&empty, &["empty.json", "empty"]);
    for (device, part) in
        [("gpu", "cuda, vulkan and wgpu"), ("cuda:x", "`x` is no"), ("vulkan:99", "vulkan:99")]
    {
        let refused = output(&["train", &recipe, "--out", &project.path("no-device"), "--device", device]);
        assert_eq!(code(&refused), 2, "{device}");
        assert_says(&refused, &[part]);
    }
    assert!(!Path::new(&project.path("no-device")).exists());
    assert_eq!(code(&output(&["train"])), 2, "usage");
}

#[test]
fn images_that_are_missing_or_lie_about_their_size_stop_training_with_their_name() {
    let project = project();
    let text = fs::read_to_string(project.path("world/lvis_train.json")).unwrap();
    for (name, change) in [("none.jpg", true), ("63", false)] {
        let mut set: Value = serde_json::from_str(&text).unwrap();
        for image in set["images"].as_array_mut().unwrap() {
            if change {
                image["file_name"] = "none.jpg".into();
                image.as_object_mut().unwrap().remove("coco_url");
            } else {
                image["width"] = 63.into();
            }
        }
        let annotations = format!("world/{name}.json");
        fs::write(project.path(&annotations), set.to_string()).unwrap();
        let out = project.path(&format!("run-{name}"));
        let override_ = format!("data.train_annotations=\"{}\"", project.path(&annotations));
        let found = output(&["train", &project.path("recipe.toml"), "--out", &out, "--set", &override_]);
        assert_eq!(code(&found), 2);
        assert_says(&found, &[name]);
        assert_eq!(leftovers(Path::new(&out)), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_set_with_empty_images_dots_and_strips_trains() {
    let project = project();
    let folder = project.path("odd");
    fs::create_dir_all(&folder).unwrap();
    let mut images = Vec::new();
    for (id, width, height) in [(5, 1, 1), (7, 20_000, 20), (40, 64, 48), (41, 64, 64)] {
        let name = format!("{id}.png");
        image::RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 77]))
            .save(format!("{folder}/{name}"))
            .unwrap();
        images.push(serde_json::json!({"id": id, "file_name": name, "width": width, "height": height}));
    }
    // Image 41 has no box; ids have gaps; one box is empty, one lies outside, one reaches out.
    let boxes = [
        (5, 3, [0.0, 0.0, 1.0, 1.0]),
        (7, 90, [100.0, 2.0, 300.0, 15.0]),
        (40, 3, [5.0, 5.0, 0.0, 9.0]),
        (40, 3, [200.0, 5.0, 9.0, 9.0]),
        (40, 90, [40.0, 30.0, 80.0, 80.0]),
    ];
    let annotations: Vec<Value> = boxes
        .iter()
        .enumerate()
        .map(|(id, (image, category, bbox))| {
            serde_json::json!({"id": id + 1, "image_id": image, "category_id": category, "bbox": bbox})
        })
        .collect();
    let categories = serde_json::json!([{"id": 3, "name": "<b>three</b>"}, {"id": 90, "name": "ninety"}]);
    let set = serde_json::json!({"images": images, "annotations": annotations, "categories": categories});
    fs::write(format!("{folder}/lvis_train.json"), set.to_string()).unwrap();
    fs::write(format!("{folder}/lvis_val.json"), set.to_string()).unwrap();
    let recipe = project.write_recipe("odd.toml", &recipe("odd"));
    let out = project.path("odd-run");
    let found = output(&["train", &recipe, "--out", &out]);
    assert_eq!(code(&found), 0, "{}", String::from_utf8_lossy(&found.stderr));
    let html = fs::read_to_string(format!("{out}/report.html")).unwrap();
    assert!(!html.contains("<b>three</b>"), "names are escaped");
}

/// A run that takes long enough to be disturbed.
fn long_run(out: &str) -> Vec<String> {
    let recipe = project().path("recipe.toml");
    ["train", &recipe, "--out", out, "--set", "stages.0.length.iterations=100000"].map(str::to_owned).to_vec()
}

/// Waits for a file; fails after a minute.
fn wait_for(path: &str) {
    let began = Instant::now();
    while !Path::new(path).exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "{path} did not come");
        thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_leaves_with_130_and_the_run_goes_on() {
    let out = project().path("interrupted");
    let child = Command::new(env!("CARGO_BIN_EXE_longtail"))
        .args(long_run(&out))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(&format!("{out}/checkpoints/last.safetensors"));
    // Another process cannot use the folder meanwhile.
    let second = output(&["train", &project().path("recipe.toml"), "--out", &out]);
    assert_eq!(code(&second), 2);
    assert_says(&second, &["interrupted", "locked by another run"]);
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let found = child.wait_with_output().unwrap();
    assert_eq!(found.status.code(), Some(130));
    let said = String::from_utf8_lossy(&found.stderr).into_owned();
    let hint = said.lines().find_map(|line| line.strip_prefix("hint: go on with  ")).unwrap();
    assert!(hint.ends_with(" --resume"), "{hint}");
    // The command as printed is accepted: it goes on until it is stopped again.
    let mut again = Command::new("sh")
        .args(["-c", &hint.replacen("longtail ", &format!("exec {} ", env!("CARGO_BIN_EXE_longtail")), 1)])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (checkpoint, began) = (format!("{out}/checkpoints/last.safetensors"), Instant::now());
    let written = || fs::metadata(&checkpoint).and_then(|data| data.modified()).unwrap();
    let before = written();
    while written() == before {
        assert!(began.elapsed() < Duration::from_secs(60), "{hint} did not go on");
        thread::sleep(Duration::from_millis(20));
    }
    Command::new("kill").args(["-INT", &again.id().to_string()]).status().unwrap();
    assert_eq!(again.wait().unwrap().code(), Some(130));
    assert_eq!(leftovers(Path::new(&out)), Vec::<PathBuf>::new());
    // A run that is resumed with another recipe says so; with its own it goes on.
    let other = output(&["train", &project().path("recipe.toml"), "--out", &out, "--resume"]);
    assert_eq!(code(&other), 2);
    assert_says(&other, &["another recipe", "stages.0.length.iterations", "choose another --out"]);
}

#[cfg(unix)]
#[test]
fn a_full_disk_stops_the_run_and_leaves_no_half_checkpoint() {
    let out = project().path("full");
    // Files may not grow past 64 blocks of 512 bytes: the log fits, a checkpoint does not.
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\"";
    let found = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_longtail")])
        .args(long_run(&out))
        .output()
        .unwrap();
    assert_eq!(code(&found), 2);
    assert_says(&found, &["cannot write", "safetensors"]);
    assert_eq!(names_in(Path::new(&format!("{out}/checkpoints"))), Vec::<String>::new());
}

#[test]
fn losses_are_explained() {
    let table = succeed(&["explain", "loss"]);
    for kind in ["softmax-cross-entropy", "acsl", "bags", "eql-v2", "seesaw", "balanced-softmax"] {
        assert!(table.contains(kind), "{kind}: {table}");
    }
    let text = succeed(&["explain", "loss", "acsl"]);
    for part in
        ["Wang et al.", "running sums", "ξ in 0..=1", "0.7", "score-sampled: Each class with probability"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let table = succeed(&["explain", "correction"]);
    for kind in ["tau-norm", "norcal", "logit-adjustment"] {
        assert!(table.contains(kind), "{kind}: {table}");
    }
    assert!(succeed(&["explain", "correction", "norcal"]).contains("gamma"));
    let unknown = output(&["explain", "loss", "ascl"]);
    assert_eq!(code(&unknown), 2);
    assert_says(&unknown, &["`ascl`", "bags"]);
}

#[test]
fn a_sweep_trains_every_value_and_goes_on_where_it_stopped() {
    let project = project();
    let (recipe, out) = (project.path("recipe.toml"), project.path("sweep"));
    let arguments = [
        "sweep",
        &recipe,
        "--vary",
        "loss.threshold=0.3,0.7",
        "--seeds",
        "0,1",
        "--out",
        &out,
        "--format",
        "json",
    ];
    let rows: Value = serde_json::from_str(&succeed(&arguments)).unwrap();
    let methods: Vec<&str> = rows.as_array().unwrap().iter().map(|r| r["method"].as_str().unwrap()).collect();
    assert_eq!(methods, ["softmax", "softmax, continued", "ACSL, threshold 0.3", "ACSL, threshold 0.7"]);
    assert!(rows[0]["metrics"]["AP"]["std"].is_number(), "{rows}");
    // All is there already: the same table, from the files.
    let again: Value = serde_json::from_str(&succeed(&arguments)).unwrap();
    assert_eq!(again, rows);
    // From the stage-1 weights of finished runs: the same values again.
    let (from, other) = (format!("{out}/seed-0,{out}/seed-1"), project.path("branched"));
    let arguments = ["sweep", &recipe, "--vary", "loss.threshold=0.3,0.7", "--seeds", "0,1", "--out", &other];
    let branched = succeed(&[&arguments[..], &["--from", &from, "--format", "json"]].concat());
    assert_eq!(serde_json::from_str::<Value>(&branched).unwrap(), rows);
    let wrong = ["--from", &from, "--set", "stages.0.batch_size=3"];
    let found = output(&[&arguments[..7], &[&project.path("never")], &wrong].concat());
    assert_eq!(code(&found), 2);
    assert_says(&found, &["stages.0.batch_size"]);
    for (vary, part) in [("loss.treshold=1", "treshold"), ("loss.threshold=2", "threshold"), ("x", "key=v1")]
    {
        let found = output(&["sweep", &recipe, "--vary", vary, "--out", &project.path("never")]);
        assert_eq!(code(&found), 2, "{vary}");
        assert_says(&found, &[part]);
    }
    let folder = output(&["sweep", &out]);
    assert_eq!(code(&folder), 2);
    assert_says(&folder, &["is a folder", "longtail head sweep"]);
}

#[test]
fn help_has_examples_and_completions_are_printed() {
    for command in [
        vec!["demo"],
        vec!["emoji", "export"],
        vec!["data", "stats"],
        vec!["data", "check"],
        vec!["train"],
        vec!["predict"],
        vec!["eval"],
        vec!["report"],
        vec!["completions"],
        vec!["sweep"],
        vec!["head", "sweep"],
        vec!["explain", "loss"],
    ] {
        let help = succeed(&[&command[..], &["--help"]].concat());
        assert!(help.contains("Example"), "{command:?}");
    }
    assert!(succeed(&["completions", "bash"]).contains("_longtail"));
    assert!(succeed(&["demo", "--print-recipe"]).contains("[detector"));
}
