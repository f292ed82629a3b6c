//! Methods tuned on made-up banks: stops, other plans, two at once, odd banks and budgets, refused and
//! diverging settings.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use longtail_annotations::{Annotation, Category, ImageRecord};
use longtail_bank::Bank;
use longtail_eval::{Batch, Detection, Metric, Protocol, Settings, StreamingEvaluation};
use longtail_head::{
    Head, HeadError, HeadFile,
    tune::{Folds, Judge, Rule, TuneConfig, TuneResult, Variant, regret::regrets, summary::summary, tune},
};
use longtail_run::{Event, Observer, Silent};

use crate::{made_up, recipe};

const CLASSES: i64 = 3;

/// Every image holds one box of one class, and the head's score of that class, on features that say which it
/// is, is the score of a detection that is right; a detection of every other class is wrong.
struct MadeUp<'a> {
    labels: &'a [Vec<u32>],
    trainings: AtomicUsize,
}

impl MadeUp<'_> {
    fn matched(&self, images: &[i64], head: &Head, file: &HeadFile) -> StreamingEvaluation {
        let categories: Vec<Category> =
            (0..CLASSES).map(|id| Category { id, name: format!("class {id}"), frequency: None }).collect();
        let mut evaluation =
            StreamingEvaluation::new(&categories, &Settings::strict(Protocol::Coco)).unwrap();
        let loss = file.build_loss().unwrap();
        for &id in images {
            let label = self.labels[id as usize][0];
            let bbox = [1.0, 1.0, 20.0, 20.0];
            let image = ImageRecord {
                id,
                file_name: String::new(),
                width: 99,
                height: 99,
                neg_category_ids: None,
                not_exhaustive_category_ids: None,
            };
            let category_id = i64::from(label) - 1;
            let annotation = Annotation {
                id: id + 1,
                image_id: id,
                category_id,
                bbox,
                area: None,
                iscrowd: false,
                ignore: false,
            };
            let features: Vec<f32> = (0..3).map(|d| f32::from(u8::from(d == label % 3))).collect();
            let logits: Vec<f32> = head
                .weight
                .chunks(3)
                .zip(&head.bias)
                .map(|(w, b)| b + w.iter().zip(&features).map(|(w, x)| w * x).sum::<f32>())
                .collect();
            let scores = loss.class_scores(&logits, logits.len());
            let detections: Vec<Detection> = (0..CLASSES)
                .map(|category_id| {
                    let score = f64::from(scores[category_id as usize]);
                    Detection { image_id: id, category_id, bbox, score }
                })
                .collect();
            let batch = Batch { images: &[image], annotations: &[annotation], detections: &detections };
            evaluation.update(&batch).unwrap();
        }
        evaluation
    }
}

impl Judge for MadeUp<'_> {
    fn on_training(
        &self,
        images: &[i64],
        head: &Head,
        file: &HeadFile,
    ) -> Result<StreamingEvaluation, HeadError> {
        self.trainings.fetch_add(1, Ordering::Relaxed);
        Ok(self.matched(images, head, file))
    }

    fn on_validation(
        &self,
        head: &Head,
        file: &HeadFile,
    ) -> Result<Vec<(String, StreamingEvaluation)>, HeadError> {
        let all: Vec<i64> = (0..self.labels.len() as i64).collect();
        Ok(vec![("coco".into(), self.matched(&all, head, file))])
    }

    fn checksums(&self) -> Vec<String> {
        vec!["made up".into()]
    }
}

fn labels() -> Vec<Vec<u32>> {
    (0..12).map(|image| vec![1 + image % 3, 0, 0]).collect()
}

fn judge(labels: &[Vec<u32>]) -> MadeUp<'_> {
    MadeUp { labels, trainings: AtomicUsize::new(0) }
}

fn bank(folder: &Path, labels: &[Vec<u32>]) -> Bank {
    made_up(folder, &labels.iter().map(Vec::as_slice).collect::<Vec<_>>(), CLASSES)
}

