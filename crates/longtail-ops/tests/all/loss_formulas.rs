//! The slice kernels against the same losses composed of Burn tensor operations and differentiated
//! automatically.

use burn::tensor::{
    Device, Int, Tensor, TensorData,
    activation::{log_sigmoid, log_softmax, sigmoid},
};
use longtail_loss::{
    AcslConfig, Background, ClassContext, DrawKey, FocalConfig, LossConfig, LossState, Reduction, RoiTargets,
    SigmoidBceConfig, SingleWorker,
};
use proptest::prelude::*;

/// A batch: logits `[N × (C + 1)]`, labels, weights of the RoIs.
#[derive(Debug, Clone)]
struct Batch {
    classes: usize,
    logits: Vec<f32>,
    labels: Vec<u32>,
    weights: Vec<f32>,
}

fn batches() -> impl Strategy<Value = Batch> {
    (1_usize..60, 1_usize..90).prop_flat_map(|(rows, classes)| {
        (
            prop::collection::vec(-9.0_f32..9.0, rows * (classes + 1)),
            prop::collection::vec(0..=classes as u32, rows),
            prop::collection::vec(prop_oneof![Just(0.0_f32), Just(1.0), 0.1_f32..3.0], rows),
        )
            .prop_map(move |(logits, labels, weights)| Batch { classes, logits, labels, weights })
    })
}

impl Batch {
    fn targets(&self) -> RoiTargets {
        RoiTargets::new(&self.labels, self.classes, DrawKey::default())
            .and_then(|targets| targets.with_weights(&self.weights))
            .unwrap()
            .with_reduction(Reduction { weight: 1.5, ..Reduction::default() })
    }

    /// Value and gradient of `Σ_n w_n Σ_i terms_ni · 1.5 / N` by automatic differentiation.
    fn differentiated(&self, terms: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<2>) -> (f64, Vec<f32>) {
        let device = Device::flex().autodiff();
        let (rows, columns) = (self.labels.len(), self.classes + 1);
        let z = Tensor::<2>::from_data(TensorData::new(self.logits.clone(), [rows, columns]), &device)
            .require_grad();
        let labels: Vec<i32> = self.labels.iter().map(|label| *label as i32).collect();
        let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [rows]), &device);
        let onehot: Tensor<2> = labels.one_hot(columns).float();
        let weights = Tensor::<2>::from_data(TensorData::new(self.weights.clone(), [rows, 1]), &device);
        let loss = (terms(z.clone(), onehot) * weights).sum() * (1.5 / rows as f32);
        let gradient = z.grad(&loss.backward()).unwrap().into_data().try_to_vec::<f32>().unwrap();
        (f64::from(loss.into_scalar::<f32>()), gradient)
    }
}

fn binary_cross_entropy(z: Tensor<2>, onehot: &Tensor<2>) -> Tensor<2> {
    -(onehot.clone() * log_sigmoid(z.clone()) + (-onehot.clone() + 1.0) * log_sigmoid(-z))
}

fn assert_same(found: (f64, &[f32]), expected: (f64, Vec<f32>)) -> Result<(), TestCaseError> {
    prop_assert!(
        (found.0 - expected.0).abs() <= 1e-5 * (1.0 + expected.0.abs()),
        "{} {}",
        found.0,
        expected.0
    );
    prop_assert_eq!(found.1.len(), expected.1.len());
    for (found, expected) in found.1.iter().zip(expected.1) {
        prop_assert!((found - expected).abs() <= 1e-5, "{found} {expected}");
    }
    Ok(())
}

fn check(config: &LossConfig, batch: &Batch, expected: (f64, Vec<f32>)) -> Result<(), TestCaseError> {
    let loss = config.build(&ClassContext::new(batch.classes)).unwrap();
    let found = loss.evaluate(&batch.logits, &batch.targets(), &LossState::default(), &SingleWorker).unwrap();
    assert_same((found.value, &found.gradient), expected)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn acsl(batch in batches(), threshold in prop_oneof![Just(0.7), 0.05..0.95_f64], adaptive: bool) {
        let limit = (threshold / (1.0 - threshold)).ln() as f32;
        // A logit within rounding of the threshold may fall on either side.
        prop_assume!(batch.logits.iter().all(|z| (z - limit).abs() > 1e-4));
        let background = if adaptive { Background::Adaptive } else { Background::Dense };
        let config = AcslConfig { threshold, background, background_logit: true };
        let expected = batch.differentiated(|z, onehot| {
            let scored = sigmoid(z.clone().detach()).greater_equal_elem(threshold as f32).float();
            let is_background = onehot.clone().narrow(1, 0, 1);
            let dense = if adaptive { is_background * 0.0 } else { is_background };
            let kept = (scored + onehot.clone() + dense).clamp(0.0, 1.0);
            binary_cross_entropy(z, &onehot) * kept
        });
        check(&LossConfig::Acsl(config), &batch, expected)?;
    }

    #[test]
    fn sigmoid_bce(batch in batches()) {
        let expected = batch.differentiated(|z, onehot| binary_cross_entropy(z, &onehot));
        check(&LossConfig::SigmoidBce(SigmoidBceConfig { background_logit: true }), &batch, expected)?;
    }

    #[test]
    fn focal(batch in batches()) {
        let config = FocalConfig { background_logit: true, ..FocalConfig::default() };
        let (gamma, alpha) = (config.gamma as f32, config.alpha as f32);
        let expected = batch.differentiated(|z, onehot| {
            let p = sigmoid(z.clone());
            let negative = -onehot.clone() + 1.0;
            let missing = negative.clone() * p.clone() + onehot.clone() * (-p + 1.0);
            let alphas = onehot.clone() * alpha + negative * (1.0 - alpha);
            alphas * missing.powf_scalar(gamma) * binary_cross_entropy(z, &onehot)
        });
        check(&LossConfig::Focal(config), &batch, expected)?;
    }

    #[test]
    fn softmax(batch in batches()) {
        let expected = batch.differentiated(|z, onehot| -(onehot * log_softmax(z, 1)));
        check(&LossConfig::default(), &batch, expected)?;
    }
}
