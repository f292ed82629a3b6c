//! RoIs for which several labels hold: one is trained, the others take no part, whatever the loss.

use longtail_loss::{
    AcslConfig, Background, ClassContext, ClassificationLoss, DrawKey, EqlConfig, LossConfig, LossError,
    LossState, RoiTargets, SigmoidBceConfig, SingleWorker, fused::LinearLayer,
};

const CLASSES: usize = 5;
const LABELS: [u32; 4] = [3, 0, 1, 5];
/// The first RoI is also of classes 1 and 5, the last also of class 2.
const OTHERS: [(usize, u32); 3] = [(0, 5), (0, 1), (3, 2)];
const COUNTS: [u64; CLASSES] = [3, 50, 500, 7, 2000];

fn build(config: &LossConfig) -> Box<dyn ClassificationLoss> {
    let context = ClassContext {
        image_counts: Some(&COUNTS),
        instance_counts: Some(&COUNTS),
        total_images: Some(3000),
        ..ClassContext::new(CLASSES)
    };
    config.build(&context).unwrap()
}

fn targets() -> RoiTargets {
    let key = DrawKey { seed: 3, step: 2 };
    RoiTargets::new(&LABELS, CLASSES, key).unwrap().with_other_labels(&OTHERS).unwrap()
}

fn logits(columns: usize) -> Vec<f32> {
    (0..LABELS.len() * columns).map(|i| ((i * 37 % 23) as f32 - 11.0) / 4.0).collect()
}

fn forward(loss: &dyn ClassificationLoss, z: &[f32]) -> (f64, Vec<f32>) {
    let found = loss.evaluate(z, &targets(), &LossState::default(), &SingleWorker).unwrap();
    (found.value, found.gradient)
}

/// Whether a column is about a label that holds beside the RoI's own.
fn is_other(loss: &dyn ClassificationLoss, row: usize, column: usize) -> bool {
    OTHERS.iter().any(|&(other, label)| {
        other == row && loss.columns(CLASSES)[column] == longtail_loss::Column::Class(label as usize - 1)
    })
}

/// `-w log(…)` of a cell by the formulas, `None` where it takes no part.
fn reference(z: &[f32], softmax: bool, weight: impl Fn(usize, usize, f64) -> f64) -> f64 {
    let columns = CLASSES + 1;
    let mut sum = 0.0;
    for (row, z) in z.chunks_exact(columns).enumerate() {
        let own = LABELS[row] as usize;
        let takes_part = |column: &usize| !OTHERS.contains(&(row, *column as u32));
        let part = || (0..columns).filter(takes_part).map(|column| (column, f64::from(z[column])));
        if softmax {
            sum += part().map(|(_, z)| z.exp()).sum::<f64>().ln() - f64::from(z[own]);
        } else {
            for (column, z) in part() {
                let p = 1.0 / (1.0 + (-z).exp());
                sum -= if column == own { p.ln() } else { weight(row, column, p) * (1.0 - p).ln() };
            }
        }
    }
    sum / LABELS.len() as f64
}

#[test]
fn values_are_those_of_the_formulas_without_the_other_columns() {
    let z = logits(CLASSES + 1);
    let close = |config: LossConfig, expected: f64| {
        let (value, _) = forward(build(&config).as_ref(), &z);
        assert!((value - expected).abs() < 1e-5, "{config:?}: {value} is not {expected}");
    };
    close(LossConfig::default(), reference(&z, true, |_, _, _| 0.0));
    let bce = LossConfig::SigmoidBce(SigmoidBceConfig { background_logit: true });
    close(bce, reference(&z, false, |_, _, _| 1.0));
    let adaptive = LossConfig::Acsl(AcslConfig { background: Background::Adaptive, ..Default::default() });
    close(adaptive, reference(&z, false, |_, _, p| f64::from(p >= 0.7)));
    // Classes 1 and 4 are in less than 1 % of the images.
    let eql = LossConfig::Eql(EqlConfig { frequency_threshold: 0.01, background_logit: true });
    let weight = |row: usize, column: usize, _| f64::from(LABELS[row] == 0 || ![1, 4].contains(&column));
    close(eql, reference(&z, false, weight));
}