fn config(methods: &[&str]) -> TuneConfig {
    TuneConfig {
        base: recipe("softmax-cross-entropy").with(&["schedule.warmup_iterations=0"]).unwrap(),
        methods: methods.iter().map(|name| (*name).to_owned()).collect(),
        budget: 5,
        folds: 3,
        seed: 0,
        seeds: vec![0, 1],
        metric: Metric::AP,
        rule: Rule::Best,
        study: false,
    }
}

/// Without the seconds, which no two calls share.
fn timeless(mut result: TuneResult) -> TuneResult {
    for method in &mut result.methods {
        method.candidates.iter_mut().for_each(|candidate| candidate.seconds = 0.0);
        method.finals.iter_mut().for_each(|made| made.seconds = 0.0);
    }
    result
}

fn weights(out: &Path, result: &TuneResult) -> Vec<Head> {
    let finals = result.methods.iter().flat_map(|method| &method.finals);
    finals.map(|made| Head::read(&out.join(&made.head)).unwrap().0).collect()
}

/// Stops before the training of so many candidates is done.
struct StopAt {
    done: u64,
}

impl Observer for StopAt {
    fn observe(&mut self, event: Event<'_>) {
        if let Event::Progress { .. } = event {
            self.done -= 1;
        }
    }
    fn stop_requested(&self) -> bool {
        self.done == 0
    }
}

#[test]
fn a_tuning_that_was_stopped_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let labels = labels();
    let bank = bank(&folder.path().join("bank"), &labels);
    let config = config(&["softmax-cross-entropy", "acsl"]);
    let (once, pieces) = (folder.path().join("once"), folder.path().join("pieces"));
    let expected = tune(&bank, &config, &judge(&labels), &once, &mut Silent).unwrap();
    // 6 candidates, then 3, then 3; and two seeds of two heads.
    for method in &expected.methods {
        let folds: Vec<usize> = method.candidates.iter().map(|c| c.fold_values.len()).collect();
        assert_eq!((folds.len(), folds.iter().sum::<usize>()), (6, 12), "{folds:?}");
        let chosen = &method.candidates[method.chosen.unwrap()];
        assert_eq!(chosen.fold_values.len(), 3);
        let variants: Vec<(Variant, u64)> =
            method.finals.iter().map(|made| (made.variant, made.seed)).collect();
        let both = [Variant::Defaults, Variant::Tuned];
        assert_eq!(variants, [0, 1].map(|seed| both.map(|v| (v, seed))).concat());
    }
    let mut stops = 0;
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let found = loop {
        // What is there already is told as done too.
        let mut stop = StopAt { done: 5 + 7 * stops };
        let tuned = one_thread.install(|| tune(&bank, &config, &judge(&labels), &pieces, &mut stop));
        match tuned {
            Err(HeadError::Stopped { .. }) => stops += 1,
            other => break other.unwrap(),
        }
        assert!(stops < 9);
    };
    assert!(stops > 2, "{stops}");
    assert_eq!(timeless(found.clone()), timeless(expected.clone()));
    assert_eq!(weights(&pieces, &found), weights(&once, &expected));
    // Nothing is made again.
    let again = judge(&labels);
    assert_eq!(tune(&bank, &config, &again, &pieces, &mut Silent).unwrap(), found);
    assert_eq!(again.trainings.into_inner(), 0);
}

