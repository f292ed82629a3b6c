//! The last hidden layer trained with the classifier: banks of its inputs, heads that bring it, and detectors that take it
//! while boxes stay.

use std::{path::Path, sync::OnceLock};

use burn::tensor::Device;
use longtail_bank::{Bank, FeatureLayer, Precision};
use longtail_eval::{Detection, read_detections};
use longtail_head::{
    BatchRecipe, ExportFormat, Head, HeadError, HeadFile, HeadRecipe, Hidden, HiddenRecipe, Inputs, Length,
    export,
    sweep::{Setting, SweepEvent, SweepObserver},
    train,
};
use longtail_run::{Event, Observer, Results, RunFolder, Silent};
use longtail_train::{
    Predictor, Recipe,
    bank::{ExtractOptions, FeatureSource},
    checkpoint::Checkpoint,
    head::{apply, detect, sweep, test_rules},
    parameters::{HIDDEN, REGRESSION_HIDDEN},
    run, weights,
};
use longtail_weights::Naming;

use crate::common::{Made, Notes, StopAt, TINY, make, make_bank, options, recipe};

fn hidden_options() -> ExtractOptions {
    ExtractOptions { layer: FeatureLayer::Hidden, ..options(Precision::F32) }
}

/// A run and a bank of its last hidden layer's inputs, made once.
fn tiny() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| make(&[], &hidden_options()))
}

/// A bank of its classifier's inputs.
fn classifier_bank() -> Bank {
    static MADE: OnceLock<()> = OnceLock::new();
    let folder = tiny().folder.path().join("classifier-bank");
    MADE.get_or_init(|| make_bank(&tiny().source(), &folder, &options(Precision::F32)));
    Bank::open(&folder).unwrap()
}

fn bank() -> Bank {
    Bank::open(&tiny().bank()).unwrap()
}

fn trained(recipe: &HeadRecipe) -> (Head, HeadFile) {
    train(&bank(), recipe, None, &mut Silent).unwrap()
}

fn frozen(recipe: HeadRecipe) -> HeadRecipe {
    HeadRecipe { hidden: Some(HiddenRecipe::Frozen), ..recipe }
}

fn stage1(made: &Made) -> (Head, HeadFile) {
    Head::read(&made.bank().join("stage1.safetensors")).unwrap()
}

/// Detections of a head over the stored validation proposals.
fn from_bank(bank: &Path, head: &Head, file: &HeadFile) -> Vec<Detection> {
    let bank = Bank::open(&bank.join("validation")).unwrap();
    file.check(Path::new("head"), head.inputs(), &Inputs::of("bank", bank.header())).unwrap();
    let rules = test_rules(&bank).unwrap();
    detect(&bank, head, file.build_loss().unwrap().as_ref(), &rules).unwrap()
}

fn apply_to(source: &FeatureSource, run: &Path, head: &Head, file: &HeadFile, out: &Path) -> Vec<Detection> {
    let path = out.with_extension("safetensors");
    head.write(&path, file).unwrap();
    assert_eq!(&Head::read(&path).unwrap(), &(head.clone(), file.clone()));
    let results = apply(head, file, &path, source, run, out, true, &Device::flex(), &mut Silent).unwrap();
    read_detections(&out.join(&results.classifiers[0].detections)).unwrap()
}

/// The largest difference, over the largest value.
fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let size = a.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    a.iter().zip(b).fold(0.0_f32, |m, (a, b)| m.max((a - b).abs())) / size
}

#[test]
fn the_hidden_layer_over_its_bank_is_the_bank_of_the_classifier() {
    let (below, above) = (bank(), classifier_bank());
    let header = below.header();
    assert_eq!((header.layer, header.width), (FeatureLayer::Hidden, 16));
    assert_ne!(header.frozen_sha256, above.header().frozen_sha256);
    assert_eq!(header.counts, above.header().counts);
    let hidden = stage1(tiny()).0.hidden.unwrap();
    for index in 0..header.shards.len() {
        let [below, above] = [&below, &above].map(|bank| bank.shard(index).unwrap());
        let rows = 0..below.len();
        assert_eq!(below.labels(rows.clone()), above.labels(rows.clone()));
        assert_eq!(below.logits(rows.clone()), above.logits(rows.clone()));
        let [mut inputs, mut expected] = [(); 2].map(|()| vec![0.0; rows.len() * 16]);
        below.features(rows.clone(), &mut inputs);
        above.features(rows, &mut expected);
        assert!(inputs.iter().all(|x| *x >= 0.0) && apart(&inputs, &expected) > 0.1);
        assert!(apart(&expected, &hidden.forward(&inputs)) < 1e-5);
    }
}

