//! What broke elsewhere on GPUs at the sizes of detectors (issues of Burn's tracker are named). Needs a build
//! with `cuda`, `vulkan` or `wgpu` and a device; without a device the tests say so and do nothing.

use std::time::{Duration, Instant};

use crate::{assert_close, device, random, tensor, values};
use burn::tensor::{Device, Int, Tensor, TensorData};
use longtail_ops::{ConvOptions, LEVELS, RoiAlignOptions, conv2d, device::is_processor, roi_align};

/// The GPU under test, or a message that there is none.
fn gpu() -> Option<Device> {
    let device = device();
    if is_processor(&device) {
        eprintln!("no GPU was found: skipped");
        return None;
    }
    Some(device)
}

fn options(kernel: usize, stride: usize) -> ConvOptions {
    let padding = [kernel / 2; 2];
    ConvOptions { stride: [stride; 2], padding, end_padding: padding, groups: 1, bias: false }
}

/// Output and gradients of a convolution.
fn convolve(device: &Device, shapes: [[usize; 4]; 2], options: ConvOptions) -> [Vec<f32>; 3] {
    let device = device.clone().autodiff();
    let [x, weight] = [0, 1].map(|i| {
        let shape = shapes[i];
        tensor(&random(i as u64, shape.iter().product()), shape, &device).require_grad()
    });
    let y = conv2d(x.clone(), weight.clone(), None, options);
    let gradients = y.clone().powi_scalar(2).sum().backward();
    [values(y.inner()), values(x.grad(&gradients).unwrap()), values(weight.grad(&gradients).unwrap())]
}

/// Burn #4445: gradients of convolutions over wide inputs failed on CUDA.
#[test]
fn convolutions_of_wide_inputs_have_gradients() {
    let Some(gpu) = gpu() else { return };
    for (shapes, options) in [
        ([[1, 3, 32, 1344], [8, 3, 7, 7]], options(7, 2)),
        ([[2, 8, 25, 336], [16, 8, 3, 3]], options(3, 1)),
        ([[1, 16, 4, 1344], [8, 16, 1, 1]], options(1, 1)),
    ] {
        let expected = convolve(&Device::flex(), shapes, options);
        let found = convolve(&gpu, shapes, options);
        for (found, expected) in found.iter().zip(&expected) {
            let largest = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            let scaled = |values: &[f32]| values.iter().map(|value| value / largest).collect::<Vec<_>>();
            assert_close(&scaled(found), &scaled(expected), 1e-4);
        }
    }
}

/// Burn #2260 and #4598: the backward pass of a convolution took many times its forward pass.
#[test]
fn gradients_of_convolutions_do_not_take_many_times_the_output() {
    let Some(gpu) = gpu() else { return };
    let device = gpu.clone().autodiff();
    let x = tensor(&random(1, 2 * 64 * 64 * 64), [2, 64, 64, 64], &device).require_grad();
    let weight = tensor(&random(2, 64 * 64 * 9), [64, 64, 3, 3], &device).require_grad();
    let mut least = [Duration::MAX; 2];
    for _ in 0..3 {
        let began = Instant::now();
        let y = conv2d(x.clone(), weight.clone(), None, options(3, 1)).sum();
        gpu.sync().unwrap();
        let forward = began.elapsed();
        let gradients = y.backward();
        let _ = (x.grad(&gradients).unwrap(), weight.grad(&gradients).unwrap());
        gpu.sync().unwrap();
        least = [least[0].min(forward), least[1].min(began.elapsed() - forward)];
    }
    eprintln!("forward {:.1?}, backward {:.1?}", least[0], least[1]);
    // Twice the arithmetic; a factor of ten is the failure.
    assert!(least[1] < 10 * least[0], "forward {:?}, backward {:?}", least[0], least[1]);
}

/// Burn #4302: memory grew with every selection from a large tensor.
#[test]
fn selections_in_a_loop_keep_no_memory() {
    let Some(gpu) = gpu() else { return };
    let table = Tensor::<2>::ones([20_000, 256], &gpu);
    let select = || {
        let rows: Vec<i32> = (0..1000).map(|row| row * 17 % 20_000).collect();
        let rows = Tensor::<1, Int>::from_data(TensorData::from(rows.as_slice()), &gpu);
        assert_eq!(table.clone().select(0, rows).sum().into_scalar::<f32>(), 256_000.0);
    };
    (0..20).for_each(|_| select());
    let before = gpu.memory_pool_usage().expect("GPUs tell what they use").bytes_reserved;
    (0..300).for_each(|_| select());
    let after = gpu.memory_pool_usage().expect("GPUs tell what they use").bytes_reserved;
    assert!(after <= before, "{before} bytes after 20 selections, {after} after 320");
}

/// Regions over several tiles of the backward pass and more channels than one unit has, none of them regular,
/// and no region at all.
#[test]
fn roi_align_on_larger_maps_equals_the_processor() {
    let Some(gpu) = gpu() else { return };
    let shapes = [[2, 19, 37, 45], [2, 19, 19, 23], [2, 19, 10, 12], [2, 19, 5, 6]];
    let boxes = random(7, 60 * 4);
    let regions: Vec<f32> = boxes
        .chunks_exact(4)
        .enumerate()
        .flat_map(|(i, r)| {
            let (x, y) = (90.0 + 110.0 * r[0], 75.0 + 90.0 * r[1]);
            [(i % 4) as f32, (i % 2) as f32, x, y, x + 60.0 * (1.0 + r[2]), y + 50.0 * (1.0 + r[3])]
        })
        .collect();
    for (sampling, aligned, count) in [(0, true, 60), (2, false, 60), (2, true, 0)] {
        let scales = [0.25, 0.125, 0.0625, 0.03125];
        let options = RoiAlignOptions { output: 7, sampling, aligned, scales };
        let pool = |device: &Device| {
            let device = device.clone().autodiff();
            let levels: [Tensor<4>; LEVELS] = std::array::from_fn(|level| {
                let shape = shapes[level];
                tensor(&random(level as u64, shape.iter().product()), shape, &device).require_grad()
            });
            let rows = tensor(&regions[..count * 6], [count, 6], &device);
            let pooled = roi_align(levels.clone(), rows, options);
            let gradients = pooled.clone().powi_scalar(2).sum().backward();
            let mut all = vec![values(pooled.inner())];
            all.extend(levels.iter().map(|level| values(level.grad(&gradients).unwrap())));
            all
        };
        for (found, expected) in pool(&gpu).iter().zip(&pool(&Device::flex())) {
            assert_close(found, expected, 1e-4);
        }
    }
}

/// An image without proposals.
#[test]
fn a_layer_over_no_rows_gives_none() {
    let Some(gpu) = gpu() else { return };
    let none = Tensor::<2>::zeros([0, 5], &gpu).matmul(Tensor::ones([5, 3], &gpu));
    assert_eq!(none.dims(), [0, 3]);
    assert!(values(none).is_empty());
}