#[test]
fn what_was_damaged_or_half_done_is_named_or_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let labels = labels();
    let bank = bank(&folder.path().join("bank"), &labels);
    let (config, out) = (config(&["bags"]), folder.path().join("out"));
    let expected = tune(&bank, &config, &judge(&labels), &out, &mut Silent).unwrap();
    let record = out.join("folds/bags/00-fold-0.json");
    // Killed between the matches and their record.
    std::fs::remove_file(&record).unwrap();
    let judge_again = judge(&labels);
    let again = tune(&bank, &config, &judge_again, &out, &mut Silent).unwrap();
    assert_eq!((timeless(again), judge_again.trainings.into_inner()), (timeless(expected), 1));
    std::fs::write(&record, "{").unwrap();
    let error = tune(&bank, &config, &judge(&labels), &out, &mut Silent).unwrap_err().to_string();
    assert!(error.contains("00-fold-0.json") && error.contains("remove it"), "{error}");
}

#[test]
fn a_folder_is_for_one_tuning_at_a_time_and_of_one_plan() {
    let folder = tempfile::tempdir().unwrap();
    let labels = labels();
    let bank = bank(&folder.path().join("bank"), &labels);
    let (mut config, out) = (config(&["seesaw"]), folder.path().join("out"));
    tune(&bank, &config, &judge(&labels), &out, &mut Silent).unwrap();
    let held = std::fs::File::create(out.join(".lock")).unwrap();
    held.lock().unwrap();
    let error = tune(&bank, &config, &judge(&labels), &out, &mut Silent).unwrap_err();
    assert!(matches!(&error, HeadError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("in use"), "{error}");
    drop(held);
    config.budget = 4;
    let error = tune(&bank, &config, &judge(&labels), &out, &mut Silent).unwrap_err().to_string();
    assert!(error.contains("other settings") && error.contains("--out"), "{error}");
}

#[test]
fn budgets_folds_and_banks_that_cannot_be_tuned_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let all = labels();
    let large = bank(&folder.path().join("large"), &all);
    let two = bank(&folder.path().join("two"), &all[..2]);
    let try_with = |bank: &Bank, change: &dyn Fn(&mut TuneConfig)| {
        let mut config = config(&["acsl"]);
        change(&mut config);
        let out = folder.path().join("refused");
        let error = tune(bank, &config, &judge(&all), &out, &mut Silent).unwrap_err().to_string();
        // Nothing is begun.
        assert!(!out.exists(), "{error}");
        error
    };
    type Change<'c> = &'c dyn Fn(&mut TuneConfig);
    let cases: [(&Bank, Change<'_>, [&str; 2]); 6] = [
        (&large, &|c| c.budget = 0, ["`budget` is 0", "at least 1"]),
        (&large, &|c| c.folds = 1, ["`folds` is 1", "at least 2"]),
        (&two, &|_| (), ["the bank has 2 images", "fewer folds"]),
        (&large, &|c| c.seeds.clear(), ["`seeds` are none", "at least one"]),
        (&large, &|c| c.methods = vec!["asl".into()], ["`asl`", "acsl"]),
        (
            &large,
            &|c| c.base = c.base.with(&["optimizer=lbfgs"]).unwrap(),
            ["no learning rate", "optimizer=sgd"],
        ),
    ];
    for (bank, change, said) in cases {
        let error = try_with(bank, change);
        assert!(said.iter().all(|part| error.contains(part)), "{error}");
    }
}

#[test]
fn folds_hold_every_class_alike_and_one_image_is_remarked_on() {
    let folder = tempfile::tempdir().unwrap();
    // 30 images of class 1; 7 of class 2; 1 of class 3, which holds the others too.
    let mut labels: Vec<Vec<u32>> = vec![vec![1, 0]; 30];
    labels.extend(vec![vec![2, 1, 0]; 7]);
    labels.push(vec![3, 1, 2]);
    let bank = bank(&folder.path().join("bank"), &labels);
    for seed in 0..5 {
        let folds = Folds::of(&bank, 3, seed).unwrap();
        let sizes: Vec<usize> = (0..3).map(|fold| folds.images(fold).len()).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 38);
        assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{sizes:?}");
        let of_two = |fold: usize| folds.images(fold).iter().filter(|id| (30..38).contains(*id)).count();
        let of_two: Vec<usize> = (0..3).map(of_two).collect();
        assert!(of_two.iter().all(|count| (2..=3).contains(count)), "{of_two:?}");
        assert_eq!(folds.sparse, [(2, 1)]);
        let remark = folds.remark(&bank, 3).unwrap();
        assert!(remark.contains("1 of 3 classes") && remark.contains("class 2, in 1"), "{remark}");
    }
    assert_ne!(Folds::of(&bank, 3, 0).unwrap(), Folds::of(&bank, 3, 1).unwrap());
    // It is tuned all the same: where a class is tested that no fold trains, the others decide.
    let result = tune(&bank, &config(&["acsl"]), &judge(&labels), &folder.path().join("out"), &mut Silent);
    assert!(result.unwrap().methods[0].chosen.is_some());
}

