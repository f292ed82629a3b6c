//! What once lost or falsified data.

use std::{fs, path::Path};

use burn::tensor::Device;
use longtail_bank::Precision;
use longtail_emoji::{World, WorldConfig};
use longtail_eval::read_detections;
use longtail_head::Head;
use longtail_run::{Results, RunError, RunFolder, Silent};
use longtail_train::{Recipe, TrainError, branch, checkpoint::Checkpoint, head::apply, run};
use serde_json::Value;

use crate::common::{StopAfter, finish, make, options, two_stages};

/// Removes a category, everything of it, from a COCO or LVIS file.
fn without_category(path: &Path, index: usize) -> i64 {
    let mut file: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let categories = file["categories"].as_array_mut().unwrap();
    categories.sort_by_key(|category| category["id"].as_i64());
    let id = categories.remove(index)["id"].as_i64().unwrap();
    file["annotations"].as_array_mut().unwrap().retain(|a| a["category_id"].as_i64() != Some(id));
    for image in file["images"].as_array_mut().unwrap() {
        for list in ["neg_category_ids", "not_exhaustive_category_ids"] {
            if let Some(list) = image.get_mut(list).and_then(Value::as_array_mut) {
                list.retain(|other| other.as_i64() != Some(id));
            }
        }
    }
    fs::write(path, serde_json::to_vec(&file).unwrap()).unwrap();
    id
}

/// The detector's labels are those of the training file, whatever classes the validation file has.
#[test]
fn detections_of_a_repaired_run_have_the_training_file_s_categories() {
    let folder = tempfile::tempdir().unwrap();
    let config = WorldConfig {
        classes: 4,
        images: 150,
        validation_images: 12,
        image_size: 64,
        seed: 3,
        ..WorldConfig::default()
    };
    let world = folder.path().join("world");
    longtail_emoji::export(&World::new(&config).unwrap(), &world, &mut |_, _| {}).unwrap();
    let validation = world.join("lvis_val.json");
    without_category(&validation, 0);
    let data = format!(
        "data={{ kind = \"files\", train_annotations = {:?}, train_images = {:?}, \
         validation_annotations = {:?}, validation_images = {:?} }}",
        world.join("lvis_train.json"),
        world.join("train"),
        validation,
        world.join("val")
    );
    let made = make(&[&data], &options(Precision::F32));
    let results = Results::read(&made.run()).unwrap();
    let expected = read_detections(&made.run().join(&results.classifiers[0].detections)).unwrap();
    let path = made.bank().join("stage1.safetensors");
    let (head, file) = Head::read(&path).unwrap();
    let out = folder.path().join("repaired");
    // The detector's own classifier put back changes nothing.
    let (source, device) = (made.source(), Device::flex());
    let repaired =
        apply(&head, &file, &path, &source, &made.run(), &out, true, &device, &mut Silent).unwrap();
    let found = read_detections(&out.join(&repaired.classifiers[0].detections)).unwrap();
    let last = results.classes.last().unwrap().category_id;
    assert!(expected.iter().any(|detection| detection.category_id == last));
    assert_eq!(found, expected);
    assert_eq!(repaired.classifiers[0].reports, results.classifiers[0].reports);
}

/// A loss that is finite and a gradient that is not: no step, and no checkpoint of what would come of it.
#[test]
fn a_gradient_that_is_not_finite_ends_the_run_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let in_stage = |stage: usize, weight: f64| {
        format!("stages.{stage}.classifiers.0.reduction={{ weight = {weight:e} }}")
    };
    let open = RunFolder::open(&folder.path().join("detector"), false).unwrap();
    let detector = two_stages(&[&in_stage(0, 2e38), "checkpoint_every=1"]);
    let error = run(&detector, &open, false, &Device::flex(), "test", &mut Silent).unwrap_err();
    let TrainError::NotFinite { stage, step: 0, terms, images } = &error else { panic!("{error}") };
    assert_eq!((stage.as_str(), images.len()), ("representation", 2));
    assert!(terms.contains("gradient norm = "), "{terms}");
    assert!(!open.last_checkpoint().exists());

    let path = folder.path().join("classifier");
    let open = RunFolder::open(&path, false).unwrap();
    let classifier = two_stages(&[&in_stage(1, 3e39), "checkpoint_every=1"]);
    let error = run(&classifier, &open, false, &Device::flex(), "test", &mut Silent).unwrap_err();
    let TrainError::NotFinite { stage, step: 0, terms, .. } = &error else { panic!("{error}") };
    assert_eq!(stage, "classifier");
    assert!(terms.contains("softmax continued: gradient norm = "), "{terms}");
    let last = Checkpoint::read(&open.last_checkpoint()).unwrap();
    assert_eq!((last.position.stage, last.position.iteration), (1, 0));
    assert!(!open.stage_checkpoint("classifier").exists());
}

#[test]
fn results_and_logs_that_cannot_be_read_stop_a_resume_and_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let recipe = two_stages(&[]);
    {
        let open = RunFolder::open(&path, false).unwrap();
        let stopped = run(&recipe, &open, false, &Device::flex(), "test", &mut StopAfter { steps: 6 });
        assert!(matches!(stopped, Err(TrainError::Interrupted { .. })));
    }
    for (name, damage) in [("results.json", &b"{\"seed\": 3, \"cla"[..]), ("metrics.jsonl", b"{}\n")] {
        let file = path.join(name);
        let whole = fs::read(&file).unwrap();
        fs::write(&file, damage).unwrap();
        let open = RunFolder::open(&path, true).unwrap();
        let error = run(&recipe, &open, true, &Device::flex(), "test", &mut Silent).unwrap_err();
        assert!(
            matches!(error, TrainError::Run(RunError::Results { .. } | RunError::LogLine { .. })),
            "{error}"
        );
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(fs::read(&file).unwrap(), damage, "{name}");
        fs::write(&file, whole).unwrap();
    }
    let stages: Vec<String> =
        finish(&recipe, &path, true).classifiers.into_iter().map(|result| result.stage).collect();
    assert_eq!(stages, ["representation", "classifier", "classifier"]);
}

#[test]
fn a_branch_after_no_stage_or_too_many_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("from");
    let recipe: Recipe = two_stages(&[]);
    fs::create_dir(&from).unwrap();
    fs::write(from.join("config.toml"), recipe.to_toml()).unwrap();
    let open = RunFolder::open(&folder.path().join("to"), false).unwrap();
    for stages in [0, 3] {
        let error = branch(&from, stages, &recipe, &open).unwrap_err().to_string();
        assert!(error.contains(&format!("cannot begin after {stages}")), "{error}");
    }
}
