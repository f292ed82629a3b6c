//! A bank made of a tiny run: the same detections as without it, heads trained on it, and what goes wrong.

use std::sync::OnceLock;

use burn::tensor::Device;
use longtail_bank::{Bank, Precision, View};
use longtail_data::Sampler;
use longtail_detect::config::CascadeHeadConfig;
use longtail_eval::{Metric, read_detections};
use longtail_head::{
    BatchRecipe, ExportFormat, Head, HeadError, HeadFile, HeadRecipe, Length, export,
    sampling::{expectation, factors},
    stream::Stream,
    sweep::{Setting, SweepEvent, SweepObserver, best},
    train,
};
use longtail_loss::{
    DrawKey, LossConfig, LossState, Normalizer, Reduction, RoiTargets, SingleWorker, fused::LinearLayer,
};
use longtail_run::{Event, Observer, Results, Silent};
use longtail_train::{
    Predictor, TrainError,
    bank::{ExtractOptions, FeatureSource, extract, truth::Truths},
    head::{apply, detect, sweep, test_rules},
};

use crate::common::{Made, StopAt, make, options, recipe};

/// A run and its bank, made once.
fn tiny() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| make(&[], &options(Precision::F32)))
}

fn trained(recipe: &HeadRecipe) -> (Head, HeadFile) {
    train(&Bank::open(&tiny().bank()).unwrap(), recipe, None, &mut Silent).unwrap()
}

#[test]
fn stored_proposals_give_the_detector_s_own_detections() {
    for agnostic in [true, false] {
        let own_boxes = ["detector.roi_head.class_agnostic=false"];
        let own = (!agnostic).then(|| make(&own_boxes, &options(Precision::F32)));
        let made = own.as_ref().unwrap_or_else(|| tiny());
        let results = Results::read(&made.run()).unwrap();
        let expected = read_detections(&made.run().join(&results.classifiers[0].detections)).unwrap();
        let bank = Bank::open(&made.bank().join("validation")).unwrap();
        let (head, file) = Head::read(&made.bank().join("stage1.safetensors")).unwrap();
        let rules = test_rules(&bank).unwrap();
        let found = detect(&bank, &head, file.build_loss().unwrap().as_ref(), &rules).unwrap();
        assert!(!found.is_empty());
        assert_eq!(found, expected, "class-agnostic boxes: {agnostic}");
        let reports = Truths::of(&bank).unwrap().score(&found).unwrap();
        assert_eq!(reports.len(), 2);
        for (name, report) in reports {
            let full = &results.classifiers[0].reports[&name];
            assert_eq!(report.metrics, full.metrics, "{name}");
        }
    }
}

#[test]
fn stored_logits_are_those_of_stage_1() {
    let bank = Bank::open(&tiny().bank()).unwrap();
    let (head, _) = Head::read(&tiny().bank().join("stage1.safetensors")).unwrap();
    let shard = bank.shard(0).unwrap();
    let mut features = vec![0.0; shard.len() * head.width];
    shard.features(0..shard.len(), &mut features);
    let logits = shard.logits(0..shard.len());
    let outputs = head.outputs();
    for row in 0..shard.len() {
        for column in 0..outputs {
            let x = &features[row * head.width..][..head.width];
            let w = &head.weight[column * head.width..][..head.width];
            let z = x.iter().zip(w).map(|(x, w)| x * w).sum::<f32>() + head.bias[column];
            let found = logits[row * outputs + column];
            assert!((found - z).abs() <= 2e-3 * z.abs().max(1.0), "{found} is not {z}");
        }
    }
}