#[test]
fn a_training_that_diverges_is_passed_over_and_a_refused_method_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let labels = labels();
    let bank = bank(&folder.path().join("bank"), &labels);
    let mut wild = config(&["softmax-cross-entropy"]);
    // Rates from 5 to 5·10³⁹: some are beyond what f32 holds after a step.
    wild.base = wild.base.with(&["learning_rate=1e38", "optimizer.gradient_clip_norm=0"]).unwrap();
    let result = tune(&bank, &wild, &judge(&labels), &folder.path().join("wild"), &mut Silent).unwrap();
    let failed =
        |result: &TuneResult| result.methods[0].candidates.iter().filter(|c| c.failed.is_some()).count();
    assert!(failed(&result) > 0, "{:?}", result.methods[0].candidates);
    let said = result.methods[0].candidates.iter().find_map(|c| c.failed.as_ref()).unwrap();
    assert!(said.contains("not finite"), "{said}");

    // A correction of a classifier that is trained with a reduction that nothing survives.
    let mut none = config(&["bags", "softmax-cross-entropy"]);
    none.base = none.base.with(&["reduction={ weight = 3e39 }"]).unwrap();
    let out = folder.path().join("none");
    let result = tune(&bank, &none, &judge(&labels), &out, &mut Silent).unwrap();
    for method in &result.methods {
        assert!(method.finals.is_empty() && method.chosen.is_none());
        assert!(method.refused.as_ref().unwrap().contains("not finite"), "{:?}", method.refused);
    }
    let (blocks, refused) = summary(&[(result, &out)]).unwrap();
    assert!(blocks.is_empty() && refused.len() == 2);
}

#[test]
fn a_study_trains_all_and_says_what_choosing_costs() {
    let folder = tempfile::tempdir().unwrap();
    let labels = labels();
    let bank = bank(&folder.path().join("bank"), &labels);
    let study = TuneConfig { study: true, ..config(&["softmax-cross-entropy", "seesaw"]) };
    let out = folder.path().join("out");
    let result = tune(&bank, &study, &judge(&labels), &out, &mut Silent).unwrap();
    for candidate in result.methods.iter().flat_map(|method| &method.candidates) {
        assert_eq!(candidate.fold_values.len(), 3);
        assert!(candidate.validation["coco"][&Metric::AP].is_some());
    }
    // Classes have no frequency groups here, so that nothing is said of APr.
    let costs = regrets(std::slice::from_ref(&result)).remove("coco").unwrap();
    // Nor can it choose.
    assert_eq!(costs.len(), 6);
    for cost in costs {
        assert!(cost.choices == 2 && cost.mean >= 0.0 && cost.largest >= cost.mean, "{cost:?}");
        assert_eq!(cost.rare, None);
    }
    let (blocks, _) = summary(&[(result, &out)]).unwrap();
    let seesaw = &blocks[0].rows[1];
    assert_eq!((seesaw.method.as_str(), seesaw.chosen.len()), ("seesaw", 1));
    assert!(seesaw.differences.contains_key(&Metric::AP) && blocks[0].rows[0].differences.is_empty());
}
