//! A Cascade R-CNN through both stages on a tiny world. Its numbers are held against a reference in `golden_cascade.rs`.

use crate::common::{StopAfter, finish, options, two_stages, weights};
use burn::tensor::Device;
use longtail_bank::Precision;
use longtail_detect::config::CascadeHeadConfig;
use longtail_run::{MetricsLog, Record, RunFolder, Silent};
use longtail_train::{
    Predictor, Recipe, TrainError,
    bank::{FeatureSource, extract},
    data::RunData,
    run,
};

fn recipe(overrides: &[&str]) -> Recipe {
    let mut recipe = two_stages(overrides);
    recipe.detector.cascade = CascadeHeadConfig::published();
    recipe.detector.validate().unwrap();
    recipe
}

#[test]
fn a_cascade_that_was_stopped_and_resumed_equals_one_that_was_not() {
    let folder = tempfile::tempdir().unwrap();
    // Losses with running statistics: every head has its own.
    let changes = [r#"stages.1.classifiers=[
        { name = "softmax", loss = { kind = "softmax-cross-entropy" } },
        { name = "balanced", loss = { kind = "acsl", background = "balanced" } },
        { name = "Seesaw", loss = { kind = "seesaw" } },
    ]"#];
    let whole = folder.path().join("whole");
    let expected = finish(&recipe(&changes), &whole, false);
    for steps in [2, 6] {
        let path = folder.path().join(format!("stopped-{steps}"));
        let open = RunFolder::open(&path, false).unwrap();
        let stopped = run(&recipe(&changes), &open, false, &Device::flex(), "test", &mut StopAfter { steps });
        assert!(matches!(stopped, Err(TrainError::Interrupted { .. })), "{steps}");
        drop(open);
        assert_eq!(finish(&recipe(&changes), &path, true).classifiers, expected.classifiers, "{steps}");
        for stage in ["representation", "classifier"] {
            assert_eq!(weights(&path, stage), weights(&whole, stage), "{steps}, {stage}");
        }
    }
    // Each head is trained in both stages, and apart from the others.
    let trained = weights(&whole, "classifier");
    let start = &weights(&whole, "representation")[0];
    for head in ["cascade.0", "cascade.1"] {
        let of_head = &trained[2][&format!("{head}.weight")];
        assert_ne!(of_head, &start[&format!("{head}.classifier.weight")]);
        assert_ne!(of_head, &trained[2]["weight"]);
    }
    let records = MetricsLog::read(&whole.join("metrics.jsonl")).unwrap();
    let Some(Record::Step(step)) = records.first() else { panic!("the log begins with a step") };
    for name in ["loss_classifier", "loss_classifier_2", "loss_classifier_3", "loss_box_reg_3"] {
        assert!(step.losses[name] > 0.0, "{name}");
    }
}

#[test]
fn a_trained_cascade_predicts_what_its_evaluation_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let changes = [
        r#"stages.1.classifiers=[{ name = "τ-norm", loss = { kind = "softmax-cross-entropy" }, correction = { kind = "tau-norm", tau = 0.5 } }]"#,
        "test.score_threshold=0.01",
    ];
    let recipe = recipe(&changes);
    let results = finish(&recipe, &path, false);
    let found: Vec<longtail_eval::Detection> =
        serde_json::from_slice(&std::fs::read(path.join(&results.classifiers[1].detections)).unwrap())
            .unwrap();
    let predictor = Predictor::load(&path, None, &Device::flex()).unwrap();
    let data = RunData::open(&recipe.data, &recipe.transform, recipe.seed, &mut Silent).unwrap();
    let sample = data.validation.unwrap().dataset.sample(0).unwrap();
    let again = predictor.detect(sample.image);
    let of_it = found.iter().filter(|detection| detection.image_id == sample.image_id);
    let scores: Vec<f64> = of_it.map(|detection| detection.score).collect();
    assert_eq!(again.scores.len(), scores.len());
    assert!(scores.len() > 3, "{scores:?}");
    for (again, score) in again.scores.iter().zip(scores) {
        assert!((f64::from(*again) - score).abs() < 1e-5, "{again} is not {score}");
    }
}

#[test]
fn settings_and_tools_that_a_cascade_cannot_have_are_refused() {
    let mut recipe = recipe(&[]);
    recipe.detector.roi_head.class_agnostic = false;
    let error = recipe.detector.validate().unwrap_err().to_string();
    assert!(error.contains("roi_head.class_agnostic") && error.contains("cascade"), "{error}");
    recipe.detector.roi_head.class_agnostic = true;
    recipe.detector.cascade[1].loss_weight = 0.0;
    let error = recipe.detector.validate().unwrap_err().to_string();
    assert!(error.contains("cascade.loss_weight"), "{error}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    recipe.detector.cascade[1].loss_weight = 0.25;
    finish(&recipe, &path, false);
    let source = FeatureSource::open(&path, None, None, &[]).unwrap();
    let out = folder.path().join("bank");
    let refused = extract(&source, &options(Precision::F32), &out, &Device::flex(), &mut |_| (), &mut Silent);
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("detector.cascade") && error.contains("RoIs of its own"), "{error}");
    assert!(!out.exists());
}
