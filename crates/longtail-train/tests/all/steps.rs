//! The step on the detector's tensors is the step on slices, to the bit.

use burn::{
    module::Param,
    tensor::{Device, Tensor, TensorData},
};
use longtail_detect::layers::Linear;
use longtail_head::sgd::{Parameter, Sgd as SliceSgd, SgdConfig};
use longtail_train::sgd::Sgd;

fn layer(weight: &[f32], bias: &[f32], device: &Device) -> Linear {
    let weight = Tensor::<2>::from_data(TensorData::new(weight.to_vec(), [3, 2]), device);
    let bias = Tensor::<1>::from_data(TensorData::new(bias.to_vec(), [2]), device);
    Linear {
        weight: Param::from_tensor(weight.require_grad()),
        bias: Param::from_tensor(bias.require_grad()),
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.inner().into_data().try_to_vec().unwrap()
}

#[test]
fn tensors_and_slices_take_the_same_steps() {
    let device = Device::flex().autodiff();
    let start: Vec<f32> = (0..6).map(|i| (i as f32 - 2.3) * 0.37).collect();
    for clip in [0.0, 0.5, 35.0] {
        let config =
            SgdConfig { learning_rate: 0.07, momentum: 0.9, weight_decay: 0.013, gradient_clip_norm: clip };
        let (mut weight, mut bias) = (start.clone(), vec![0.3_f32, -0.2]);
        let mut module = layer(&weight, &bias, &device);
        let (mut tensors, mut slices) = (Sgd::default(), SliceSgd::default());
        for step in 0..4 {
            let x: Vec<f32> = (0..12).map(|i| ((i * 5 + step) % 7) as f32 * 0.21 - 0.5).collect();
            let x = Tensor::<2>::from_data(TensorData::new(x, [4, 3]), &device);
            let loss = module.forward(x).powi_scalar(2).sum();
            let gradients = loss.backward();
            let of_weight = values(Tensor::from_inner(module.weight.val().grad(&gradients).unwrap()));
            let of_bias = values(Tensor::from_inner(module.bias.val().grad(&gradients).unwrap()));
            let norm;
            (module, norm) = tensors.step(&config, 0.07, module, gradients).unwrap();
            let parameters = vec![
                Parameter { values: &mut bias, gradient: of_bias, learning_rate: 0.07 },
                Parameter { values: &mut weight, gradient: of_weight, learning_rate: 0.07 },
            ];
            assert_eq!(slices.step(&config, parameters), Ok(norm), "clip {clip}, step {step}");
            assert_eq!(values(module.weight.val()), weight, "clip {clip}, step {step}");
            assert_eq!(values(module.bias.val()), bias, "clip {clip}, step {step}");
        }
    }
}

#[test]
fn a_norm_that_is_not_finite_takes_no_step() {
    let device = Device::flex().autodiff();
    let module = layer(&[1.0; 6], &[0.0; 2], &device);
    let x = Tensor::<2>::from_data(TensorData::new(vec![f32::INFINITY; 3], [1, 3]), &device);
    let gradients = module.forward(x).sum().backward();
    let error = Sgd::default().step(&SgdConfig::default(), 0.1, module, gradients).unwrap_err();
    assert!(error.norm.is_infinite() && error.to_string().contains("gradient norm = inf"), "{error}");
}
