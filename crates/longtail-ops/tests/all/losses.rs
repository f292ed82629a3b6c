//! Losses on tensors against the same losses on slices.

use burn::tensor::{Device, Tensor, TensorData};
use longtail_loss::{
    ClassContext, ClassificationLoss, DrawKey, LossConfig, LossState, RoiTargets, SingleWorker,
};
use longtail_ops::TensorLoss;

const CLASSES: usize = 4;
const LABELS: [u32; 3] = [0, 2, 4];

/// Every loss with its width.
fn losses() -> impl Iterator<Item = (LossConfig, Box<dyn ClassificationLoss>)> {
    let context = ClassContext {
        image_counts: Some(&[1, 2, 50, 700]),
        instance_counts: Some(&[1, 3, 60, 900]),
        total_images: Some(1000),
        ..ClassContext::new(CLASSES)
    };
    LossConfig::defaults().into_iter().map(move |config| {
        let loss = config.build(&context).unwrap();
        (config, loss)
    })
}

fn targets(labels: &[u32]) -> RoiTargets {
    RoiTargets::new(labels, CLASSES, DrawKey { seed: 5, step: 11 }).unwrap()
}

#[test]
fn tensors_have_the_value_the_gradient_and_the_scores_of_the_slices() {
    // The last RoI is of class 3 as well.
    for targets in [targets(&LABELS), targets(&LABELS).with_other_labels(&[(2, 3)]).unwrap()] {
        for (config, loss) in losses() {
            let columns = loss.num_outputs(CLASSES);
            let z: Vec<f32> =
                (0..LABELS.len() * columns).map(|i| ((i * 37 % 23) as f32 - 11.0) / 4.0).collect();
            let data = TensorData::new(z.clone(), [LABELS.len(), columns]);
            let tensor = Tensor::<2>::from_data(data, &Device::flex().autodiff()).require_grad();
            let (value, state) = loss.forward(tensor.clone(), &targets, &LossState::default()).unwrap();
            let gradient = tensor.grad(&value.backward()).unwrap().into_data().try_to_vec::<f32>().unwrap();
            let expected = loss.evaluate(&z, &targets, &LossState::default(), &SingleWorker).unwrap();
            let found = (value.into_scalar::<f32>(), gradient, state);
            assert_eq!(found, (expected.value as f32, expected.gradient, expected.state), "{config:?}");
            assert_eq!(loss.scores(&tensor), loss.class_scores(&z, columns), "{config:?}");
        }
    }
}

#[test]
fn no_roi_gives_zero() {
    for (config, loss) in losses() {
        let z = Tensor::<2>::zeros([0, loss.num_outputs(CLASSES)], &Device::flex().autodiff());
        let (value, _) = loss.forward(z, &targets(&[]), &LossState::default()).unwrap();
        assert_eq!(value.into_scalar::<f32>(), 0.0, "{config:?}");
    }
}
