//! `longtail weights` from the outside: files looked into, refused, read, predicted with and written.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)
}

fn longtail(arguments: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_longtail")).args(arguments).output().unwrap()
}

fn says(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeed(arguments: &[&Path]) -> String {
    let output = longtail(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", says(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn p(text: &str) -> &Path {
    Path::new(text)
}

#[test]
fn a_malicious_file_is_refused_and_nothing_runs() {
    let folder = tempfile::tempdir().unwrap();
    for (name, asked) in
        [("malicious.pth", "posix.system"), ("cases/116-whole-model-pickled/best.pt", "DetectionModel")]
    {
        let file = fixture("longtail-weights/tests/fixtures").join(name);
        let out = folder.path().join("out.safetensors");
        for arguments in [
            vec![p("weights"), p("inspect"), &file],
            vec![p("weights"), p("import"), &file, p("--out"), &out],
        ] {
            let output = longtail(&arguments);
            assert_eq!(output.status.code(), Some(2));
            assert!(
                says(&output).contains(asked) && !says(&output).contains("panicked"),
                "{}",
                says(&output)
            );
        }
        assert!(!out.exists());
    }
}

#[test]
fn a_checkpoint_is_listed_by_group() {
    let file = fixture("longtail-weights/tests/fixtures/checkpoint.pth");
    let listed: Value =
        serde_json::from_str(&succeed(&[p("weights"), p("inspect"), &file, p("--format"), p("json")]))
            .unwrap();
    assert_eq!(listed["format"], "torch-zip");
    assert_eq!(listed["weights"], "state_dict");
    assert_eq!(listed["classes"][1], "dog");
    assert_eq!(listed["tensors"].as_array().unwrap().len(), 14);
    let error = longtail(&[p("weights"), p("import"), &file, p("--out"), p("never.safetensors")]);
    assert_eq!(error.status.code(), Some(2));
    assert!(says(&error).contains("no known convention"), "{}", says(&error));
}

#[test]
fn a_detector_goes_in_predicts_and_comes_out_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (names, imported) = (path("names.txt"), path("in.safetensors"));
    std::fs::write(&names, "cat\ndog\nowl\nemu\nyak\n").unwrap();
    let model = fixture("longtail-train/tests/golden/model.safetensors");
    let keep = p("transform.resize={ kind = \"keep\" }");
    let table = succeed(&[
        p("weights"),
        p("import"),
        &model,
        p("--out"),
        &imported,
        p("--classes"),
        &names,
        p("--set"),
        keep,
    ]);
    assert!(table.contains("rows of background dropped") && !table.contains("missing"), "{table}");

    let photo = path("photo.png");
    image::RgbImage::from_fn(128, 96, |x, y| image::Rgb([(x * 2) as u8, (y * 2) as u8, (x * y) as u8]))
        .save(&photo)
        .unwrap();
    let predictions = path("predictions");
    succeed(&[p("predict"), &imported, &photo, p("--score-threshold"), p("0"), p("--out"), &predictions]);
    let text = std::fs::read_to_string(predictions.join("detections.json")).unwrap();
    let found: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(!found.is_empty());
    let known = ["cat", "dog", "owl", "emu", "yak"];
    assert!(found.iter().all(|d| known.contains(&d["category"].as_str().unwrap())));

    // Seen at two sizes and mirrored, it finds something too.
    let views = path("views.safetensors");
    succeed(&[
        p("weights"),
        p("import"),
        &model,
        p("--out"),
        &views,
        p("--set"),
        p("test.views.short_sides=[96, 128]"),
        p("--set"),
        p("test.views.mirrored=true"),
    ]);
    succeed(&[p("predict"), &views, &photo, p("--score-threshold"), p("0"), p("--out"), &predictions]);
    let text = std::fs::read_to_string(predictions.join("detections.json")).unwrap();
    assert!(!serde_json::from_str::<Vec<Value>>(&text).unwrap().is_empty());

    for naming in ["torchvision", "mmdetection", "mmdetection1", "detectron2"] {
        let exported = path(&format!("{naming}.safetensors"));
        succeed(&[p("weights"), p("export"), &imported, p("--naming"), p(naming), p("--out"), &exported]);
        let again = path(&format!("{naming}-again.safetensors"));
        succeed(&[p("weights"), p("import"), &exported, p("--out"), &again]);
        if naming == "torchvision" {
            let back = longtail_weights::WeightFile::read(&exported).unwrap();
            let original = longtail_weights::WeightFile::read(&model).unwrap();
            for (name, tensor) in original.weights().unwrap() {
                let found = back.weights().unwrap()[name].to_f32();
                // The rows of the background box are never decoded, and not kept.
                let skip = if name.contains("box_predictor.bbox_pred") { found.len() / 6 } else { 0 };
                assert_eq!(found[skip..], tensor.to_f32()[skip..], "{name}");
            }
        }
    }
    let refused =
        longtail(&[p("weights"), p("import"), &model, p("--out"), &imported, p("--set"), p("nonsense=1")]);
    assert_eq!(refused.status.code(), Some(2), "{}", says(&refused));
}

/// Case 117: what the file is, is said.
#[test]
fn the_second_torchvision_detector_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let case = fixture("longtail-weights/tests/fixtures/cases/117-second-torchvision-detector");
    let (file, names) = (case.join("v2.safetensors"), case.join("names.txt"));
    let out = folder.path().join("out.safetensors");
    let output = longtail(&[p("weights"), p("import"), &file, p("--classes"), &names, p("--out"), &out]);
    assert_eq!(output.status.code(), Some(2));
    let said = says(&output);
    assert!(said.contains("v2.safetensors: this is the second torchvision detector"), "{said}");
    assert!(said.contains("only v1 is read") && !out.exists(), "{said}");
}

/// Case 111: what was skipped is listed, in text and JSON.
#[test]
fn what_is_skipped_is_listed() {
    let file = fixture("longtail-weights/tests/fixtures/cases/111-checkpoint-of-mmengine/epoch_12.pth");
    let said = says(&longtail(&[p("weights"), p("inspect"), &file]));
    assert!(
        said.contains("1 × `mmengine.logging.history_buffer.HistoryBuffer`, first at `message_hub"),
        "{said}"
    );
    let listed: Value =
        serde_json::from_str(&succeed(&[p("weights"), p("inspect"), &file, p("--format"), p("json")]))
            .unwrap();
    assert_eq!(listed["skipped"][0]["count"], 1);
}
