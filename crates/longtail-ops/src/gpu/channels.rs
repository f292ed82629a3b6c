//! Sums over the values of a channel on a GPU. A cube owns a channel, its units share the values; what they
//! found is added in an order that depends on nothing.

use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::memory::{as_it_lies, buffer, empty, strided};

/// Units of a channel.
const UNITS: u32 = 256;

/// Number of channels, and how to launch a kernel with a cube for each.
fn per_channel(x: &CubeTensor) -> (usize, CubeCount, CubeDim) {
    let channels = x.meta.shape()[1];
    (channels, CubeCount::Static(channels as u32, 1, 1), CubeDim::new_1d(UNITS))
}

/// Values of a channel.
#[cube]
fn values_of_channel(x: &Tensor<f32>) -> usize {
    x.shape(0) * x.shape(2) * x.shape(3)
}

/// Place of the i-th value of a channel of a tensor of four dimensions.
#[cube]
fn place_in_channel(x: &Tensor<f32>, channel: usize, index: usize) -> usize {
    let (height, width) = (x.shape(2), x.shape(3));
    let (image, position) = (index / (height * width), index % (height * width));
    image * x.stride(0)
        + channel * x.stride(1)
        + position / width * x.stride(2)
        + position % width * x.stride(3)
}

/// Sums what the units of a cube hold; each has the sum.
#[cube]
fn sum_of_units(shared: &mut Shared<[f32]>, value: f32) -> f32 {
    let unit = UNIT_POS as usize;
    shared[unit] = value;
    sync_cube();
    let mut half = CUBE_DIM as usize / 2;
    while half > 0 {
        if unit < half {
            let other = shared[unit + half];
            shared[unit] += other;
        }
        sync_cube();
        half /= 2;
    }
    let sum = shared[0];
    sync_cube();
    sum
}

/// Sum of a channel.
#[cube]
fn sum_of_channel(
    x: &Tensor<f32>,
    channel: usize,
    shared: &mut Shared<[f32]>,
    #[comptime] units: usize,
) -> f32 {
    let mut sum = 0.0f32;
    for index in range_stepped(UNIT_POS as usize, values_of_channel(x), units) {
        sum += x[place_in_channel(x, channel, index)];
    }
    sum_of_units(shared, sum)
}

#[cube(launch)]
fn sums_kernel(x: &Tensor<f32>, sums: &mut [f32], #[comptime] units: usize) {
    let channel = CUBE_POS;
    let mut shared = Shared::<[f32]>::new_slice(units);
    let sum = sum_of_channel(x, channel, &mut shared, units);
    if UNIT_POS == 0 {
        sums[channel] = sum;
    }
}

/// Sum of every channel, `[C]`.
pub fn sums(x: CubeTensor) -> CubeTensor {
    let (channels, cubes, units) = per_channel(&x);
    let sums = empty(&x, [channels]);
    sums_kernel::launch(&sums.client, cubes, units, strided(x), as_it_lies(sums.clone()), UNITS as usize);
    sums
}

#[cube(launch)]
fn statistics_kernel(x: &Tensor<f32>, moments: &mut [f32], #[comptime] units: usize) {
    let channel = CUBE_POS;
    let count = f32::cast_from(values_of_channel(x) as u32);
    let mut shared = Shared::<[f32]>::new_slice(units);
    let mean = sum_of_channel(x, channel, &mut shared, units) / count;
    // Around the mean, in a second pass: the square of a large mean would swallow a small variance.
    let mut square = 0.0f32;
    for index in range_stepped(UNIT_POS as usize, values_of_channel(x), units) {
        let distance = x[place_in_channel(x, channel, index)] - mean;
        square += distance * distance;
    }
    let variance = sum_of_units(&mut shared, square) / count;
    if UNIT_POS == 0 {
        moments[channel] = mean;
        moments[x.shape(1) + channel] = variance;
    }
}

/// Mean and biased variance of every channel, `[2, C]`.
pub fn statistics(x: CubeTensor) -> CubeTensor {
    let (channels, cubes, units) = per_channel(&x);
    let moments = empty(&x, [2, channels]);
    let target = as_it_lies(moments.clone());
    statistics_kernel::launch(&moments.client, cubes, units, strided(x), target, UNITS as usize);
    moments
}

#[cube(launch)]
fn normalised_sums_kernel(
    x: &Tensor<f32>,
    gradient: &Tensor<f32>,
    statistics: &[f32],
    of_products: &mut [f32],
    of_gradient: &mut [f32],
    epsilon: f32,
    #[comptime] units: usize,
) {
    let channel = CUBE_POS;
    let channels = x.shape(1);
    let mean = statistics[channel];
    let mut shared = Shared::<[f32]>::new_slice(units);
    let mut sum = 0.0f32;
    let mut product = 0.0f32;
    for index in range_stepped(UNIT_POS as usize, values_of_channel(x), units) {
        let value = gradient[place_in_channel(gradient, channel, index)];
        sum += value;
        product += value * (x[place_in_channel(x, channel, index)] - mean);
    }
    let sum = sum_of_units(&mut shared, sum);
    let product = sum_of_units(&mut shared, product);
    if UNIT_POS == 0 {
        of_gradient[channel] = sum;
        of_products[channel] = product / (statistics[channels + channel] + epsilon).sqrt();
    }
}

/// Sums of a gradient times the normalised `x`, and of the gradient alone, by channel: the gradients of gamma
/// and beta.
pub fn normalised_sums(
    x: &CubeTensor,
    gradient: &CubeTensor,
    statistics: &CubeTensor,
    epsilon: f32,
) -> (CubeTensor, CubeTensor) {
    let (channels, cubes, units) = per_channel(x);
    let (of_products, of_gradient) = (empty(x, [channels]), empty(x, [channels]));
    normalised_sums_kernel::launch(
        &x.client,
        cubes,
        units,
        strided(x.clone()),
        strided(gradient.clone()),
        buffer(statistics.clone()),
        as_it_lies(of_products.clone()),
        as_it_lies(of_gradient.clone()),
        epsilon,
        UNITS as usize,
    );
    (of_products, of_gradient)
}