#[test]
fn stored_proposals_give_the_detector_s_own_detections() {
    for agnostic in ["true", "false"] {
        let boxes = format!("detector.roi_head.class_agnostic={agnostic}");
        let own = (agnostic == "false").then(|| make(&[&boxes], &hidden_options()));
        let made = own.as_ref().unwrap_or_else(|| tiny());
        let results = Results::read(&made.run()).unwrap();
        let expected = read_detections(&made.run().join(&results.classifiers[0].detections)).unwrap();
        let (head, file) = stage1(made);
        let found = from_bank(&made.bank(), &head, &file);
        assert!(!found.is_empty());
        assert_eq!(found, expected, "class-agnostic boxes: {agnostic}");

        // A repaired detector gives what the bank said: boxes did not move.
        let (head, file) =
            train(&Bank::open(&made.bank()).unwrap(), &recipe("acsl"), None, &mut Silent).unwrap();
        let found = from_bank(&made.bank(), &head, &file);
        assert_ne!(found, expected);
        let out = made.folder.path().join("repaired");
        let full = apply_to(&made.source(), &made.run(), &head, &file, &out);
        assert_eq!(found, full, "class-agnostic boxes: {agnostic}");
    }
}

#[test]
fn a_frozen_hidden_layer_gives_what_the_bank_of_the_classifier_gives() {
    let above = classifier_bank();
    for (loss, key, value) in [
        ("acsl", "classifier", "{ kind = \"linear\" }"),
        ("softmax-cross-entropy", "classifier", "{ kind = \"normalized\" }"),
        ("softmax-cross-entropy", "classifier", "{ kind = \"cosine\" }"),
        ("seesaw", "batch", "{ rois = 50 }"),
        ("softmax-cross-entropy", "optimizer", "{ kind = \"lbfgs\", weight_decay = 0.01, tolerance = 1e-6 }"),
    ] {
        let recipe = recipe(loss).with(&[format!("{key}={value}")]).unwrap();
        let (expected, _) = train(&above, &recipe, None, &mut Silent).unwrap();
        let (found, file) = trained(&frozen(recipe));
        assert_eq!(found.hidden, stage1(tiny()).0.hidden);
        let error = apart(&expected.weight, &found.weight).max(apart(&expected.bias, &found.bias));
        assert!(error < 1e-3, "{loss}, {value}: {error}");
        assert!(!file.trained_hidden());
    }
}

#[test]
fn the_hidden_layer_learns_with_every_classifier() {
    let (start, _) = stage1(tiny());
    let start = start.hidden.unwrap();
    for kind in ["{ kind = \"linear\" }", "{ kind = \"normalized\" }", "{ kind = \"cosine\" }"] {
        for loss in ["softmax-cross-entropy", "acsl"] {
            let recipe = HeadRecipe { length: Length::Iterations(150), ..recipe(loss) };
            let recipe = recipe.with(&[format!("classifier={kind}")]).unwrap();
            let (head, file) = trained(&recipe);
            assert!(file.trained_hidden());
            let moved = apart(&start.weight, &head.hidden.as_ref().unwrap().weight);
            assert!(moved > 1e-3, "{loss}, {kind}: {moved}");
            assert!(!from_bank(&tiny().bank(), &head, &file).is_empty());
            // One step from the same start has the larger loss.
            let (first, last) = ([1, 150]).map(|steps| over_bank(&recipe, steps)).into();
            assert!(last < first, "{loss}, {kind}: {first} {last}");
        }
    }
    // A rate of next to nothing leaves it where it was, and the classifier moves as over a frozen one.
    let slow = HiddenRecipe::Trained { learning_rate_factor: 1e-7 };
    let (slow, _) = trained(&HeadRecipe { hidden: Some(slow), ..recipe("acsl") });
    assert!(apart(&start.weight, &slow.hidden.unwrap().weight) < 1e-5);
    let (still, _) = trained(&frozen(recipe("acsl")));
    assert!(apart(&still.weight, &slow.weight) < 1e-3);
}

