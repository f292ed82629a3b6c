//! The fused layer against the plain path: matrix product, loss, matrix products.

use longtail_loss::{
    AcslConfig, Background, ClassContext, ClassificationLoss, DrawKey, LossConfig, LossError, LossMethod,
    LossState, RoiTargets, SingleWorker,
    fused::{LinearEvaluation, LinearLayer},
};
use proptest::prelude::*;

const COUNTS: [u64; 3] = [5, 50, 500];

fn acsl(
    threshold: f64,
    background: Background,
    background_logit: bool,
    classes: usize,
) -> Box<dyn ClassificationLoss> {
    let counts: Vec<u64> = (0..classes).map(|c| COUNTS[c % 3]).collect();
    let config = AcslConfig { threshold, background, background_logit };
    let context = ClassContext { image_counts: Some(&counts), ..ClassContext::new(classes) };
    config.build(&context).unwrap()
}

fn values(seed: u64, count: usize, size: f32) -> Vec<f32> {
    let mut state = seed;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * size
        })
        .collect()
}

struct Case {
    inputs: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    width: usize,
    targets: RoiTargets,
}

impl Case {
    fn new(rows: usize, classes: usize, outputs: usize, width: usize, seed: u64) -> Self {
        let labels: Vec<u32> =
            (0..rows).map(|n| (n * 7 % (classes + 3)) as u32 % (classes as u32 + 1)).collect();
        Self {
            inputs: values(seed, rows * width, 1.0),
            weight: values(seed + 1, outputs * width, 1.0),
            bias: values(seed + 2, outputs, 1.0),
            width,
            targets: RoiTargets::new(&labels, classes, DrawKey { seed, step: 4 }).unwrap(),
        }
    }

    fn layer(&self) -> LinearLayer<'_> {
        LinearLayer {
            inputs: &self.inputs,
            weight: &self.weight,
            bias: &self.bias,
            width: self.width,
            frozen_inputs: false,
        }
    }

    /// The plain path in f64.
    fn plain(&self, loss: &dyn ClassificationLoss) -> (f64, Vec<f64>, Vec<f64>, Vec<f64>) {
        let (rows, outputs, width) = (self.targets.len(), self.bias.len(), self.width);
        let mut logits = Vec::new();
        for n in 0..rows {
            for k in 0..outputs {
                let product: f64 = (0..width)
                    .map(|d| f64::from(self.inputs[n * width + d]) * f64::from(self.weight[k * width + d]))
                    .sum();
                logits.push((product + f64::from(self.bias[k])) as f32);
            }
        }
        let found = loss.evaluate(&logits, &self.targets, &LossState::default(), &SingleWorker).unwrap();
        let (mut dx, mut dw, mut db) =
            (vec![0.0; rows * width], vec![0.0; outputs * width], vec![0.0; outputs]);
        for n in 0..rows {
            for k in 0..outputs {
                let g = f64::from(found.gradient[n * outputs + k]);
                db[k] += g;
                for d in 0..width {
                    dx[n * width + d] += g * f64::from(self.weight[k * width + d]);
                    dw[k * width + d] += g * f64::from(self.inputs[n * width + d]);
                }
            }
        }
        (found.value, dx, dw, db)
    }
}

fn assert_close(found: &LinearEvaluation, expected: &(f64, Vec<f64>, Vec<f64>, Vec<f64>)) {
    assert!(
        (found.value - expected.0).abs() <= 1e-5 * (1.0 + expected.0.abs()),
        "{} {}",
        found.value,
        expected.0
    );
    let pairs = [(&found.inputs, &expected.1), (&found.weight, &expected.2), (&found.bias, &expected.3)];
    for (found, expected) in pairs {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (f64::from(*found) - expected).abs() <= 1e-5 * (1.0 + expected.abs()),
                "{found} {expected}"
            );
        }
    }
}

fn evaluate(loss: &dyn ClassificationLoss, case: &Case) -> Result<LinearEvaluation, LossError> {
    loss.evaluate_linear(case.layer(), &case.targets, &LossState::default(), &SingleWorker)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn equals_the_plain_path(
        rows in 0_usize..300,
        classes in 1_usize..280,
        width in 1_usize..9,
        seed in 0_u64..1000,
        threshold in prop_oneof![Just(0.0), Just(1.0), 0.05..0.95_f64],
        mode in prop_oneof![
            Just(Background::Adaptive), Just(Background::FrequencySampled), Just(Background::Dense),
            Just(Background::Balanced), Just(Background::ScoreSampled), Just(Background::Threshold(0.3)),
            Just(Background::Ramp(9)),
        ],
        background_logit: bool,
    ) {
        let loss = acsl(threshold, mode, background_logit, classes);
        let case = Case::new(rows, classes, loss.num_outputs(classes), width, seed);
        // A logit within rounding of the threshold may fall on either side.
        let found = evaluate(loss.as_ref(), &case).unwrap();
        let expected = case.plain(loss.as_ref());
        prop_assume!((found.value - expected.0).abs() < 1e-4 * (1.0 + expected.0.abs()));
        assert_close(&found, &expected);
    }
}

