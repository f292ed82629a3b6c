//! Weights, ignored RoIs, normalisers and bad input, for every loss.

use longtail_loss::{
    BagsConfig, ClassContext, ClassificationLoss, DrawKey, EqlConfig, Evaluation, FederatedConfig,
    LdamConfig, LossConfig, LossError, LossState, Normalizer, Reduction, RoiTargets, SingleWorker, post_hoc,
};

const COUNTS: [u64; 4] = [3, 50, 500, 7];
const LABELS: [u32; 6] = [0, 2, 4, 0, 1, 3];

fn context() -> ClassContext<'static> {
    ClassContext {
        num_classes: 4,
        image_counts: Some(&COUNTS),
        instance_counts: Some(&COUNTS),
        total_images: Some(1000),
        statistics_free: false,
    }
}

fn losses() -> Vec<(LossConfig, Box<dyn ClassificationLoss>)> {
    LossConfig::defaults()
        .into_iter()
        .map(|config| (config.clone(), config.build(&context()).unwrap()))
        .collect()
}

fn logits(loss: &dyn ClassificationLoss, rows: usize) -> Vec<f32> {
    (0..rows * loss.num_outputs(4)).map(|i| ((i * 37 % 23) as f32 - 11.0) / 4.0).collect()
}

fn targets(labels: &[u32]) -> RoiTargets {
    RoiTargets::new(labels, 4, DrawKey { seed: 2, step: 9 }).unwrap()
}

fn evaluate(loss: &dyn ClassificationLoss, z: &[f32], targets: &RoiTargets) -> Evaluation {
    loss.evaluate(z, targets, &LossState::default(), &SingleWorker).unwrap()
}

/// BAGS draws by index, and averages each of its groups over the weights in it.
fn averages_rows(config: &LossConfig) -> bool {
    !matches!(config, LossConfig::Bags(_))
}

#[test]
fn weights_and_reduction_scale_value_and_gradient() {
    for (config, loss) in losses() {
        let z = logits(loss.as_ref(), 6);
        let plain = evaluate(loss.as_ref(), &z, &targets(&LABELS));
        let reduction = Reduction { weight: 3.0, normalizer: Normalizer::Rois };
        let tripled = evaluate(loss.as_ref(), &z, &targets(&LABELS).with_reduction(reduction));
        assert!((tripled.value - 3.0 * plain.value).abs() < 1e-4 * plain.value, "{config:?}");
        assert!(
            tripled.gradient.iter().zip(&plain.gradient).all(|(a, b)| (a - 3.0 * b).abs() < 1e-5),
            "{config:?}"
        );
        if !averages_rows(&config) {
            continue;
        }
        for (normalizer, factor) in [(Normalizer::Positives, 6.0 / 4.0), (Normalizer::Constant(12.0), 0.5)] {
            let reduction = Reduction { weight: 1.0, normalizer };
            let found = evaluate(loss.as_ref(), &z, &targets(&LABELS).with_reduction(reduction));
            assert!(
                (found.value - factor * plain.value).abs() < 1e-4 * plain.value,
                "{config:?} {normalizer:?}"
            );
        }
        // Row weights: the weighted sum of the rows one by one.
        let columns = loss.num_outputs(4);
        let weights = [1.0, 0.0, 2.0, 0.5, 1.0, 3.0];
        let weighted = evaluate(loss.as_ref(), &z, &targets(&LABELS).with_weights(&weights).unwrap());
        for row in 0..6 {
            let of_row = row * columns..(row + 1) * columns;
            for (found, plain) in weighted.gradient[of_row.clone()].iter().zip(&plain.gradient[of_row]) {
                assert!((found - weights[row] * plain).abs() < 1e-5, "{config:?}");
            }
        }
    }
}

