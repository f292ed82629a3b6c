//! The feature bank from the outside: extraction killed at random moments, training within a memory limit,
//! heads trained, scored, swept and put back, arrays imported, scores calibrated; and what is said when
//! something is wrong.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use longtail_bank::{Bank, BankError, BankWriter, Class, Header, ImageRows, Part, Precision};
use serde_json::Value;

use crate::common::{Made, longtail, refuses, succeed, write_npy};

/// A run and a bank of it, made once.
fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| Made::new(&["--views", "2", "--holdout", "0.2", "--precision", "f32"]))
}

fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with(".lock")
                && path.extension().is_none_or(|e| e != "tmp" && e != "partial")
            {
                // A kill while a file is written leaves its temporary name behind, which nothing reads.
                found.push((path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// The same files with the same bytes; a failure names files, not bytes.
fn assert_same(found: &[(PathBuf, Vec<u8>)], expected: &[(PathBuf, Vec<u8>)]) {
    let names = |files: &[(PathBuf, Vec<u8>)]| files.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
    assert_eq!(names(found), names(expected));
    for ((path, bytes), (_, wanted)) in found.iter().zip(expected) {
        assert!(bytes == wanted, "{} has other bytes", path.display());
    }
}

#[test]
fn killed_at_twenty_random_moments_it_is_valid_or_goes_on() {
    let made = made();
    let folder = tempfile::tempdir().unwrap();
    let bank = folder.path().join("bank");
    let text = bank.display().to_string();
    let run = made.path("run");
    let arguments = [
        "features",
        "extract",
        &run,
        "--out",
        &text,
        "--views",
        "2",
        "--holdout",
        "0.2",
        "--precision",
        "f32",
    ];
    let start =
        || -> Child { longtail(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap() };
    let began = Instant::now();
    assert!(start().wait().unwrap().success());
    let whole = began.elapsed();
    let expected = files(&bank);
    fs::remove_dir_all(&bank).unwrap();
    // A generator of its own: the moments are others in every call.
    let mut state = u64::from(std::process::id()) ^ 0x9E37_79B9_7F4A_7C15;
    let (mut valid, mut unfinished) = (0, 0);
    for _ in 0..20 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = (state >> 40) as f64 / (1_u64 << 24) as f64;
        let mut child = start();
        thread::sleep(whole.mul_f64(0.1 + 1.1 * share));
        // SIGKILL; it may have ended before.
        let _ = child.kill();
        child.wait().unwrap();
        for part in ["", "holdout", "validation"] {
            match Bank::open(&bank.join(part)) {
                Ok(opened) => {
                    (0..opened.header().shards.len()).for_each(|shard| drop(opened.shard(shard).unwrap()));
                    valid += 1;
                }
                Err(BankError::Unfinished { .. } | BankError::NoBank { .. }) => unfinished += 1,
                Err(other) => panic!("{other}"),
            }
        }
        if Bank::open(&bank).is_ok() {
            // Whole, perhaps without the other parts, or with the list of shards that goes last: calling it
            // again ends it.
            start().wait().unwrap();
            assert_same(&files(&bank), &expected);
            // Begin again.
            fs::remove_dir_all(&bank).unwrap();
        }
    }
    assert!(start().wait().unwrap().success());
    assert_same(&files(&bank), &expected);
    println!("{valid} valid parts, {unfinished} unfinished ones seen");
}

#[test]
#[cfg(target_os = "linux")]
fn a_bank_larger_than_the_window_takes_the_memory_of_the_window() {
    const WIDTH: usize = 1024;
    let folder = tempfile::tempdir().unwrap();
    let classes = (0..3).map(|c| Class::counted(c, format!("class {c}"), 1, 1)).collect();
    let images = 400;
    let header = Header {
        images_per_shard: 20,
        ..Header::new(Part::Training, WIDTH, Precision::F32, classes, images)
    };
    let mut writer = BankWriter::open(folder.path(), header.clone()).unwrap();
    for shard in writer.missing() {
        let rows = |image: usize| ImageRows {
            image_id: image as i64,
            features: (0..64 * WIDTH).map(|i| ((i * 31 + image * 7) % 97) as f32 * 0.01).collect(),
            labels: (0..64).map(|row| if row < 16 { 1 + row % 3 } else { 0 }).collect(),
            ious: vec![0.5; 64],
            boxes: vec![[0.0, 0.0, 1.0, 1.0]; 64],
            ..ImageRows::default()
        };
        writer.write(shard, &header.images_of(shard).map(rows).collect::<Vec<_>>()).unwrap();
    }
    writer.finish().unwrap();
    // 100 MiB of features. Resident memory counts the pages of mapped files.
    let peak = |window: &str| -> u64 {
        let out = folder.path().join("head.safetensors").display().to_string();
        let bank = folder.path().display().to_string();
        let set = format!("window_mib={window}");
        let mut child = longtail(&[
            "head",
            "train",
            &bank,
            "--loss",
            "acsl",
            "--set",
            "from_stage1=false",
            "--set",
            &set,
            "--epochs",
            "2",
            "--out",
            &out,
        ])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
        let status = format!("/proc/{}/status", child.id());
        let mut most = 0;
        while child.try_wait().unwrap().is_none() {
            let text = fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with("VmHWM:"));
            let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
            most = most.max(kib.unwrap_or(0));
            thread::sleep(Duration::from_millis(2));
        }
        assert!(child.wait().unwrap().success());
        most / 1024
    };
    let (windowed, whole) = (peak("10"), peak("4096"));
    assert!(
        whole > 100 && windowed + 60 < whole,
        "{windowed} MiB with windows of 10 MiB, {whole} MiB without"
    );
}

#[test]
fn a_head_is_trained_scored_and_put_back() {
    let made = made();
    let (bank, head) = (made.path("bank"), made.path("acsl.safetensors"));
    let info = succeed(&["features", "info", &bank, "--check"]);
    assert!(info.contains("holdout") && info.contains("validation"), "{info}");
    succeed(&[
        "head",
        "train",
        &bank,
        "--loss",
        "acsl",
        "--iterations",
        "20",
        "--batch-size",
        "4",
        "--out",
        &head,
    ]);
    let validation = made.path("bank/validation");
    let from_bank: Value =
        serde_json::from_str(&succeed(&["head", "eval", &head, &validation, "--format", "json"])).unwrap();
    let repaired = made.path("repaired");
    succeed(&["head", "apply", &head, "--run", &made.path("run"), "--out", &repaired, "--evaluate"]);
    let results: Value =
        serde_json::from_slice(&fs::read(Path::new(&repaired).join("results.json")).unwrap()).unwrap();
    let full = &results["classifiers"][0]["reports"]["lvis"]["metrics"]["AP"];
    assert_eq!(&from_bank[0]["metrics"]["AP"], full);
    let picture = made.path("picture.png");
    image::RgbImage::from_pixel(64, 64, image::Rgb([120, 30, 60])).save(&picture).unwrap();
    succeed(&["predict", &repaired, &picture, "--out", &made.path("predictions")]);
    let exported = made.path("cls_score.safetensors");
    succeed(&["head", "apply", &head, "--to", "mmdetection", "--out", &exported]);
    assert!(
        longtail_bank::npy::read_arrays(Path::new(&exported))
            .unwrap()
            .contains_key("roi_head.bbox_head.fc_cls.bias")
    );

    let sweep = made.path("sweep");
    let table = succeed(&[
        "head",
        "sweep",
        &bank,
        "--vary",
        "loss.threshold=0.3,0.7",
        "--vary",
        "learning_rate=0.01,0.02",
        "--seeds",
        "0,1",
        "--set",
        "length={ iterations = 6 }",
        "--set",
        "batch={ images = 4 }",
        "--out",
        &sweep,
    ]);
    assert!(
        table.contains("threshold 0.7, learning_rate 0.01") && table.contains("chosen by held-out AP"),
        "{table}"
    );
    for file in ["best.safetensors", "sweep.json", "report.html"] {
        assert!(Path::new(&sweep).join(file).exists(), "{file}");
    }

    refuses(&["head", "train", &bank, "--loss", "nothing"], &["nothing", "softmax-cross-entropy"]);
    refuses(
        &["head", "train", &bank, "--loss", "acsl", "--set", "loss.threshold=2"],
        &["threshold", "between 0 and 1"],
    );
    refuses(&["head", "train", &validation, "--loss", "acsl"], &["proposals"]);
    refuses(&["head", "eval", &head, &bank], &["training RoIs"]);
    refuses(&["features", "info", &made.path("run")], &["not a feature bank"]);
    refuses(
        &["features", "extract", &made.path("run"), "--out", &made.path("x"), "--views", "3"],
        &["--scales"],
    );
    refuses(
        &["features", "extract", &made.path("run"), "--out", &bank, "--seed", "4", "--holdout", "0.2"],
        &["other settings", "seed"],
    );
}

#[test]
fn arrays_are_imported_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let npy = |name: &str, descr: &str, shape: &str, data: Vec<u8>| {
        write_npy(&folder.path().join(name), descr, shape, data);
    };
    let floats = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let integers = |values: &[i64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    fs::write(
        folder.path().join("classes.json"),
        r#"{"images": [{"id": 1, "file_name": "a", "width": 9, "height": 9}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 30, "bbox": [0, 0, 5, 5], "area": 25, "iscrowd": 0}],
            "categories": [{"id": 30, "name": "cup"}, {"id": 4, "name": "hat"}]}"#,
    )
    .unwrap();
    npy("features.npy", "<f4", "(4, 2)", floats(&[1.0, 0.0, 0.0, 1.0, 0.5, 0.5, 0.2, 0.1]));
    // Background last: hat, cup, background.
    npy("labels.npy", "<i8", "(4,)", integers(&[2, 1, 0, 2]));
    npy("image_ids.npy", "<i8", "(4,)", integers(&[8, 8, 9, 9]));
    let (features, labels, ids) = (path("features.npy"), path("labels.npy"), path("image_ids.npy"));
    let (classes, out) = (path("classes.json"), path("bank"));
    let import =
        ["features", "import", &features, &labels, &ids, "--classes", &classes, "--background", "last"];
    succeed(&[&import[..], &["--out", &out, "--precision", "f32"]].concat());
    let bank = Bank::open(Path::new(&out)).unwrap();
    let shard = bank.shard(0).unwrap();
    // Foreground first; the categories by ascending id: hat is class 1, cup class 2.
    assert_eq!(shard.labels(0..4), [2, 0, 1, 0]);
    let mut found = vec![0.0; 2];
    shard.features(0..1, &mut found);
    assert_eq!(found, [0.0, 1.0]);
    assert_eq!(bank.header().classes[1].train_images, Some(1));
    succeed(&[
        "head",
        "train",
        &out,
        "--loss",
        "sigmoid-bce",
        "--iterations",
        "3",
        "--set",
        "from_stage1=false",
    ]);
    refuses(&["head", "train", &out, "--loss", "acsl"], &["stage1.safetensors", "from_stage1=false"]);

    let refused = |change: &dyn Fn(), extra: &[&str], parts: &[&str]| {
        change();
        let out = path("refused");
        refuses(&[&import[..], extra, &["--out", &out]].concat(), parts);
        assert!(Bank::open(Path::new(&out)).is_err());
        npy("features.npy", "<f4", "(4, 2)", floats(&[1.0, 0.0, 0.0, 1.0, 0.5, 0.5, 0.2, 0.1]));
        npy("labels.npy", "<i8", "(4,)", integers(&[2, 1, 0, 2]));
        let _ = fs::remove_dir_all(&out);
    };
    let with = |values: [f32; 8]| npy("features.npy", "<f4", "(4, 2)", floats(&values));
    refused(&|| with([1.0, f32::NAN, 0.0, 1.0, 0.5, 0.5, 0.2, 0.1]), &[], &["a feature of image 8", "NaN"]);
    refused(
        &|| with([1.0, 1e6, 0.0, 1.0, 0.5, 0.5, 0.2, 0.1]),
        &[],
        &["65,504 of float16", "--precision f32"],
    );
    refused(
        &|| npy("labels.npy", "<i8", "(4,)", integers(&[2, 7, 0, 2])),
        &[],
        &["row 1", "label 7 is not a class"],
    );
    refused(
        &|| npy("labels.npy", "<i8", "(3,)", integers(&[2, 1, 0])),
        &[],
        &["`labels` has 3 values", "4 rows"],
    );
    refused(&|| fs::write(&features, b"PK").unwrap(), &[], &["features.npy", "not a NumPy array"]);
    refused(&|| {}, &["--proposals"], &["`regressed`"]);
}

#[test]
fn scores_are_calibrated_and_the_gain_is_measured_elsewhere() {
    let made = made();
    let truth = made.path("bank/validation/truth-lvis.json");
    let detections = made.path("stage1.json");
    let head = made.path("bank/stage1.safetensors");
    succeed(&["head", "eval", &head, &made.path("bank/validation"), "--detections", &detections]);
    for method in ["norcal", "logit-adjustment", "platt"] {
        let (out, map) = (made.path("calibrated.json"), made.path("map.json"));
        let text = succeed(&[
            "calibrate",
            "--ground-truth",
            &truth,
            "--detections",
            &detections,
            "--method",
            method,
            "--counts",
            &truth,
            "--out",
            &out,
            "--save",
            &map,
            "--format",
            "json",
        ]);
        let fitted: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(fitted["images"][0].as_u64().unwrap() + fitted["images"][1].as_u64().unwrap(), 12);
        assert!(fitted["gain"].as_array().unwrap().iter().any(|gain| gain["metric"] == "pooled AP"));
        let again = made.path("again.json");
        succeed(&["calibrate", "--map", &map, "--detections", &detections, "--out", &again]);
        assert_eq!(fs::read(&out).unwrap(), fs::read(&again).unwrap());
    }
    refuses(
        &["calibrate", "--ground-truth", &truth, "--detections", &detections, "--method", "norcal"],
        &["--counts is needed"],
    );
}