#[test]
fn the_bits_do_not_depend_on_the_threads() {
    for mode in [Background::Adaptive, Background::FrequencySampled, Background::Balanced] {
        let loss = acsl(0.7, mode, true, 600);
        let case = Case::new(700, 600, 601, 33, 3);
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| evaluate(loss.as_ref(), &case).unwrap())
        };
        assert_eq!(with(1), with(4), "{mode:?}");
    }
}

#[test]
fn only_what_survives_is_kept() {
    let loss = acsl(0.7, Background::Adaptive, false, 50);
    let mut case = Case::new(40, 50, 50, 4, 1);
    case.weight.fill(0.0);
    case.bias.fill(-5.0);
    let found = evaluate(loss.as_ref(), &case).unwrap();
    let foreground = case.targets.labels().iter().filter(|l| **l > 0).count();
    assert_eq!(found.kept, foreground);
}

#[test]
fn bad_layers_are_refused() {
    let loss = acsl(0.7, Background::Adaptive, false, 5);
    let mut case = Case::new(4, 5, 5, 3, 1);
    case.bias.pop();
    let error = evaluate(loss.as_ref(), &case).unwrap_err();
    assert_eq!(error, LossError::LayerShape { found: [12, 15, 4], expected: [12, 15, 5] });
    let mut case = Case::new(4, 5, 5, 3, 1);
    case.bias[3] = f32::NAN;
    let error = evaluate(loss.as_ref(), &case).unwrap_err();
    assert!(matches!(error, LossError::NotFinite { row: 0, column: 3, .. }), "{error}");
}

/// 2,500 RoIs are three strips. Some have other labels, some are left out; the second step has running
/// statistics.
#[test]
fn every_loss_gives_with_its_layer_what_it_gives_from_logits() {
    let (rows, classes, width) = (2500, 23, 5);
    let counts: Vec<u64> = (0..classes).map(|class| COUNTS[class % 3]).collect();
    let context = ClassContext {
        image_counts: Some(&counts),
        instance_counts: Some(&counts),
        total_images: Some(60_000),
        ..ClassContext::new(classes)
    };
    for config in LossConfig::defaults() {
        let loss = config.build(&context).unwrap();
        let mut case = Case::new(rows, classes, loss.num_outputs(classes), width, 8);
        let others: Vec<(usize, u32)> = (0..rows)
            .map(|row| (row, 1 + (row % classes) as u32))
            .filter(|(row, label)| row % 5 == 0 && case.targets.labels()[*row] != *label)
            .collect();
        let ignored: Vec<bool> = (0..rows).map(|row| row % 7 == 3).collect();
        case.targets = case.targets.with_other_labels(&others).and_then(|t| t.ignoring(&ignored)).unwrap();
        let mut state = LossState::default();
        for _ in 0..2 {
            let found = loss.evaluate_linear(case.layer(), &case.targets, &state, &SingleWorker).unwrap();
            let expected =
                loss.evaluate(&case.layer().outputs(), &case.targets, &state, &SingleWorker).unwrap();
            let (weight, bias) = case.layer().parameter_gradients(&expected.gradient);
            assert!((found.value - expected.value).abs() <= 1e-9 * expected.value.abs(), "{config:?}");
            for (found, expected) in found.weight.iter().chain(&found.bias).zip(weight.iter().chain(&bias)) {
                assert!((found - expected).abs() <= 1e-5, "{config:?}: {found} is not {expected}");
            }
            assert_eq!(found.kept, expected.gradient.iter().filter(|g| **g != 0.0).count(), "{config:?}");
            // The same sums in the same order.
            assert_eq!(found.state, expected.state, "{config:?}");
            state = found.state;
        }
    }
}

/// One strip is all there is: the same bits as the matrix products over everything.
#[test]
fn a_strip_has_the_bits_of_the_whole() {
    let loss = acsl(0.7, Background::Balanced, true, 40);
    let case = Case::new(1024, 40, 41, 16, 5);
    let found = evaluate(loss.as_ref(), &case).unwrap();
    let expected =
        loss.evaluate(&case.layer().outputs(), &case.targets, &LossState::default(), &SingleWorker).unwrap();
    let (weight, bias) = case.layer().parameter_gradients(&expected.gradient);
    assert_eq!((found.value, found.weight, found.bias), (expected.value, weight, bias));
}
