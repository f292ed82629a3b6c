//! Tests of the operations, and what they share.

#[cfg(feature = "gpu")]
mod gpu_smoke;
mod loss_formulas;
mod losses;
mod operations;
mod roi_align;

use burn::tensor::{Device, Tensor, TensorData};
use longtail_ops::device::DeviceChoice;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The device under test: that of `LONGTAIL_TEST_DEVICE`, or the first GPU that this build and machine have,
/// or the processor.
fn device() -> Device {
    let name = std::env::var("LONGTAIL_TEST_DEVICE").unwrap_or_else(|_| "auto".into());
    name.parse::<DeviceChoice>().unwrap().open().unwrap()
}

fn random(seed: u64, count: usize) -> Vec<f32> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| generator.random_range(-1.0..1.0)).collect()
}

fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec::<f32>().unwrap()
}

fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (index, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance * (1.0 + e.abs()), "value {index}: {f} is not {e}");
    }
}
