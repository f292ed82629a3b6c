//! The losses against the worked example, an independent formula in f64, and finite differences.

use longtail_draw::{Purpose, hash, unit};
use longtail_loss::{
    AcslConfig, Background, BagsConfig, ClassContext, ClassificationLoss, Column, DrawKey, LossConfig,
    LossError, LossMethod, LossState, RoiTargets, SigmoidBceConfig, SingleWorker,
};
use proptest::prelude::*;

const KEY: DrawKey = DrawKey { seed: 5, step: 11 };

fn targets(labels: &[u32], classes: usize) -> RoiTargets {
    RoiTargets::new(labels, classes, KEY).unwrap()
}

/// Value and gradient of a loss.
fn evaluate(loss: &dyn ClassificationLoss, z: &[f32], labels: &[u32], classes: usize) -> (f64, Vec<f32>) {
    let found = loss.evaluate(z, &targets(labels, classes), &LossState::default(), &SingleWorker).unwrap();
    (found.value, found.gradient)
}

fn image_counts(counts: &[u64]) -> ClassContext<'_> {
    ClassContext { image_counts: Some(counts), ..ClassContext::new(counts.len()) }
}

fn acsl(
    threshold: f64,
    background: Background,
    background_logit: bool,
    counts: &[u64],
) -> Box<dyn ClassificationLoss> {
    let config = AcslConfig { threshold, background, background_logit };
    config.build(&image_counts(counts)).unwrap()
}

#[test]
fn acsl_gives_the_worked_example() {
    // The paper's figure 3.
    let z = [1.38, -4.6, -3.9, 2.19, -2.9];
    let loss = acsl(0.7, Background::Adaptive, false, &[1; 5]);
    let (value, gradient) = evaluate(loss.as_ref(), &z, &[1], 5);
    assert!((value - 2.52049).abs() < 1e-5, "{value}");
    for (found, expected) in gradient.iter().zip([-0.20101, 0.0, 0.0, 0.89935, 0.0]) {
        assert!((found - expected).abs() < 1e-5, "{gradient:?}");
    }
    let bce = acsl(0.0, Background::Adaptive, false, &[1; 5]);
    assert!((evaluate(bce.as_ref(), &z, &[1], 5).0 - 2.60410).abs() < 1e-5);
}

/// The weight of a cell by the definition, one cell at a time.
fn weight(z: f64, row: usize, column: usize, labels: &[u32], loss: &Case) -> f64 {
    let label = labels[row] as usize;
    let own = if loss.background_logit { column == label } else { column + 1 == label };
    if own {
        return 1.0;
    }
    let p = 1.0 / (1.0 + (-z).exp());
    let by_score = f64::from(p >= loss.threshold);
    if label > 0 || (loss.background_logit && column == 0) {
        return by_score;
    }
    match loss.background {
        Background::Adaptive => by_score,
        Background::Dense => 1.0,
        Background::Threshold(own) => f64::from(p >= own),
        Background::Ramp(steps) => f64::from(p >= loss.threshold * (KEY.step as f64 / steps as f64).min(1.0)),
        Background::ScoreSampled => {
            let u = unit(KEY, Purpose::AcslScores, ((row as u64) << 32) | column as u64);
            f64::from(u * loss.threshold < p)
        }
        Background::Balanced => unreachable!("depends on what was seen before"),
        Background::FrequencySampled => {
            let class = if loss.background_logit { column - 1 } else { column };
            let (group, share) = match loss.counts[class] {
                0..=10 => (0, 0.01),
                11..=100 => (1, 0.1),
                _ => (2, 1.0),
            };
            let background: Vec<usize> = (0..labels.len()).filter(|&n| labels[n] == 0).collect();
            let count = (share * background.len() as f64) as usize;
            // Drawn if fewer than `count` background RoIs have a smaller hash.
            let key = |index: usize| hash(KEY, Purpose::AcslGroup.at(group), index as u64);
            let mine = key(background.iter().position(|&n| n == row).unwrap());
            f64::from((0..background.len()).filter(|&index| key(index) < mine).count() < count)
        }
    }
}

#[derive(Debug, Clone)]
struct Case {
    threshold: f64,
    background: Background,
    background_logit: bool,
    counts: Vec<u64>,
}