#[test]
fn ignored_rois_are_as_if_they_were_not_there() {
    for (config, loss) in losses() {
        // Draws go by the index of a RoI, so the ignored ones come last.
        let columns = loss.num_outputs(4);
        let z = logits(loss.as_ref(), 6);
        let mut expected = evaluate(loss.as_ref(), &z[..4 * columns], &targets(&LABELS[..4]));
        let ignored = targets(&LABELS).ignoring(&[false, false, false, false, true, true]).unwrap();
        let found = evaluate(loss.as_ref(), &z, &ignored);
        expected.gradient.resize(6 * columns, 0.0);
        assert_eq!(found, expected, "{config:?}");
        if let Some(kept) = loss.kept_negatives(&z, &ignored, &LossState::default()) {
            assert_eq!(
                Some(kept),
                loss.kept_negatives(&z[..4 * columns], &targets(&LABELS[..4]), &LossState::default()),
                "{config:?}"
            );
        }
    }
}

#[test]
fn gradients_are_finite_differences() {
    for (config, loss) in losses() {
        let z = logits(loss.as_ref(), 6);
        // A large scale of the logits needs a small step.
        let step = if matches!(config, LossConfig::Ldam(_)) { 1e-3 } else { 1e-2 };
        let found = evaluate(loss.as_ref(), &z, &targets(&LABELS));
        // Compensation factors of Seesaw are constants for differentiation; the golden vectors check them.
        if matches!(config, LossConfig::Seesaw(_)) {
            continue;
        }
        for index in 0..z.len() {
            let moved = |by: f32| {
                let mut z = z.clone();
                z[index] += by;
                evaluate(loss.as_ref(), &z, &targets(&LABELS)).value
            };
            let difference = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
            let error = (difference - f64::from(found.gradient[index])).abs();
            assert!(error < 2e-3, "{config:?} at {index}: {difference} {}", found.gradient[index]);
        }
    }
}

#[test]
fn scores_are_between_0_and_1() {
    for (config, loss) in losses() {
        let columns = loss.num_outputs(4);
        let scores = loss.class_scores(&logits(loss.as_ref(), 6), columns);
        assert_eq!(scores.len(), 6 * 4, "{config:?}");
        assert!(scores.iter().all(|s| (0.0..=1.0).contains(s)), "{config:?}");
    }
}

#[test]
fn no_roi_gives_zero() {
    for (config, loss) in losses() {
        let found = evaluate(loss.as_ref(), &[], &targets(&[]));
        assert_eq!((found.value, found.gradient.len()), (0.0, 0), "{config:?}");
    }
}