#[test]
fn a_bank_made_in_pieces_is_the_bank_made_at_once() {
    struct StopAfter(usize);
    impl Observer for StopAfter {
        fn observe(&mut self, event: Event<'_>) {
            if matches!(event, Event::Progress { task, .. } if task.contains("RoIs") || task.contains("proposals"))
            {
                self.0 = self.0.saturating_sub(1);
            }
        }
        fn stop_requested(&self) -> bool {
            self.0 == 0
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let source = tiny().source();
    let mut stops = 0;
    loop {
        let mut observer = StopAfter(7);
        let made = extract(
            &source,
            &options(Precision::F32),
            folder.path(),
            &Device::flex(),
            &mut |_| {},
            &mut observer,
        );
        match made {
            Ok(_) => break,
            Err(TrainError::Stopped { .. }) => stops += 1,
            Err(other) => panic!("{other}"),
        }
        // One shard is more than seven batches: without a whole shard a stop would go on for ever.
        if stops > 3 {
            let mut free = Silent;
            extract(
                &source,
                &options(Precision::F32),
                folder.path(),
                &Device::flex(),
                &mut |_| {},
                &mut free,
            )
            .unwrap();
            break;
        }
    }
    assert!(stops > 0);
    for part in ["", "holdout", "validation"] {
        let (found, expected) =
            (Bank::open(&folder.path().join(part)).unwrap(), Bank::open(&tiny().bank().join(part)).unwrap());
        assert_eq!(found.header(), expected.header(), "{part}");
    }
}

#[test]
fn held_out_images_are_in_no_training_row() {
    let ids = |part: &str| -> Vec<i64> {
        Bank::open(&tiny().bank().join(part)).unwrap().images().iter().map(|image| image.image_id).collect()
    };
    let (training, held_out) = (ids(""), ids("holdout"));
    assert_eq!(training.len() + held_out.len(), 150);
    assert!((15..50).contains(&held_out.len()), "{}", held_out.len());
    assert!(held_out.iter().all(|id| !training.contains(id)));
}

#[test]
fn steps_draw_rois_as_often_as_training_through_the_detector() {
    let bank = Bank::open(&tiny().bank()).unwrap();
    for sampler in [Sampler::Shuffled, Sampler::RepeatFactor { threshold: 0.2 }, Sampler::ClassAware] {
        for batch in [BatchRecipe::Images(5), BatchRecipe::Rois(64)] {
            let recipe = HeadRecipe { sampler: sampler.clone(), batch, ..recipe("acsl") };
            let factors = factors(&bank, &sampler).unwrap();
            let mut expected = vec![0.0; bank.header().classes.len() + 1];
            for (image, factor) in bank.images().iter().zip(&factors) {
                let shard = bank.shard(image.shard).unwrap();
                for view in &image.views {
                    let weights = expectation(image, view, bank.header().sampling, *factor);
                    for label in shard.labels(view.rows.clone()) {
                        expected[label as usize] += weights[usize::from(label == 0)];
                    }
                }
            }
            let mut stream = Stream::new(&bank, &recipe).unwrap();
            let epochs = 60;
            let mut found = vec![0.0; expected.len()];
            let steps = epochs * stream.steps_per_epoch();
            let mut rows = 0;
            for _ in 0..steps {
                let step = stream.next_batch().unwrap();
                rows += step.labels.len();
                step.labels.iter().for_each(|label| found[*label as usize] += 1.0);
            }
            let total: f64 = expected.iter().sum();
            let rows_of_epoch = rows as f64 / steps as f64 * stream.steps_per_epoch() as f64;
            assert!(
                (rows_of_epoch / total - 1.0).abs() < 0.08,
                "{sampler:?} {batch:?}: {rows_of_epoch} {total}"
            );
            for (label, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let (found, share) = (found / rows as f64, expected / total);
                assert!(
                    (found - share).abs() < 0.15 * share + 0.002,
                    "{sampler:?} {batch:?} label {label}: {found} is not {share}"
                );
            }
        }
    }
}

#[test]
fn the_same_head_on_any_number_of_threads_and_in_any_window() {
    for loss in ["acsl", "seesaw", "softmax-cross-entropy"] {
        let recipe = recipe(loss);
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| trained(&recipe).0)
        };
        assert_eq!(on(1), on(4), "{loss}");
    }
    let rois = HeadRecipe { batch: BatchRecipe::Rois(50), ..recipe("acsl") };
    assert_ne!(trained(&rois).0, trained(&recipe("acsl")).0);
}

#[test]
fn a_training_that_was_stopped_goes_on_to_the_same_bits() {
    let bank = Bank::open(&tiny().bank()).unwrap();
    for batch in [BatchRecipe::Images(4), BatchRecipe::Rois(40)] {
        let recipe = HeadRecipe { batch, ..recipe("eql-v2") };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("head.partial");
        for steps in [3, 11] {
            let stopped = train(&bank, &recipe, Some(&path), &mut StopAt(steps));
            assert!(matches!(stopped, Err(HeadError::Stopped { .. })));
        }
        let other = HeadRecipe { seed: 9, ..recipe.clone() };
        let refused = train(&bank, &other, Some(&path), &mut Silent).unwrap_err().to_string();
        assert!(refused.contains("other settings"), "{refused}");
        let (head, _) = train(&bank, &recipe, Some(&path), &mut Silent).unwrap();
        assert_eq!(head, trained(&recipe).0);
        assert!(!path.exists());
    }
}

