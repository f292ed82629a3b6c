//! The last hidden layer from the outside: a bank of its inputs, a head that brings it, a run that takes it,
//! arrays imported.

use std::{fs, path::Path};

use longtail_bank::{Bank, FeatureLayer};
use serde_json::Value;

use crate::common::{TINY, refuses, succeed, write_npy};

#[test]
fn a_head_with_its_hidden_layer_is_trained_scored_and_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("tiny.toml"), TINY).unwrap();
    let (run, bank, head) = (path("run"), path("bank"), path("acsl.safetensors"));
    succeed(&["train", &path("tiny.toml"), "--out", &run]);
    let extract = ["features", "extract", &run, "--out", &bank, "--holdout", "0.2", "--precision", "f32"];
    succeed(&[&extract[..], &["--layer", "hidden"]].concat());
    let text = fs::read_to_string(Path::new(&bank).join("bank.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["layer"], "hidden");
    let info = succeed(&["features", "info", &bank]);
    assert!(info.contains("last hidden layer"), "{info}");

    let train =
        ["head", "train", &bank, "--loss", "acsl", "--iterations", "20", "--batch-size", "4", "--out", &head];
    succeed(&[&train[..], &["--set", "hidden={ kind = \"trained\", learning_rate_factor = 0.5 }"]].concat());
    let validation = path("bank/validation");
    let from_bank: Value =
        serde_json::from_str(&succeed(&["head", "eval", &head, &validation, "--format", "json"])).unwrap();
    let repaired = path("repaired");
    succeed(&["head", "apply", &head, "--run", &run, "--out", &repaired, "--evaluate"]);
    let results: Value =
        serde_json::from_slice(&fs::read(Path::new(&repaired).join("results.json")).unwrap()).unwrap();
    let full = &results["classifiers"][0]["reports"]["lvis"]["metrics"]["AP"];
    assert_eq!(&from_bank[0]["metrics"]["AP"], full);
    // Again, on the repaired run: boxes are those of the same layer.
    let twice = path("twice");
    succeed(&["head", "apply", &head, "--run", &repaired, "--out", &twice, "--evaluate"]);
    let [first, second] =
        [&repaired, &twice].map(|run| fs::read(format!("{run}/detections/repaired-0.json")).unwrap());
    assert_eq!(first, second);
    let picture = path("picture.png");
    image::RgbImage::from_pixel(64, 64, image::Rgb([120, 30, 60])).save(&picture).unwrap();
    succeed(&["predict", &repaired, &picture, "--out", &path("predictions")]);
    let table = succeed(&[
        "head",
        "sweep",
        &bank,
        "--set",
        "hidden={ kind = \"trained\" }",
        "--vary",
        "hidden.learning_rate_factor=0.1,1",
        "--set",
        "length={ iterations = 6 }",
        "--set",
        "batch={ images = 4 }",
        "--out",
        &path("sweep"),
    ]);
    assert!(table.contains("learning_rate_factor 0.1") && table.contains("chosen by held-out AP"), "{table}");

    let out = path("never.safetensors");
    refuses(&["head", "apply", &head, "--to", "torchvision", "--out", &out], &["its own last hidden layer"]);
    refuses(
        &["weights", "export", &repaired, "--naming", "torchvision", "--out", &out],
        &["separate_regression", "torchvision"],
    );
    refuses(&[&train[..9], &["--set", "optimizer={ kind = \"lbfgs\" }"]].concat(), &["convex"]);
    refuses(
        &[&extract[..], &["--layer", "classifier"]].concat(),
        &["other settings", "frozen_sha256, layer"],
    );
    let plain = path("plain");
    succeed(&["features", "extract", &run, "--out", &plain, "--holdout", "0", "--precision", "f16"]);
    refuses(
        &["head", "train", &plain, "--loss", "acsl", "--set", "hidden={ kind = \"trained\" }"],
        &["`hidden`", "--layer hidden"],
    );
    refuses(
        &["head", "eval", &head, &path("plain/validation")],
        &["takes what the last hidden layer sees", "holds what the classifier sees"],
    );
    refuses(
        &["head", "eval", &path("plain/stage1.safetensors"), &validation],
        &["takes what the classifier sees"],
    );
    assert!(!Path::new(&out).exists());
}

#[test]
fn inputs_of_the_hidden_layer_are_imported_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(
        path("classes.json"),
        r#"{"images": [{"id": 1, "file_name": "a", "width": 9, "height": 9}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 4, "bbox": [0, 0, 5, 5], "area": 25, "iscrowd": 0}],
            "categories": [{"id": 4, "name": "hat"}]}"#,
    )
    .unwrap();
    let write = |name: &str, shape: &str, values: &[f32]| {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        write_npy(&folder.path().join(format!("{name}.npy")), "<f4", shape, bytes);
    };
    // Three inputs, two hidden features, background and one class.
    let hidden = [0.1, 0.2, 0.3, -0.4, 0.5, 0.6];
    write("features", "(2, 3)", &[1.0, 0.0, 2.0, 0.5, 1.0, 0.0]);
    write("hidden.weight", "(2, 3)", &hidden);
    write("hidden.bias", "(2,)", &[0.1, 0.0]);
    write("classifier.weight", "(2, 2)", &[0.5, -0.5, 0.25, 1.0]);
    write("classifier.bias", "(2,)", &[0.0, 0.5]);
    let integers = [1_i64, 0].iter().flat_map(|label| label.to_le_bytes()).collect::<Vec<u8>>();
    for name in ["labels", "image_ids"] {
        write_npy(&folder.path().join(format!("{name}.npy")), "<i8", "(2,)", integers.clone());
    }
    let classes = path("classes.json");
    let import = |out: &str, arrays: &[&str], extra: &[&str]| -> Vec<String> {
        let files =
            ["features", "labels", "image_ids"].iter().chain(arrays).map(|name| path(&format!("{name}.npy")));
        let rest = [&["--classes", &classes, "--out", out, "--precision", "f32"], extra].concat();
        let command = ["features", "import"].map(str::to_owned).into_iter();
        command.chain(files).chain(rest.into_iter().map(str::to_owned)).collect()
    };
    let (weight, bias) = ("classifier.weight", "classifier.bias");
    let all = ["hidden.weight", "hidden.bias", weight, bias];
    let (out, head) = (path("bank"), path("head.safetensors"));
    let arguments = import(&out, &all, &[]);
    succeed(&text(&arguments));
    let header = Bank::open(Path::new(&out)).unwrap().header().clone();
    assert_eq!((header.layer, header.width), (FeatureLayer::Hidden, 3));
    succeed(&["head", "train", &out, "--loss", "softmax-cross-entropy", "--iterations", "5", "--out", &head]);
    let trained = longtail_bank::npy::read_arrays(Path::new(&head)).unwrap();
    assert_eq!(trained["hidden.weight"].shape, [2, 3]);
    assert_ne!(trained["hidden.weight"].clone().into_floats(), hidden);

    for (arrays, extra, part) in [
        // The classifier takes two features.
        (&all[..], &["--layer", "classifier"][..], "`classifier.weight` takes features of width 2"),
        (&[weight, bias], &["--layer", "hidden"], "`hidden.weight` and `hidden.bias`"),
        (&["hidden.weight", "hidden.bias"], &[], "give all four"),
        (&["hidden.weight", weight, bias], &[], "`hidden.weight` and `hidden.bias` belong together"),
    ] {
        let refused = path("refused");
        refuses(&text(&import(&refused, arrays, extra)), &[part]);
        assert!(Bank::open(Path::new(&refused)).is_err());
    }
}

fn text(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}
