//! Whole runs on a tiny world: resuming, threads, frozen parts, and what goes wrong.

use std::path::Path;

use crate::common::{StopAfter, finish, two_stages as recipe, weights};
use burn::tensor::Device;
use longtail_annotations::FrequencyGroup;
use longtail_eval::Metric;
use longtail_run::{Event, MetricsLog, Observer, Record, RunError, RunFolder, Silent};
use longtail_train::{Predictor, Recipe, TrainError, checkpoint::Checkpoint, recipe::DataRecipe, run};

fn metrics_without_times(path: &Path) -> Vec<Record> {
    let mut records = MetricsLog::read(&path.join("metrics.jsonl")).unwrap();
    for record in &mut records {
        if let Record::Step(step) = record {
            step.seconds = Default::default();
            (step.images_per_second, step.memory_mib) = (0.0, 0.0);
        }
    }
    records
}

#[test]
fn a_run_that_was_stopped_and_resumed_equals_one_that_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let expected = finish(&recipe(&[]), &whole, false);
    // Stops in the middle of each stage, and at the end of the first.
    for steps in [2, 4, 6] {
        let path = folder.path().join(format!("stopped-{steps}"));
        let stopped = {
            let folder = RunFolder::open(&path, false).unwrap();
            run(&recipe(&[]), &folder, false, &Device::flex(), "test", &mut StopAfter { steps })
        };
        assert!(matches!(stopped, Err(TrainError::Interrupted { .. })), "{steps}");
        let found = finish(&recipe(&[]), &path, true);
        assert_eq!(found.classifiers, expected.classifiers, "{steps}");
        for stage in ["representation", "classifier"] {
            assert_eq!(weights(&path, stage), weights(&whole, stage), "{steps}, {stage}");
        }
        assert_eq!(metrics_without_times(&path), metrics_without_times(&whole), "{steps}");
    }
}

#[test]
fn an_augmented_run_that_was_stopped_and_resumed_equals_one_that_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let augmented = |workers: usize| {
        recipe(&[
            r#"transform.augmentations=[{kind = "copy-paste", rarity = 1.0}, {kind = "random-crop"},
               {kind = "color-jitter"}, {kind = "large-scale-jitter", size = 64, scale = [0.5, 2.0]}]"#,
            "stages.0.aspect_grouping=true",
            &format!("workers={workers}"),
        ])
    };
    let whole = folder.path().join("whole");
    let expected = finish(&augmented(1), &whole, false);
    let path = folder.path().join("stopped");
    {
        let folder = RunFolder::open(&path, false).unwrap();
        let mut stop = StopAfter { steps: 2 };
        let stopped = run(&augmented(3), &folder, false, &Device::flex(), "test", &mut stop);
        assert!(matches!(stopped, Err(TrainError::Interrupted { .. })));
    }
    let found = finish(&augmented(2), &path, true);
    assert_eq!(found.classifiers, expected.classifiers);
    assert_eq!(weights(&path, "representation"), weights(&whole, "representation"));
    assert_eq!(metrics_without_times(&path), metrics_without_times(&whole));
    let plain = folder.path().join("plain");
    finish(&recipe(&[]), &plain, false);
    assert_ne!(weights(&plain, "representation"), weights(&whole, "representation"));
}

#[test]
fn a_run_on_expanded_labels_that_was_stopped_and_resumed_equals_one_that_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let expanded = |workers: usize| {
        let workers = format!("workers={workers}");
        recipe(&["data.layout=open-images", "data.labels=expanded", &workers])
    };
    let whole = folder.path().join("whole");
    let expected = finish(&expanded(1), &whole, false);
    let path = folder.path().join("stopped");
    {
        let folder = RunFolder::open(&path, false).unwrap();
        let mut stop = StopAfter { steps: 6 };
        let stopped = run(&expanded(2), &folder, false, &Device::flex(), "test", &mut stop);
        assert!(matches!(stopped, Err(TrainError::Interrupted { .. })));
    }
    let found = finish(&expanded(3), &path, true);
    assert_eq!(found.classifiers, expected.classifiers);
    for stage in ["representation", "classifier"] {
        assert_eq!(weights(&path, stage), weights(&whole, stage), "{stage}");
    }
    // Emoji, subgroups and groups, each with boxes; the challenge's numbers under both truths.
    assert!(
        expected.classes.len() > 5 && expected.classes.iter().all(|class| class.train_instances > Some(0))
    );
    let boxes = |above: bool| -> u64 {
        let classes = expected.classes.iter().filter(|class| class.subgroup.is_none() == above);
        classes.filter_map(|class| class.train_instances).sum()
    };
    assert_eq!(boxes(true), 2 * boxes(false));
    assert_eq!(expected.truths.keys().collect::<Vec<_>>(), ["exhaustive", "open-images"]);
    for result in &expected.classifiers {
        for report in result.reports.values() {
            assert_eq!(report.protocol, "open-images");
            assert!(
                report.metric(&Metric::CHALLENGE_AP).is_some()
                    && report.metrics.contains_key(&Metric::CHALLENGE_AP.of_group(FrequencyGroup::Rare))
            );
        }
    }
}