/// Mean loss of the steps of an epoch after so many steps of training.
fn over_bank(recipe: &HeadRecipe, steps: u64) -> f64 {
    let recipe = HeadRecipe { length: Length::Iterations(steps), ..recipe.clone() };
    struct Last(Vec<f64>);
    impl Observer for Last {
        fn observe(&mut self, event: Event<'_>) {
            if let Event::Step { loss, .. } = event {
                self.0.push(loss);
            }
        }
    }
    let mut seen = Last(Vec::new());
    train(&bank(), &recipe, None, &mut seen).unwrap();
    let last = &seen.0[seen.0.len().saturating_sub(30)..];
    last.iter().sum::<f64>() / last.len() as f64
}

#[test]
fn the_same_bits_on_any_number_of_threads_and_after_any_number_of_stops() {
    for (loss, classifier) in
        [("eql-v2", "linear"), ("acsl", "cosine"), ("softmax-cross-entropy", "normalized")]
    {
        let recipe = recipe(loss).with(&[format!("classifier={classifier}")]).unwrap();
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| trained(&recipe).0)
        };
        let expected = on(1);
        assert_eq!(expected, on(4), "{loss}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("head.partial");
        for steps in [3, 11] {
            let stopped = train(&bank(), &recipe, Some(&path), &mut StopAt(steps));
            assert!(matches!(stopped, Err(HeadError::Stopped { .. })));
        }
        let refused = train(&bank(), &frozen(recipe.clone()), Some(&path), &mut Silent).unwrap_err();
        assert!(refused.to_string().contains("other settings"), "{refused}");
        assert_eq!(train(&bank(), &recipe, Some(&path), &mut Silent).unwrap().0, expected, "{loss}");
        assert!(!path.exists());
    }
}

#[test]
fn a_repaired_run_keeps_the_layer_that_boxes_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (head, file) = trained(&recipe("acsl"));
    let (made, out) = (tiny(), path("repaired"));
    apply_to(&made.source(), &made.run(), &head, &file, &out);
    let repaired_recipe = Recipe::read(&out.join("config.toml"), &[]).unwrap();
    assert!(repaired_recipe.detector.roi_head.separate_regression);
    let checkpoint = Checkpoint::read(&out.join("checkpoints/repaired.safetensors")).unwrap();
    let before = made.source().checkpoint.model;
    for (own, shared) in REGRESSION_HIDDEN.into_iter().zip(HIDDEN) {
        assert_eq!(checkpoint.model[own], before[shared]);
        assert_ne!(checkpoint.model[shared], before[shared]);
    }
    let predictor = Predictor::load(&out, None, &Device::flex()).unwrap();
    assert_eq!(predictor.classifier, "acsl");

    // A bank of the repaired detector has the rows and boxes of the first one, and takes the same heads.
    let source = FeatureSource::open(&out, None, None, &[]).unwrap();
    assert_eq!((&source.recipe, &source.loss), (&repaired_recipe, &file.loss));
    let again = path("again");
    make_bank(&source, &again, &ExtractOptions { logits: false, ..hidden_options() });
    let plain = path("plain");
    make_bank(&made.source(), &plain, &ExtractOptions { logits: false, ..hidden_options() });
    for part in ["", "holdout", "validation"] {
        let [found, expected] = [&again, &plain].map(|bank| Bank::open(&bank.join(part)).unwrap());
        assert_eq!(found.header(), expected.header(), "{part}");
    }
    let stage1 = Head::read(&again.join("stage1.safetensors")).unwrap().0;
    assert_eq!((stage1.weight, stage1.hidden), (head.weight.clone(), head.hidden.clone()));
    // So does the repaired detector itself: another head on top of it.
    let (other, other_file) = trained(&recipe("softmax-cross-entropy"));
    let full = apply_to(&source, &out, &other, &other_file, &path("twice"));
    assert_eq!(full, from_bank(&made.bank(), &other, &other_file));

    // Other frameworks have no place for it.
    let exported = path("exported.safetensors");
    for format in [ExportFormat::Torchvision, ExportFormat::Mmdetection, ExportFormat::Detectron2] {
        let error = export(&head, &file, Path::new("head"), format, &exported).unwrap_err().to_string();
        assert!(error.contains("its own last hidden layer"), "{error}");
    }
    for naming in [Naming::Torchvision, Naming::Mmdetection, Naming::Detectron2] {
        let error = weights::export(&predictor, naming, &exported).unwrap_err().to_string();
        assert!(error.contains("separate_regression"), "{error}");
    }
    assert!(!exported.exists());

    // A head over the detector's own hidden layer changes nothing below the classifier.
    let (head, file) = trained(&frozen(recipe("acsl")));
    let full = apply_to(&made.source(), &made.run(), &head, &file, &path("frozen"));
    assert_eq!(full, from_bank(&made.bank(), &head, &file));
    let recipe = Recipe::read(&path("frozen").join("config.toml"), &[]).unwrap();
    assert!(!recipe.detector.roi_head.separate_regression);
    export(&head, &file, Path::new("head"), ExportFormat::Torchvision, &exported).unwrap();
    assert!(exported.exists());
}

