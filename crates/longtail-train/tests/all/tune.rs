//! Methods tuned on a bank of a tiny run: proposals of the training images, folds judged by them, and what a
//! bank lacks.

use longtail_bank::{Bank, Precision};
use longtail_eval::{Metric, Scoring};
use longtail_head::{
    Head, HeadRecipe,
    tune::{Rule, TuneConfig, Variant},
};
use longtail_run::Silent;
use longtail_train::{
    bank::{ExtractOptions, TRAINING_PROPOSALS, truth::Truths},
    head::{detect, test_rules, tune},
};

use crate::common::{make, options, recipe};

fn config(base: HeadRecipe) -> TuneConfig {
    TuneConfig {
        base,
        methods: vec!["softmax-cross-entropy".into(), "acsl".into()],
        budget: 3,
        folds: 2,
        seed: 0,
        seeds: vec![0],
        metric: Metric::AP,
        rule: Rule::Best,
        study: false,
    }
}

#[test]
fn a_bank_with_training_proposals_is_tuned_on_them_alone() {
    let options = ExtractOptions { held_out: 0.0, training_proposals: true, ..options(Precision::F32) };
    let made = make(&[], &options);
    let bank = Bank::open(&made.bank()).unwrap();
    let proposals = Bank::open(&made.bank().join(TRAINING_PROPOSALS)).unwrap();
    let ids = |bank: &Bank| bank.images().iter().map(|image| image.image_id).collect::<Vec<_>>();
    assert_eq!(ids(&bank), ids(&proposals));

    // Detections on some of the images are those on all, but for the last bits of products over other
    // batches.
    let (head, file) = Head::read(&made.bank().join("stage1.safetensors")).unwrap();
    let (loss, rules) = (file.build_loss().unwrap(), test_rules(&proposals).unwrap());
    let all = detect(&proposals, &head, loss.as_ref(), &rules).unwrap();
    let third = |image_id: i64| image_id % 3 == 0;
    let some = proposals.keeping(|image| third(image.image_id));
    let some = detect(&some, &head, loss.as_ref(), &rules).unwrap();
    let expected: Vec<_> = all.iter().filter(|found| third(found.image_id)).collect();
    assert!(!some.is_empty() && some.len() < all.len());
    assert_eq!(some.len(), expected.len());
    for (found, expected) in some.iter().zip(expected) {
        assert_eq!((found.image_id, found.bbox), (expected.image_id, expected.bbox));
        assert!((found.score - expected.score).abs() < 1e-5);
    }

    let out = made.folder.path().join("tune");
    let result = tune(&bank, &config(recipe("acsl")), &out, &mut Silent).unwrap();
    for method in &result.methods {
        let chosen = &method.candidates[method.chosen.unwrap()];
        assert_eq!((chosen.fold_values.len(), chosen.failed.as_ref()), (2, None), "{}", method.name);
        let tuned = method.finals.iter().find(|made| made.variant == Variant::Tuned).unwrap();
        // What it says of the validation images is what its head gives there.
        let validation = Bank::open(&made.bank().join("validation")).unwrap();
        let (head, file) = Head::read(&out.join(&tuned.head)).unwrap();
        let loss = file.build_loss().unwrap();
        let found = detect(&validation, &head, loss.as_ref(), &test_rules(&validation).unwrap()).unwrap();
        for (truth, report) in Truths::of(&validation).unwrap().score(&found).unwrap() {
            assert_eq!(tuned.metrics[&truth][&Metric::AP], report.metric(&Metric::AP), "{truth}");
        }
    }
}

#[test]
fn a_bank_that_cannot_be_cross_validated_is_refused_with_what_to_do() {
    let made = make(&[], &options(Precision::F32));
    let (bank, out) = (Bank::open(&made.bank()).unwrap(), made.folder.path().join("tune"));
    let error = tune(&bank, &config(recipe("acsl")), &out, &mut Silent).unwrap_err().to_string();
    assert!(error.contains("--training-proposals") && error.contains(TRAINING_PROPOSALS), "{error}");

    // Proposals of other images, and under rules whose parts cannot be joined.
    let part = made.bank().join(TRAINING_PROPOSALS);
    let copy = |change: &dyn Fn(&mut serde_json::Value)| {
        std::fs::create_dir_all(&part).unwrap();
        for entry in std::fs::read_dir(made.bank().join("holdout")).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, part.join(path.file_name().unwrap())).unwrap();
        }
        let header = part.join("bank.json");
        let mut value = serde_json::from_slice(&std::fs::read(&header).unwrap()).unwrap();
        change(&mut value);
        std::fs::write(header, serde_json::to_vec(&value).unwrap()).unwrap();
        tune(&bank, &config(recipe("acsl")), &out, &mut Silent).unwrap_err().to_string()
    };
    let error = copy(&|_| ());
    assert!(error.contains("lacks image") && error.contains("trains on"), "{error}");
    let error = copy(&|header| header["truths"][0]["protocol"] = Scoring::OpenImages.to_string().into());
    assert!(error.contains("Open Images") && error.contains("LVIS or COCO"), "{error}");
    let error = copy(&|header| header["truths"] = serde_json::json!([]));
    assert!(error.contains("no ground truth"), "{error}");
    assert!(!out.exists());
}