#[test]
fn the_recipes_of_the_repository_are_read_and_written_without_loss() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let recipe = Recipe::read(&path, &[]).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(Recipe::parse(&recipe.to_toml(), &[]).unwrap(), recipe, "{}", path.display());
        read += 1;
    }
    assert!(read >= 5);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let with_threads = |threads: usize| {
        let path = folder.path().join(threads.to_string());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let results = pool.install(|| finish(&recipe(&[&format!("workers={threads}")]), &path, false));
        (results.classifiers, weights(&path, "classifier"))
    };
    assert_eq!(with_threads(1), with_threads(4));
}

#[test]
fn the_classifier_stage_moves_nothing_but_the_classifier() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let results = finish(&recipe(&[]), &path, false);
    let names: Vec<&str> = results.classifiers.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["softmax", "softmax continued", "ACSL"]);
    let (before, after) = (weights(&path, "representation"), weights(&path, "classifier"));
    // Two classifiers were trained side by side, so the detector itself keeps the first one, and all else.
    assert_eq!(before[0], after[0]);
    assert_ne!(after[1], after[2]);
}

#[test]
fn every_step_logs_losses_rates_memory_and_kept_negatives() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    finish(&recipe(&[]), &path, false);
    let records = MetricsLog::read(&path.join("metrics.jsonl")).unwrap();
    let steps: Vec<_> =
        records.iter().filter_map(|r| if let Record::Step(step) = r { Some(step) } else { None }).collect();
    assert_eq!(steps.len(), 8);
    for step in &steps[..4] {
        let names: Vec<&str> = step.losses.keys().map(String::as_str).collect();
        assert_eq!(names, ["loss_box_reg", "loss_classifier", "loss_objectness", "loss_rpn_box_reg"]);
        assert!(step.learning_rate > 0.0 && step.memory_mib > 0.0 && step.images_per_second > 0.0);
    }
    for step in &steps[4..] {
        let kept = &step.kept_negatives["ACSL"];
        assert!(!kept.is_empty() && kept.values().all(|share| (0.0..=1.0).contains(share)));
    }
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_with_its_terms_and_images() {
    let folder = tempfile::tempdir().unwrap();
    let open = RunFolder::open(&folder.path().join("run"), false).unwrap();
    let recipe =
        recipe(&["stages.0.optimizer.learning_rate=1e30", "stages.0.optimizer.gradient_clip_norm=0.0"]);
    let error = run(&recipe, &open, false, &Device::flex(), "test", &mut Silent).unwrap_err();
    let TrainError::NotFinite { images, .. } = &error else { panic!("{error}") };
    assert_eq!(images.len(), 2);
    let text = error.to_string();
    assert!(text.contains("loss_objectness") && text.contains("representation"), "{text}");
}

#[test]
fn a_folder_in_use_or_with_a_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let open = RunFolder::open(&path, false).unwrap();
    assert!(matches!(RunFolder::open(&path, false), Err(RunError::Locked { .. })));
    // A run that failed before its first checkpoint is begun anew, not resumed.
    open.write("config.toml", b"").unwrap();
    drop(open);
    assert!(matches!(RunFolder::open(&path, true), Err(RunError::NothingToResume { .. })));
    let open = RunFolder::open(&path, false).unwrap();
    open.write("checkpoints/last.safetensors", b"").unwrap();
    drop(open);
    assert!(matches!(RunFolder::open(&path, false), Err(RunError::RunExists { .. })));
    std::fs::write(folder.path().join("file"), "").unwrap();
    let error = RunFolder::open(&folder.path().join("file/run"), false).unwrap_err();
    assert!(error.to_string().contains("cannot create run folder"), "{error}");
}