#[test]
fn layers_that_do_not_belong_together_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head.safetensors");
    let (head, file) = trained(&recipe("acsl"));
    let above = classifier_bank();
    let (plain, plain_file) = train(&above, &recipe("acsl"), None, &mut Silent).unwrap();
    fn says(result: Result<(), impl std::fmt::Display>, part: &str) {
        let message = result.map_err(|error| error.to_string()).unwrap_err();
        assert!(message.contains(part), "{message}");
    }
    let check = |head: &Head, file: &HeadFile, bank: &Bank| {
        file.check(&path, head.inputs(), &Inputs::of("the bank", bank.header()))
    };
    says(
        check(&head, &file, &above),
        "takes what the last hidden layer sees, and the bank holds what the classifier sees",
    );
    says(check(&plain, &plain_file, &bank()), "takes what the classifier sees");
    let rules = Default::default();
    let [below, above_validation] =
        [bank().folder(), above.folder()].map(|folder| Bank::open(&folder.join("validation")).unwrap());
    let loss = file.build_loss().unwrap();
    says(detect(&above_validation, &head, loss.as_ref(), &rules).map(drop), "`layer` is the classifier");
    says(detect(&below, &plain, loss.as_ref(), &rules).map(drop), "`layer` is the last hidden layer");

    // Another detector, whose boxes read another layer.
    let mut source = tiny().source();
    let name = HIDDEN[1].to_owned();
    let moved =
        source.checkpoint.model[HIDDEN[1]].try_to_vec::<f32>().unwrap().iter().map(|b| b + 0.5).collect();
    source.checkpoint.model.insert(name, burn::tensor::TensorData::new::<f32, _>(moved, [16]));
    let out = folder.path().join("out");
    let applied =
        apply(&head, &file, &path, &source, &tiny().run(), &out, false, &Device::flex(), &mut Silent);
    says(applied.map(drop), "features of another detector");
    assert!(!out.exists());

    // Settings.
    let asked = HeadRecipe { hidden: Some(HiddenRecipe::default()), ..recipe("acsl") };
    says(train(&above, &asked, None, &mut Silent).map(drop), "--layer hidden");
    let lbfgs = recipe("softmax-cross-entropy").with(&["optimizer=lbfgs"]).unwrap();
    says(train(&bank(), &lbfgs, None, &mut Silent).map(drop), "not convex in a hidden layer");

    // Files whose parts do not fit.
    let narrow = Hidden { weight: vec![0.5; 15 * 16], bias: vec![0.0; 15], width: 16 };
    for (hidden, layer) in [
        (None, FeatureLayer::Hidden),
        (head.hidden.clone(), FeatureLayer::Classifier),
        (Some(narrow), FeatureLayer::Hidden),
    ] {
        let head = Head { hidden, ..head.clone() };
        head.write(&path, &HeadFile { layer, ..file.clone() }).unwrap();
        says(Head::read(&path).map(drop), "`hidden.weight [16, H]`");
    }

    // The hidden layer has to start somewhere.
    let copy = folder.path().join("bank");
    std::fs::create_dir(&copy).unwrap();
    for entry in std::fs::read_dir(tiny().bank()).unwrap() {
        let from = entry.unwrap().path();
        let name = from.file_name().unwrap().to_str().unwrap();
        if name == "bank.json" || name.starts_with("shard-") {
            std::fs::copy(&from, copy.join(name)).unwrap();
        }
    }
    let zeros = HeadRecipe { from_stage1: false, ..recipe("acsl") };
    says(
        train(&Bank::open(&copy).unwrap(), &zeros, None, &mut Silent).map(drop),
        "the hidden layer starts from it",
    );
    let (from_zeros, _) = trained(&zeros);
    assert_eq!(from_zeros.hidden.unwrap().outputs(), 16);
}