/// The loss of a head over a bank, and the mean score that it gives foreground RoIs for their own class.
fn loss_over(bank: &Bank, head: &Head, file: &HeadFile) -> (f64, f64) {
    let (mut features, mut labels, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    for image in bank.images() {
        let shard = bank.shard(image.shard).unwrap();
        for view in &image.views {
            let start = features.len();
            features.resize(start + view.rows.len() * head.width, 0.0);
            shard.features(view.rows.clone(), &mut features[start..]);
            let of_view = shard.labels(view.rows.clone());
            let expected = expectation(image, view, bank.header().sampling, 1.0);
            weights.extend(of_view.iter().map(|label| expected[usize::from(*label == 0)] as f32));
            labels.extend(of_view);
        }
    }
    let normalizer = Normalizer::Constant(weights.iter().map(|w| f64::from(*w)).sum());
    let targets = RoiTargets::new(&labels, bank.header().classes.len(), DrawKey::default())
        .and_then(|targets| targets.with_weights(&weights))
        .unwrap()
        .with_reduction(Reduction { normalizer, ..Reduction::default() });
    let layer = LinearLayer {
        inputs: &features,
        weight: &head.weight,
        bias: &head.bias,
        width: head.width,
        frozen_inputs: true,
    };
    let (loss, outputs) = (file.build_loss().unwrap(), layer.outputs());
    let scores = loss.class_scores(&outputs, head.bias.len());
    let classes = bank.header().classes.len();
    let own: Vec<f64> = labels
        .iter()
        .zip(scores.chunks_exact(classes))
        .filter(|(label, _)| **label > 0)
        .map(|(label, scores)| f64::from(scores[*label as usize - 1]))
        .collect();
    let value = loss.evaluate(&outputs, &targets, &LossState::default(), &SingleWorker).unwrap().value;
    (value, own.iter().sum::<f64>() / own.len() as f64)
}

#[test]
fn every_loss_and_classifier_trains_to_a_smaller_loss() {
    let bank = Bank::open(&tiny().bank()).unwrap();
    for config in LossConfig::defaults() {
        let mut start = HeadRecipe { length: Length::Iterations(1), ..recipe("acsl") };
        start.classifier.loss = config.clone();
        start.classifier.learning_rate = Some(0.002);
        let more = HeadRecipe { length: Length::Iterations(150), ..start.clone() };
        let [first, last] = [start, more].map(|recipe| {
            let (head, file) = trained(&recipe);
            loss_over(&bank, &head, &file)
        });
        // The running gradients of EFL move its objective: the loss before them need not fall.
        match config {
            LossConfig::EqualizedFocal(_) => assert!(last.1 > first.1, "{config:?}: {first:?} {last:?}"),
            _ => assert!(last.0 < first.0, "{config:?}: {first:?} {last:?}"),
        }
    }
    for kind in ["{ kind = \"normalized\" }", "{ kind = \"cosine\" }"] {
        let recipe = recipe("softmax-cross-entropy").with(&[format!("classifier={kind}")]).unwrap();
        let (head, file) = trained(&recipe);
        let bank = Bank::open(&tiny().bank().join("validation")).unwrap();
        let rules = test_rules(&bank).unwrap();
        assert!(!detect(&bank, &head, file.build_loss().unwrap().as_ref(), &rules).unwrap().is_empty());
        assert_eq!(head.unit_inputs, kind.contains("cosine"));
    }
}

#[test]
fn l_bfgs_finds_the_minimum_that_gradient_descent_nears() {
    let bank = Bank::open(&tiny().bank()).unwrap();
    let decay = "0.001";
    let optimizer = format!(
        "optimizer={{ kind = \"lbfgs\", weight_decay = {decay}, tolerance = 1e-5, iterations = 500 }}"
    );
    let lbfgs = recipe("softmax-cross-entropy").with(&[optimizer]).unwrap();
    let minimum = train(&bank, &lbfgs, None, &mut Silent).unwrap();
    let from_zeros = HeadRecipe { from_stage1: false, ..lbfgs.clone() };
    let other = train(&bank, &from_zeros, None, &mut Silent).unwrap();
    let losses = [&minimum, &other].map(|(_, file)| file.training.as_ref().unwrap().loss);
    // Convex: the same minimum from anywhere.
    assert!((losses[0] - losses[1]).abs() < 1e-3 * losses[0], "{losses:?}");
    let close = minimum.0.weight.iter().zip(&other.0.weight).all(|(a, b)| (a - b).abs() < 0.02);
    assert!(close);
    let sgd = HeadRecipe { length: Length::Iterations(600), ..recipe("softmax-cross-entropy") }
        .with(&[format!("optimizer.weight_decay={decay}")])
        .unwrap();
    let descended = train(&bank, &sgd, None, &mut Silent).unwrap();
    let objective = |(head, file): &(Head, HeadFile)| {
        let squares = head.weight.iter().chain(&head.bias).map(|w| f64::from(*w).powi(2)).sum::<f64>();
        loss_over(&bank, head, file).0 + 0.5 * 0.001 * squares
    };
    let (least, near) = (objective(&minimum), objective(&descended));
    assert!(least <= near && near < 2.0 * least, "{least} {near}");
    let refused = recipe("acsl").with(&["optimizer=lbfgs"]).unwrap().validate().unwrap_err();
    assert!(refused.to_string().contains("convex"), "{refused}");
}

#[test]
fn a_repaired_run_predicts_and_evaluates_as_the_bank_said() {
    let (head, file) = trained(&recipe("acsl"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head.safetensors");
    head.write(&path, &file).unwrap();
    assert_eq!(Head::read(&path).unwrap(), (head.clone(), file.clone()));
    let source = tiny().source();
    let out = folder.path().join("repaired");
    let results =
        apply(&head, &file, &path, &source, &tiny().run(), &out, true, &Device::flex(), &mut Silent).unwrap();
    let full = read_detections(&out.join(&results.classifiers[0].detections)).unwrap();
    let bank = Bank::open(&tiny().bank().join("validation")).unwrap();
    let rules = test_rules(&bank).unwrap();
    let found = detect(&bank, &head, file.build_loss().unwrap().as_ref(), &rules).unwrap();
    assert_eq!(found, full);
    let predictor = Predictor::load(&out, None, &Device::flex()).unwrap();
    assert_eq!((predictor.classifier.as_str(), predictor.classes.len()), ("acsl", 4));
}

#[test]
fn exported_classifiers_have_the_names_and_order_of_their_framework() {
    let (head, file) = trained(&recipe("acsl"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head.safetensors");
    let (width, outputs) = (head.width, head.outputs());
    for (format, name, background) in [
        (ExportFormat::Torchvision, "roi_heads.box_predictor.cls_score", 0),
        (ExportFormat::Mmdetection, "roi_head.bbox_head.fc_cls", outputs - 1),
        (ExportFormat::Detectron2, "roi_heads.box_predictor.cls_score", outputs - 1),
    ] {
        let out = folder.path().join("cls.safetensors");
        export(&head, &file, &path, format, &out).unwrap();
        let arrays = longtail_bank::npy::read_arrays(&out).unwrap();
        let weight = arrays[&format!("{name}.weight")].clone();
        assert_eq!(weight.shape, [outputs, width]);
        let weight = weight.into_floats();
        assert_eq!(weight[background * width..][..width], head.weight[..width], "{format:?}");
        let first_class = if background == 0 { 1 } else { 0 };
        assert_eq!(weight[first_class * width..][..width], head.weight[width..2 * width]);
        assert_eq!(arrays[&format!("{name}.bias")].clone().into_floats()[background], head.bias[0]);
    }
    let (bags, file) = trained(&recipe("bags"));
    let error =
        export(&bags, &file, &path, ExportFormat::Torchvision, &folder.path().join("no")).unwrap_err();
    assert!(error.to_string().contains("not background and the classes"), "{error}");
}

#[test]
fn heads_banks_and_detectors_that_do_not_belong_together_are_told_apart() {
    let (head, file) = trained(&recipe("acsl"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head.safetensors");
    let apply_as = |file: &HeadFile| {
        let source = tiny().source();
        let out = folder.path().join("out");
        apply(&head, file, &path, &source, &tiny().run(), &out, false, &Device::flex(), &mut Silent)
            .unwrap_err()
            .to_string()
    };
    let other_weights = HeadFile { frozen_sha256: Some("ab".repeat(32)), ..file.clone() };
    assert!(apply_as(&other_weights).contains("features of another detector"));
    let fewer = HeadFile { classes: file.classes[..3].to_vec().into(), ..file.clone() };
    assert!(apply_as(&fewer).contains("has 3 classes"));
    let mut swapped = file.classes.to_vec();
    swapped.swap(0, 1);
    let swapped = HeadFile { classes: swapped.into(), ..file.clone() };
    assert!(apply_as(&swapped).contains("another order"));
    // A head from elsewhere has no hash; the number of heads tells.
    let mut cascade = tiny().source();
    cascade.recipe.detector.cascade = CascadeHeadConfig::published();
    let from_elsewhere = HeadFile { frozen_sha256: None, ..file.clone() };
    let out = folder.path().join("out");
    let refused = apply(
        &head,
        &from_elsewhere,
        &path,
        &cascade,
        &tiny().run(),
        &out,
        false,
        &Device::flex(),
        &mut Silent,
    );
    assert!(refused.unwrap_err().to_string().contains("is a cascade"));
    assert!(!out.exists());
    // A damaged head.
    head.write(&path, &file).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for length in [0, 9, 200, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(Head::read(&path).unwrap_err().to_string().contains("damaged"), "{length}");
    }
    // Training on proposals, detections from training RoIs.
    let proposals = Bank::open(&tiny().bank().join("validation")).unwrap();
    let error = train(&proposals, &recipe("acsl"), None, &mut Silent).unwrap_err().to_string();
    assert!(error.contains("proposals"), "{error}");
    let training = Bank::open(&tiny().bank()).unwrap();
    let loss = file.build_loss().unwrap();
    assert!(detect(&training, &head, loss.as_ref(), &Default::default()).is_err());
}

#[test]
fn a_sweep_chooses_by_held_out_images_and_goes_on() {
    #[derive(Default)]
    struct Count(std::sync::atomic::AtomicUsize);
    impl SweepObserver for Count {
        fn observe(&self, event: SweepEvent<'_>) {
            if matches!(event, SweepEvent::Step { done: 1, .. }) {
                self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
    }
    let bank = Bank::open(&tiny().bank()).unwrap();
    let held_out = Bank::open(&tiny().bank().join("holdout")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings: Vec<Setting> = ["softmax-cross-entropy", "acsl"]
        .map(|loss| Setting { name: loss.into(), recipe: recipe(loss) })
        .into();
    let watch = Count::default();
    let results = sweep(&bank, &held_out, &settings, &[0, 1], folder.path(), &watch).unwrap();
    assert_eq!((results.len(), watch.0.into_inner()), (4, 4));
    assert_eq!(results.iter().map(|r| r.seed).collect::<Vec<_>>(), [0, 1, 0, 1]);
    let chosen = best(&results, &Metric::AP).unwrap();
    let mean = |name: &str| {
        let of = results.iter().filter(|r| r.setting == name);
        of.map(|r| r.reports[0].1.metric(&Metric::AP).unwrap()).sum::<f64>()
    };
    assert!(mean(&chosen.setting) >= mean("acsl").max(mean("softmax-cross-entropy")));
    std::fs::remove_file(folder.path().join("heads/001-seed-1.json")).unwrap();
    let watch = Count::default();
    let again = sweep(&bank, &held_out, &settings, &[0, 1], folder.path(), &watch).unwrap();
    assert_eq!(watch.0.into_inner(), 1);
    for (a, b) in results.iter().zip(&again) {
        assert_eq!((&a.reports, &a.recipe), (&b.reports, &b.recipe));
    }
    let mut other = settings.clone();
    other[0].recipe.length = Length::Iterations(7);
    let error = sweep(&bank, &held_out, &other, &[0], folder.path(), &Count::default()).unwrap_err();
    assert!(error.to_string().contains("other settings"), "{error}");
}

#[test]
fn views_and_settings_that_cannot_be_are_refused() {
    let views = ExtractOptions::views(3, &[0.5]);
    assert_eq!(views[1], View { flip: true, scale: 1.0 });
    assert_eq!(views[2], View { flip: false, scale: 0.5 });
    let source = tiny().source();
    let folder = tempfile::tempdir().unwrap();
    for (change, part) in [
        (ExtractOptions { held_out: 1.0, ..options(Precision::F16) }, "holdout"),
        (ExtractOptions { background: Some(3), ..options(Precision::F16) }, "background"),
        (ExtractOptions { views: vec![], ..options(Precision::F16) }, "views"),
    ] {
        let error = extract(&source, &change, folder.path(), &Device::flex(), &mut |_| {}, &mut Silent);
        assert!(error.unwrap_err().to_string().contains(part));
    }
    let dry = ExtractOptions { dry_run: true, ..options(Precision::F16) };
    assert!(
        extract(&source, &dry, folder.path(), &Device::flex(), &mut |_| {}, &mut Silent).unwrap().is_none()
    );
    // A scaled view of images that keep their size.
    let scaled = ExtractOptions { views: ExtractOptions::views(4, &[1.5]), ..options(Precision::Int8) };
    let made = extract(&source, &scaled, folder.path(), &Device::flex(), &mut |_| {}, &mut Silent).unwrap();
    assert_eq!(made.unwrap().views.len(), 4);
    let error = FeatureSource::open(&tiny().run(), Some("nothing"), None, &[]).err().unwrap().to_string();
    assert!(error.contains("`representation`"), "{error}");
    assert!(FeatureSource::open(folder.path(), None, None, &[]).is_err());
}