#[test]
fn recipes_with_mistakes_name_the_key() {
    for (change, expected) in [
        ("stages.0.optimizer.learning_rate=0", "stages.0.optimizer.learning_rate"),
        ("stages.0.lenght=3", "lenght"),
        ("detector.roi_head.samples=0", "roi_head.samples"),
        ("stages.1.train=\"al\"", "al"),
        ("stages.7.name=\"x\"", "stages.7"),
        ("data.clases=3", "clases"),
        ("checkpoint_every=0", "checkpoint_every"),
        (r#"transform.augmentations=[{kind = "mixup"}]"#, "mixup"),
        (r#"transform.augmentations=[{kind = "random-crop", sise = 1}]"#, "sise"),
        (r#"transform.augmentations=[{kind = "copy-paste", rarity = -1.0}]"#, "entry 0 (copy-paste): rarity"),
    ] {
        let error = std::panic::catch_unwind(|| recipe(&[change])).unwrap_err();
        let text = error.downcast_ref::<String>().unwrap();
        assert!(text.contains(expected), "{change}: {text}");
    }
}

#[test]
fn losses_of_later_stages_are_checked_before_the_first_begins() {
    let folder = tempfile::tempdir().unwrap();
    for (change, part) in [
        ("stages.1.classifiers.1.loss.threshold=1.5", "`threshold` is 1.5"),
        ("statistics_free=true", "`statistics_free` forbids"),
    ] {
        let open = RunFolder::open(&folder.path().join("run"), false).unwrap();
        let error = run(&recipe(&[change]), &open, false, &Device::flex(), "test", &mut Silent).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("stages.1.classifiers.1.loss") && text.contains(part), "{text}");
        assert!(!open.last_checkpoint().exists());
    }
}

/// Losses whose heads are wider than softmax's, with running statistics, and one that draws.
#[test]
fn wide_heads_and_running_statistics_resume_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let changes = [r#"stages.1.classifiers=[
            { name = "BAGS", loss = { kind = "bags" } }, { name = "Seesaw", loss = { kind = "seesaw" } },
            { name = "EQL v2", loss = { kind = "eql-v2" } }, { name = "EFL", loss = { kind = "equalized-focal" } },
            { name = "balanced", loss = { kind = "acsl", background = "balanced" } },
            { name = "DropLoss", loss = { kind = "drop-loss" }, reduction = { weight = 2.0, normalizer = "positives" } },
        ]"#];
    let recipe = recipe(&changes);
    let whole = folder.path().join("whole");
    let expected = finish(&recipe, &whole, false);
    assert_eq!(expected.classifiers.len(), 7);
    let path = folder.path().join("stopped");
    let open = RunFolder::open(&path, false).unwrap();
    let stopped = run(&recipe, &open, false, &Device::flex(), "test", &mut StopAfter { steps: 6 });
    assert!(matches!(stopped, Err(TrainError::Interrupted { .. })));
    drop(open);
    assert_eq!(finish(&recipe, &path, true).classifiers, expected.classifiers);
    assert_eq!(weights(&path, "classifier"), weights(&whole, "classifier"));
    for name in ["BAGS", "Seesaw"] {
        Predictor::load(&path, Some(name), &Device::flex()).unwrap();
    }
}

/// A stage with a single classifier puts it into the detector, whatever its width.
#[test]
fn a_wide_head_can_be_followed_by_another_stage() {
    let folder = tempfile::tempdir().unwrap();
    let changes = [r#"stages.1.classifiers=[{ name = "BAGS", loss = { kind = "bags" } }]"#];
    let mut recipe = recipe(&changes);
    let mut third = recipe.stages[1].clone();
    third.name = "third".into();
    third.classifiers[0].loss = serde_json::from_str(r#"{"kind": "seesaw"}"#).unwrap();
    third.classifiers[0].name = "Seesaw".into();
    recipe.stages.push(third);
    let whole = folder.path().join("whole");
    finish(&recipe, &whole, false);
    let path = folder.path().join("stopped");
    let open = RunFolder::open(&path, false).unwrap();
    let stopped = run(&recipe, &open, false, &Device::flex(), "test", &mut StopAfter { steps: 10 });
    assert!(matches!(stopped, Err(TrainError::Interrupted { .. })));
    drop(open);
    finish(&recipe, &path, true);
    assert_eq!(weights(&path, "third"), weights(&whole, "third"));
    Predictor::load(&path, Some("BAGS"), &Device::flex()).unwrap();
}

#[test]
fn a_checkpoint_on_a_full_disk_leaves_the_old_one_whole() {
    // /dev/full refuses every write, as a full disk does.
    if !Path::new("/dev/full").exists() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("last.safetensors");
    Checkpoint::default().write(&path).unwrap();
    let old = std::fs::read(&path).unwrap();
    let error = longtail_run::write_atomically(&path, |_| {
        std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .and_then(|mut full| std::io::Write::write_all(&mut full, b"more").and_then(|()| full.sync_all()))
    })
    .unwrap_err();
    assert!(error.to_string().contains("last.safetensors"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), old);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn paths_of_a_recipe_are_its_folders_and_those_of_overrides_are_here() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipe.toml");
    let text = r#"
        name = "files"
        data = { kind = "files", train_annotations = "a.json", train_images = "/images" }
        stages = [{ name = "one", train = "all", length = { epochs = 1.0 }, batch_size = 1,
                    optimizer = { learning_rate = 0.1 },
                    classifiers = [{ name = "softmax", loss = { kind = "softmax-cross-entropy" } }] }]
    "#;
    std::fs::write(&path, text).unwrap();
    let annotations = |recipe: &Recipe| match &recipe.data {
        DataRecipe::Files(files) => files.train_annotations.clone(),
        other => panic!("{other:?}"),
    };
    let plain = Recipe::read(&path, &[]).unwrap();
    assert_eq!(annotations(&plain), folder.path().join("a.json"));
    let other = Recipe::read(&path, &["seed=1".into()]).unwrap();
    assert_eq!(annotations(&other), folder.path().join("a.json"));
    assert_eq!(plain.differences(&other), ["seed"]);
    let here = Recipe::read(&path, &["data.train_annotations=b.json".into()]).unwrap();
    assert_eq!(annotations(&here), std::env::current_dir().unwrap().join("b.json"));
    // The copy in the run folder names the same files.
    std::fs::create_dir(folder.path().join("run")).unwrap();
    let copy = folder.path().join("run/config.toml");
    std::fs::write(&copy, plain.to_toml()).unwrap();
    assert_eq!(Recipe::read(&copy, &[]).unwrap(), plain);
}

#[test]
fn a_run_begins_with_the_weights_of_a_file() {
    struct Notes(Vec<String>);
    impl Observer for Notes {
        fn observe(&mut self, event: Event<'_>) {
            if let Event::Note(note) = event {
                self.0.push(note.to_owned());
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("first");
    finish(&recipe(&["stages.0.length={ iterations = 1 }"]), &first, false);
    let start = first.join("checkpoints/representation.safetensors");
    // A rate so small that nothing moves.
    let still = [
        format!("weights={}", start.display()),
        "seed=9".into(),
        "stages.0.length={ iterations = 1 }".into(),
        "stages.0.optimizer.learning_rate=1e-30".into(),
    ];
    let second = folder.path().join("second");
    let path = RunFolder::open(&second, false).unwrap();
    let recipe_of = |more: &[&str]| {
        let still: Vec<&str> = still.iter().map(String::as_str).chain(more.iter().copied()).collect();
        recipe(&still)
    };
    let mut notes = Notes(Vec::new());
    run(&recipe_of(&[]), &path, false, &Device::flex(), "test", &mut notes).unwrap();
    assert!(notes.0.iter().any(|note| note.contains("tensors from")), "{:?}", notes.0);
    let (from, to) = (&weights(&first, "representation")[0], &weights(&second, "representation")[0]);
    for (name, data) in from.iter().filter(|(name, _)| !name.contains("running")) {
        let values = |data: &burn::tensor::TensorData| data.try_to_vec::<f32>().unwrap();
        for (a, b) in values(data).iter().zip(values(&to[name])) {
            assert!((a - b).abs() < 1e-20, "{name}: {a} is not {b}");
        }
    }
    let path = RunFolder::open(&folder.path().join("third"), false).unwrap();
    let wider = recipe_of(&["detector.roi_head.hidden=20"]);
    let error = run(&wider, &path, false, &Device::flex(), "test", &mut Silent).unwrap_err().to_string();
    assert!(error.contains("roi_head.") && error.contains("make `detector` fit"), "{error}");
}