#[test]
fn a_sweep_runs_over_the_bank_unchanged() {
    struct Quiet;
    impl SweepObserver for Quiet {
        fn observe(&self, _: SweepEvent<'_>) {}
    }
    let held_out = Bank::open(&tiny().bank().join("holdout")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let base = HeadRecipe { batch: BatchRecipe::Rois(40), ..recipe("acsl") };
    let settings: Vec<Setting> = ["1", "0.1"]
        .map(|factor| Setting {
            name: factor.into(),
            recipe: base
                .with(&[format!("hidden={{ kind = \"trained\", learning_rate_factor = {factor} }}")])
                .unwrap(),
        })
        .into();
    let results = sweep(&bank(), &held_out, &settings, &[0], folder.path(), &Quiet).unwrap();
    let heads: Vec<Head> =
        results.iter().map(|r| Head::read(&folder.path().join(&r.head)).unwrap().0).collect();
    assert_ne!(heads[0].hidden, heads[1].hidden);
    let again = sweep(&bank(), &held_out, &settings, &[0], folder.path(), &Quiet).unwrap();
    assert_eq!(results[1].seconds, again[1].seconds, "it was read, not trained again");
    let other = Bank::open(&classifier_bank().folder().join("holdout")).unwrap();
    let error = sweep(&bank(), &other, &settings, &[0], &folder.path().join("other"), &Quiet).unwrap_err();
    assert!(error.to_string().contains("this part holds what the classifier sees"), "{error}");
}

#[test]
fn a_detector_is_trained_with_a_hidden_layer_for_boxes() {
    let separate = "detector.roi_head.separate_regression=true";
    let made = make(&[separate], &hidden_options());
    let model = made.source().checkpoint.model;
    assert_ne!(model[REGRESSION_HIDDEN[0]], model[HIDDEN[0]]);
    let results = Results::read(&made.run()).unwrap();
    let expected = read_detections(&made.run().join(&results.classifiers[0].detections)).unwrap();
    let (head, file) = stage1(&made);
    assert_eq!(from_bank(&made.bank(), &head, &file), expected);
    let (head, file) = train(&Bank::open(&made.bank()).unwrap(), &recipe("acsl"), None, &mut Silent).unwrap();
    let out = made.folder.path().join("repaired");
    assert_eq!(
        apply_to(&made.source(), &made.run(), &head, &file, &out),
        from_bank(&made.bank(), &head, &file)
    );
    let repaired = Checkpoint::read(&out.join("checkpoints/repaired.safetensors")).unwrap().model;
    assert_eq!(repaired[REGRESSION_HIDDEN[0]], model[REGRESSION_HIDDEN[0]]);

    // Both hidden layers begin with that of weights which have one for both.
    let shared = tiny().run().join("checkpoints/representation.safetensors");
    let folder = tempfile::tempdir().unwrap();
    let overrides = [
        separate.to_owned(),
        format!("weights={:?}", shared.display().to_string()),
        "stages.0.length={ iterations = 1 }".into(),
        "stages.0.optimizer={ learning_rate = 1e-9, momentum = 0.0, weight_decay = 0.0 }".into(),
    ];
    let run_folder = RunFolder::open(&folder.path().join("run"), false).unwrap();
    let mut notes = Notes::default();
    let recipe = Recipe::parse(TINY, &overrides).unwrap();
    run(&recipe, &run_folder, false, &Device::flex(), "test", &mut notes).unwrap();
    assert!(!notes.0.iter().any(|note| note.contains("initial values")), "{:?}", notes.0);
    let path = folder.path().join("run/checkpoints/representation.safetensors");
    let begun = Checkpoint::read(&path).unwrap().model;
    let values = |name: &str| begun[name].try_to_vec::<f32>().unwrap();
    assert!(apart(&values(HIDDEN[0]), &values(REGRESSION_HIDDEN[0])) < 1e-6);

    let request = weights::Request { overrides: vec![separate.to_owned()], ..weights::Request::default() };
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/model.safetensors");
    let error = weights::import(&golden, &request).err().unwrap().to_string();
    assert!(
        error.contains("separate_regression") && error.contains("no file of another framework"),
        "{error}"
    );
}