#[test]
fn no_loss_trains_a_column_of_another_label() {
    for config in LossConfig::defaults() {
        let loss = build(&config);
        let columns = loss.num_outputs(CLASSES);
        let z = logits(columns);
        let (value, gradient) = forward(loss.as_ref(), &z);
        assert!(value.is_finite() && gradient.iter().all(|g| g.is_finite()), "{config:?}");
        let mut moved = z.clone();
        let mut others = 0;
        for (index, z) in moved.iter_mut().enumerate() {
            if is_other(loss.as_ref(), index / columns, index % columns) {
                others += 1;
                assert_eq!(gradient[index], 0.0, "{config:?}: RoI {}", index / columns);
                *z += 7.0;
            }
        }
        assert_eq!(others, OTHERS.len());
        assert_eq!(forward(loss.as_ref(), &moved), (value, gradient.clone()), "{config:?}");
        // Without the list these columns are pushed down, but for losses that happen to protect all of them.
        let plain = RoiTargets::new(&LABELS, CLASSES, targets().draw()).unwrap();
        let plain = loss.evaluate(&z, &plain, &LossState::default(), &SingleWorker).unwrap();
        if matches!(config, LossConfig::SoftmaxCrossEntropy(_) | LossConfig::SigmoidBce(_)) {
            assert!(plain.gradient[0..columns].iter().zip(&gradient).any(|(a, b)| a != b));
        }
    }
}

#[test]
fn a_layer_with_its_loss_gives_the_same() {
    let (width, rows) = (4, LABELS.len());
    let inputs: Vec<f32> = (0..rows * width).map(|i| ((i * 29 % 17) as f32 - 8.0) / 4.0).collect();
    let adaptive = LossConfig::Acsl(AcslConfig { background: Background::Adaptive, ..Default::default() });
    for config in LossConfig::defaults().into_iter().chain([adaptive]) {
        let loss = build(&config);
        let columns = loss.num_outputs(CLASSES);
        let weight: Vec<f32> = (0..columns * width).map(|i| ((i * 31 % 19) as f32 - 9.0) / 4.0).collect();
        let bias = vec![0.1; columns];
        let layer =
            LinearLayer { inputs: &inputs, weight: &weight, bias: &bias, width, frozen_inputs: false };
        let found = loss.evaluate_linear(layer, &targets(), &LossState::default(), &SingleWorker).unwrap();
        let (value, gradient) = forward(loss.as_ref(), &layer.outputs());
        assert!((found.value - value).abs() < 1e-5, "{config:?}: {} is not {value}", found.value);
        for column in 0..columns {
            let expected: f32 = gradient.iter().skip(column).step_by(columns).sum();
            assert!((found.bias[column] - expected).abs() < 1e-5, "{config:?}: bias {column}");
        }
        assert_eq!(found.kept, gradient.iter().filter(|g| **g != 0.0).count(), "{config:?}");
    }
}

#[test]
fn other_labels_are_no_negatives_in_the_count() {
    let loss = build(&LossConfig::SigmoidBce(SigmoidBceConfig { background_logit: true }));
    let counted =
        loss.kept_negatives(&logits(CLASSES + 1), &targets(), &LossState::default()).expect("BCE counts");
    // Each class is a negative of every RoI but those that it holds for.
    assert_eq!(counted.total, [2, 3, 3, 4, 2]);
    assert_eq!(counted.kept, [2.0, 3.0, 3.0, 4.0, 2.0]);
}

#[test]
fn labels_that_cannot_be_are_refused() {
    for (row, label, part) in
        [(9, 1, "no RoI has"), (0, 0, "other classes"), (0, 6, "other"), (0, 3, "its own is 3")]
    {
        let plain = RoiTargets::new(&LABELS, CLASSES, DrawKey::default()).unwrap();
        let error = plain.with_other_labels(&[(row, label)]).unwrap_err();
        assert!(matches!(error, LossError::OtherLabel { .. }));
        assert!(error.to_string().contains(part), "{error}");
    }
}