fn reference(z: &[f32], labels: &[u32], case: &Case) -> (f64, Vec<f64>) {
    let columns = z.len() / labels.len();
    let rows = labels.len() as f64;
    let (mut value, mut gradient) = (0.0, Vec::new());
    for (index, &z) in z.iter().enumerate() {
        let (row, column) = (index / columns, index % columns);
        let z = f64::from(z);
        let label = labels[row] as usize;
        let own = if case.background_logit { column == label } else { column + 1 == label };
        let p = 1.0 / (1.0 + (-z).exp());
        let w = weight(z, row, column, labels, case);
        value -= w * if own { p.ln() } else { (1.0 - p).ln() } / rows;
        gradient.push(w * (p - f64::from(own)) / rows);
    }
    (value, gradient)
}

fn batches() -> impl Strategy<Value = (Vec<f32>, Vec<u32>, Case)> {
    let backgrounds = prop_oneof![
        Just(Background::Adaptive),
        Just(Background::FrequencySampled),
        Just(Background::Dense),
        Just(Background::ScoreSampled),
        Just(Background::Threshold(0.2)),
        Just(Background::Ramp(5)),
        Just(Background::Ramp(100)),
    ];
    let counts = prop::collection::vec(prop_oneof![0_u64..=10, 11_u64..=100, 101_u64..=5000], 1..6);
    // 0: any labels, 1: no foreground, 2: no background, 3: one class.
    (1_usize..150, counts, any::<bool>(), backgrounds, 0.0..=1.0_f64, 0..4).prop_flat_map(
        |(rows, counts, background_logit, background, threshold, kind)| {
            let classes = counts.len() as u32;
            let labels = match kind {
                0 => (0..=classes).boxed(),
                1 => Just(0).boxed(),
                2 => (1..=classes).boxed(),
                _ => Just(classes).boxed(),
            };
            let columns = counts.len() + usize::from(background_logit);
            let case = Case { threshold, background, background_logit, counts };
            let z = prop::collection::vec(-6.0_f32..6.0, rows * columns);
            (z, prop::collection::vec(labels, rows), Just(case))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn acsl_equals_its_definition((z, labels, case) in batches()) {
        // A score within rounding of the threshold may fall on either side in f32.
        let thresholds = [case.threshold, 0.2, case.threshold * KEY.step as f64 / 100.0];
        let near = |z: &f32| {
            let p = 1.0 / (1.0 + (-f64::from(*z)).exp());
            thresholds.iter().any(|threshold| (p - threshold).abs() < 1e-6)
        };
        prop_assume!(!z.iter().any(near));
        let loss = acsl(case.threshold, case.background, case.background_logit, &case.counts);
        let (value, gradient) = evaluate(loss.as_ref(), &z, &labels, case.counts.len());
        let (expected, expected_gradient) = reference(&z, &labels, &case);
        prop_assert!((value - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{value} is not {expected}");
        for (found, expected) in gradient.iter().zip(expected_gradient) {
            prop_assert!((f64::from(*found) - expected).abs() < 1e-5);
        }
    }

    #[test]
    fn threshold_zero_with_dense_or_adaptive_background_is_bce_exactly((z, labels, case) in batches()) {
        prop_assume!(matches!(case.background, Background::Adaptive | Background::Dense));
        let classes = case.counts.len();
        let context = ClassContext::new(classes);
        let config = SigmoidBceConfig { background_logit: case.background_logit };
        let bce = LossConfig::SigmoidBce(config).build(&context).unwrap();
        let loss = acsl(0.0, case.background, case.background_logit, &case.counts);
        prop_assert_eq!(evaluate(loss.as_ref(), &z, &labels, classes), evaluate(bce.as_ref(), &z, &labels, classes));
    }
}

#[test]
fn balanced_background_weighs_by_what_was_seen() {
    let loss = acsl(0.7, Background::Balanced, false, &[1, 1]);
    let step = |state: &LossState| {
        loss.evaluate(&[1.0, -1.0, 1.0, -1.0], &targets(&[0, 1], 2), state, &SingleWorker).unwrap()
    };
    let p = |z: f64| 1.0 / (1.0 + (-z).exp());
    // Before the first gradient background suppresses all classes in full; on the foreground RoI class 2 is
    // below ξ.
    let first = step(&LossState::default());
    for (found, expected) in first.gradient.iter().zip([p(1.0), p(-1.0), p(1.0) - 1.0, 0.0]) {
        assert!((f64::from(*found) - expected / 2.0).abs() < 1e-6, "{:?}", first.gradient);
    }
    // Class 1 has had a positive gradient of 1 - p(1), background one of p(1); class 2 no positive one at
    // all.
    let second = step(&first.state);
    let ratio = (1.0 - p(1.0)) / p(1.0);
    for (found, expected) in second.gradient.iter().zip([ratio * p(1.0), 0.0, p(1.0) - 1.0, 0.0]) {
        assert!((f64::from(*found) - expected / 2.0).abs() < 1e-6, "{:?}", second.gradient);
    }
}

#[test]
fn gradients_are_finite_differences() {
    let z: Vec<f32> = (0..20).map(|i| ((i * 37 % 23) as f32 - 11.0) / 4.0).collect();
    let labels = [0, 2, 4, 1];
    let context = image_counts(&[3, 50, 500, 7]);
    let configs = [
        LossConfig::default(),
        LossConfig::SigmoidBce(SigmoidBceConfig { background_logit: true }),
        LossConfig::Acsl(AcslConfig { background: Background::Adaptive, ..Default::default() }),
        LossConfig::Acsl(AcslConfig { background: Background::Dense, ..Default::default() }),
        LossConfig::Acsl(AcslConfig { background: Background::FrequencySampled, ..Default::default() }),
        LossConfig::Acsl(AcslConfig::default()),
    ];
    for config in configs {
        let loss = config.build(&context).unwrap();
        let gradient = evaluate(loss.as_ref(), &z, &labels, 4).1;
        for index in 0..z.len() {
            let moved = |by: f32| {
                let mut z = z.clone();
                z[index] += by;
                evaluate(loss.as_ref(), &z, &labels, 4).0
            };
            let difference = (moved(0.01) - moved(-0.01)) / 0.02;
            assert!((difference - f64::from(gradient[index])).abs() < 1e-3, "{config:?} at {index}");
        }
    }
}

#[test]
fn zero_logits_have_the_gradient_of_the_formula() {
    // |z| and max(z, 0) have no derivative at 0; sigmoid(0) - t does.
    let loss = acsl(0.0, Background::Adaptive, false, &[1, 1]);
    assert_eq!(evaluate(loss.as_ref(), &[0.0, 0.0], &[1], 2).1, [-0.5, 0.5]);
}

#[test]
fn large_logits_stay_finite() {
    let loss = acsl(0.7, Background::Dense, true, &[1, 1]);
    let (value, gradient) = evaluate(loss.as_ref(), &[1e4, -1e4, 500.0], &[2], 2);
    assert!(value.is_finite() && gradient.iter().all(|g| g.is_finite()), "{value} {gradient:?}");
}

#[test]
fn bags_gives_a_case_worked_by_hand() {
    // Two groups of one class each; columns: background, foreground, others of both groups, classes 1 and 2.
    let config = BagsConfig { cuts: vec![10], others_ratio: 1.0 };
    let context = ClassContext { instance_counts: Some(&[3, 50]), ..ClassContext::new(2) };
    let loss = config.build(&context).unwrap();
    assert_eq!(loss.columns(2)[2..4], [Column::Others(0), Column::Others(1)]);
    let ln_3 = 3.0_f32.ln();
    // A RoI of class 1, three to one for its class in its group, and a background RoI.
    let z = [0.0, 0.0, 0.0, 0.0, ln_3, 0.0, 0.0, 0.0, 0.0, 0.0, ln_3, 0.0];
    let (value, gradient) = evaluate(loss.as_ref(), &z, &[1, 0], 2);
    // Background against foreground: ln 2 on average. Group 1: its own RoI -ln(3/4), the one other -ln(1/4),
    // on average. Group 2 has no RoI of its own.
    let expected = 2.0_f64.ln() + ((4.0 / 3.0_f64).ln() + 4.0_f64.ln()) / 2.0;
    assert!((value - expected).abs() < 1e-6, "{value} is not {expected}");
    let expected = [0.25, -0.25, 0.125, 0.0, -0.125, 0.0, -0.25, 0.25, -0.375, 0.0, 0.375, 0.0];
    for (found, expected) in gradient.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{gradient:?}");
    }
    // p(foreground) = 1/2; 3/4 and 1/2 within the groups.
    for (found, expected) in loss.class_scores(&z[..6], 6).iter().zip([0.375, 0.25]) {
        assert!((found - expected).abs() < 1e-6);
    }
}

#[test]
fn threshold_one_keeps_positives_only() {
    let loss = acsl(1.0, Background::Adaptive, false, &[1, 1]);
    assert_eq!(evaluate(loss.as_ref(), &[0.0, 20.0], &[1], 2).1, [-0.5, 0.0]);
}

#[test]
fn kept_negatives_are_counted_by_class() {
    // 200 background RoIs: 2 suppress the rare class, 20 the common one, 200 the frequent one.
    let loss = acsl(0.7, Background::FrequencySampled, true, &[5, 50, 500]);
    let mut labels = vec![0; 200];
    labels.push(3);
    // On the foreground RoI only the rare class scores above the threshold.
    let mut z = vec![-3.0; 201 * 4];
    z[200 * 4 + 1] = 2.0;
    let kept = loss.kept_negatives(&z, &targets(&labels, 3), &LossState::default()).unwrap();
    assert_eq!(kept.kept, [3.0, 20.0, 200.0]);
    assert_eq!(kept.total, [201, 201, 200]);
}

#[test]
fn draws_change_with_the_step_and_repeat_with_the_key() {
    let loss = acsl(0.7, Background::FrequencySampled, false, &[5]);
    let gradient = |step| {
        let targets = RoiTargets::new(&[0; 300], 1, DrawKey { seed: 1, step }).unwrap();
        loss.evaluate(&[0.0; 300], &targets, &LossState::default(), &SingleWorker).unwrap().gradient
    };
    assert_eq!(gradient(3), gradient(3));
    assert_ne!(gradient(3), gradient(4));
    assert_eq!(gradient(3).iter().filter(|g| **g > 0.0).count(), 3);
}

#[test]
fn no_roi_gives_zero() {
    for config in LossConfig::defaults() {
        let context =
            ClassContext { instance_counts: Some(&[1, 2]), total_images: Some(9), ..image_counts(&[1, 2]) };
        let loss = config.build(&context).unwrap();
        assert_eq!(evaluate(loss.as_ref(), &[], &[], 2), (0.0, vec![]), "{config:?}");
    }
}

#[test]
fn scores_are_probabilities_of_the_foreground_classes() {
    let z = [3.0_f32.ln(), 0.0, 0.0];
    let scores = |config: LossConfig| config.build(&image_counts(&[1, 2])).unwrap().class_scores(&z, 3);
    assert_eq!(scores(LossConfig::Acsl(AcslConfig::default())), [0.5, 0.5]);
    for score in scores(LossConfig::default()) {
        assert!((score - 0.2).abs() < 1e-6);
    }
}

#[test]
fn bad_settings_and_shapes_are_errors() {
    let context = ClassContext::new(2);
    for threshold in [-0.1, 1.1, f64::NAN] {
        let config = AcslConfig { threshold, background: Background::Dense, ..Default::default() };
        let error = config.build(&context).err().unwrap();
        assert!(error.to_string().contains("`threshold`"), "{error}");
    }
    let config = AcslConfig { background: Background::FrequencySampled, ..Default::default() };
    let error = config.build(&context).err().unwrap();
    assert!(matches!(error, LossError::MissingCounts { .. }));
    let loss = LossConfig::default().build(&context).unwrap();
    let found = loss.evaluate(&[0.0; 2], &targets(&[0], 2), &LossState::default(), &SingleWorker);
    assert_eq!(found.unwrap_err(), LossError::LogitsLength { found: 2, rows: 1, outputs: 3 });
}

#[test]
fn configurations_refuse_unknown_keys() {
    let parse = |text: &str| serde_json::from_str::<LossConfig>(text);
    assert!(parse(r#"{"kind": "acsl", "threshold": 0.5, "background": "dense"}"#).is_ok());
    assert!(parse(r#"{"kind": "acsl", "treshold": 0.5}"#).unwrap_err().to_string().contains("treshold"));
    assert!(parse(r#"{"kind": "ascl"}"#).unwrap_err().to_string().contains("acsl"));
}