#[test]
fn bad_input_is_named_with_its_numbers() {
    let error = RoiTargets::new(&[1, 9], 4, DrawKey::default()).unwrap_err();
    assert_eq!(error, LossError::Label { row: 1, label: 9, num_classes: 4 });
    assert!(targets(&LABELS).with_weights(&[1.0]).unwrap_err().to_string().contains("1 RoI weights"));
    assert!(targets(&LABELS).with_weights(&[f32::NAN; 6]).is_err());
    for (config, loss) in losses() {
        let evaluate = |z: &[f32]| loss.evaluate(z, &targets(&LABELS), &LossState::default(), &SingleWorker);
        let mut z = logits(loss.as_ref(), 6);
        assert!(matches!(evaluate(&z[1..]), Err(LossError::LogitsLength { rows: 6, .. })), "{config:?}");
        let columns = loss.num_outputs(4);
        z[2 * columns + 1] = f32::INFINITY;
        let error = evaluate(&z).unwrap_err();
        assert_eq!(error, LossError::NotFinite { row: 2, column: 1, value: f32::INFINITY }, "{config:?}");
        z[2 * columns + 1] = f32::NAN;
        assert!(matches!(evaluate(&z), Err(LossError::NotFinite { row: 2, column: 1, .. })), "{config:?}");
    }
    let wrong_state = LossState::SampleCounts { counts: vec![1.0; 3] };
    for config in ["eql-v2", "seesaw", "equalized-focal"] {
        let config: LossConfig = serde_json::from_str(&format!(r#"{{"kind": "{config}"}}"#)).unwrap();
        let loss = config.build(&ClassContext::new(4)).unwrap();
        let error = loss.evaluate(&logits(loss.as_ref(), 6), &targets(&LABELS), &wrong_state, &SingleWorker);
        assert!(matches!(error, Err(LossError::State { num_classes: 4, .. })), "{config:?}");
    }
}

#[test]
fn bad_settings_are_named() {
    let build = |config: LossConfig| config.build(&context()).err().expect("refused").to_string();
    for cuts in [vec![10, 10], vec![100, 10], vec![0, 5], (1..200).collect()] {
        assert!(build(LossConfig::Bags(BagsConfig { cuts, ..Default::default() })).contains("increasing"));
    }
    let threshold = EqlConfig { frequency_threshold: 2.0, ..Default::default() };
    assert!(build(LossConfig::Eql(threshold)).contains("`frequency_threshold` is 2"));
    assert!(
        build(LossConfig::Federated(FederatedConfig { classes: 0, ..Default::default() }))
            .contains("`classes`")
    );
    assert!(build(LossConfig::Ldam(LdamConfig { scale: 0.0, ..Default::default() })).contains("`scale`"));
    assert!(Reduction { weight: -1.0, ..Default::default() }.validate().is_err());
    assert!(Reduction { normalizer: Normalizer::Constant(0.0), ..Default::default() }.validate().is_err());
}

#[test]
fn statistics_are_asked_for_and_can_be_forbidden() {
    for config in LossConfig::defaults() {
        let reads = config.method().description().reads;
        let counts = !matches!(reads, longtail_loss::Statistics::Nothing | longtail_loss::Statistics::Online);
        let missing = config.build(&ClassContext::new(4)).err();
        assert_eq!(matches!(missing, Some(LossError::MissingCounts { .. })), counts, "{config:?}");
        let forbidden = ClassContext { statistics_free: true, ..context() };
        let found = config.build(&forbidden).err();
        assert_eq!(matches!(found, Some(LossError::StatisticsForbidden { .. })), counts, "{config:?}");
        let short = ClassContext { num_classes: 5, ..context() };
        let found = config.build(&short).err();
        assert_eq!(found == Some(LossError::CountsLength { found: 4, expected: 5 }), counts, "{config:?}");
    }
}

#[test]
fn post_hoc_corrections_follow_their_formulas() {
    // Columns of norm 5 (background), 5 and 13.
    let weight = [3.0, 3.0, 5.0, 4.0, 4.0, 12.0];
    let mut normalized = weight;
    post_hoc::tau_normalize(&mut normalized, 3, 1.0).unwrap();
    for (found, expected) in normalized.iter().zip([3.0, 0.6, 5.0 / 13.0, 4.0, 0.8, 12.0 / 13.0]) {
        assert!((found - expected).abs() < 1e-6, "{normalized:?}");
    }
    let mut same = weight;
    post_hoc::tau_normalize(&mut same, 3, 0.0).unwrap();
    assert_eq!(same, weight);
    // e^z = 1, 2, 3; counts 4 and 9, γ = 1/2: 1, 2 / 2, 3 / 3.
    let z = [0.0, 2.0_f32.ln(), 3.0_f32.ln()];
    let scores = post_hoc::norcal(&z, &[4, 9], 0.5).unwrap();
    assert!(scores.iter().all(|s| (s - 1.0 / 3.0).abs() < 1e-6), "{scores:?}");
    // Priors 4/9 and 1: 1, 2 / (4/9), 3.
    let scores = post_hoc::adjust_logits(&z, &[4, 9], 1.0).unwrap();
    for (found, expected) in scores.iter().zip([4.5 / 8.5, 3.0 / 8.5]) {
        assert!((found - expected).abs() < 1e-6, "{scores:?}");
    }
    assert!(post_hoc::norcal(&z, &[4], 0.5).is_err());
    assert!(post_hoc::norcal(&z, &[4, 9], f64::NAN).is_err());
}
