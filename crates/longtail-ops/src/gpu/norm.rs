//! Per-channel normalisation on a GPU: what `kernels/norm.rs` does on the CPU.
//!
//! Burn's convolutions leave an image's channels side by side in memory, other operations leave them apart.
//! The kernels walk the memory as it lies: in any dense order of the dimensions the channel of the i-th value
//! is `i / stride % channels`.

use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::{
    channels::normalised_sums,
    memory::{as_it_lies, buffer, dense, elementwise, empty, like, same_order},
};
use crate::kernels::norm::{Activation, Epilogue};

/// Least and largest output. Not infinite, since WGSL has no such constant: what overflows leaves as the
/// largest number.
fn limits(activation: Activation) -> (f32, f32) {
    let (floor, ceiling) = activation.range();
    (floor.max(f32::MIN), ceiling.min(f32::MAX))
}

fn stride_of_channels(x: &CubeTensor) -> u32 {
    // Of a single channel it may be 0.
    x.meta.strides()[1].max(1) as u32
}

fn channels(x: &CubeTensor) -> u32 {
    x.meta.shape()[1] as u32
}

#[cube]
fn channel_at(place: usize, stride: u32, channels: u32) -> usize {
    ((place as u32 / stride) % channels) as usize
}

#[cube(launch)]
fn affine_kernel(
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    residual: &[f32],
    y: &mut [f32],
    count: u32,
    stride: u32,
    channels: u32,
    floor: f32,
    ceiling: f32,
    #[comptime] with_residual: bool,
    #[comptime] limited: bool,
) {
    let place = ABSOLUTE_POS;
    if place < count as usize {
        let channel = channel_at(place, stride, channels);
        let mut value = x[place] * scale[channel] + shift[channel];
        if with_residual {
            value += residual[place];
        }
        if limited {
            value = min(max(value, floor), ceiling);
        }
        y[place] = value;
    }
}

/// `activation(x · scale + shift + residual)`.
pub fn affine(
    x: CubeTensor,
    scale: CubeTensor,
    shift: CubeTensor,
    residual: CubeTensor,
    epilogue: Epilogue,
) -> CubeTensor {
    let (x, residual) = if epilogue.residual { same_order(x, residual) } else { (dense(x), residual) };
    let y = like(&x);
    let (floor, ceiling) = limits(epilogue.activation);
    let (count, cubes, units) = elementwise(&x);
    affine_kernel::launch(
        &y.client,
        cubes,
        units,
        as_it_lies(x.clone()),
        buffer(scale),
        buffer(shift),
        as_it_lies(residual),
        as_it_lies(y.clone()),
        count,
        stride_of_channels(&x),
        channels(&x),
        floor,
        ceiling,
        epilogue.residual,
        epilogue.activation != Activation::None,
    );
    y
}

#[cube(launch)]
fn through_activation_kernel(
    y: &[f32],
    dy: &[f32],
    passed: &mut [f32],
    count: u32,
    floor: f32,
    ceiling: f32,
) {
    let place = ABSOLUTE_POS;
    if place < count as usize {
        passed[place] = select(y[place] > floor && y[place] < ceiling, dy[place], 0.0f32);
    }
}

/// Gradient that passes the activation: `dy` where the output lies inside its range, all of it without one.
fn through_activation(y: CubeTensor, dy: CubeTensor, activation: Activation) -> CubeTensor {
    if activation == Activation::None {
        return dense(dy);
    }
    let (y, dy) = same_order(y, dy);
    let passed = like(&y);
    let (floor, ceiling) = limits(activation);
    let (count, cubes, units) = elementwise(&y);
    let client = passed.client.clone();
    let arguments = [y, dy, passed.clone()].map(as_it_lies);
    let [y, dy, target] = arguments;
    through_activation_kernel::launch(&client, cubes, units, y, dy, target, count, floor, ceiling);
    passed
}

#[cube(launch)]
fn scale_kernel(scale: &[f32], x: &[f32], y: &mut [f32], count: u32, stride: u32, channels: u32) {
    let place = ABSOLUTE_POS;
    if place < count as usize {
        y[place] = x[place] * scale[channel_at(place, stride, channels)];
    }
}

/// Gradients of x and of the residual.
pub fn affine_backward(
    scale: CubeTensor,
    y: CubeTensor,
    dy: CubeTensor,
    epilogue: Epilogue,
) -> [CubeTensor; 2] {
    let passed = through_activation(y, dy, epilogue.activation);
    let dx = like(&passed);
    let (count, cubes, units) = elementwise(&passed);
    scale_kernel::launch(
        &dx.client,
        cubes,
        units,
        buffer(scale),
        as_it_lies(passed.clone()),
        as_it_lies(dx.clone()),
        count,
        stride_of_channels(&passed),
        channels(&passed),
    );
    [dx, passed]
}

#[cube(launch)]
fn scale_and_shift_kernel(
    gamma: &[f32],
    beta: &[f32],
    statistics: &[f32],
    scale: &mut [f32],
    shift: &mut [f32],
    channels: u32,
    epsilon: f32,
) {
    let channel = ABSOLUTE_POS;
    let channels = channels as usize;
    if channel < channels {
        let factor = gamma[channel] / (statistics[channels + channel] + epsilon).sqrt();
        scale[channel] = factor;
        shift[channel] = beta[channel] - statistics[channel] * factor;
    }
}

/// `activation((x - mean) / sqrt(variance + epsilon) · gamma + beta + residual)`.
pub fn batch_norm(
    x: CubeTensor,
    gamma: CubeTensor,
    beta: CubeTensor,
    residual: CubeTensor,
    statistics: CubeTensor,
    epsilon: f32,
    epilogue: Epilogue,
) -> CubeTensor {
    let channels = channels(&x);
    let (scale, shift) = (empty(&x, [channels as usize]), empty(&x, [channels as usize]));
    let (_, cubes, units) = elementwise(&scale);
    scale_and_shift_kernel::launch(
        &scale.client,
        cubes,
        units,
        buffer(gamma),
        buffer(beta),
        buffer(statistics),
        as_it_lies(scale.clone()),
        as_it_lies(shift.clone()),
        channels,
        epsilon,
    );
    affine(x, scale, shift, residual, epilogue)
}

#[cube(launch)]
fn batch_norm_backward_kernel(
    x: &[f32],
    gradient: &[f32],
    gamma: &[f32],
    statistics: &[f32],
    dgamma: &[f32],
    dbeta: &[f32],
    dx: &mut [f32],
    count: u32,
    stride: u32,
    channels: u32,
    epsilon: f32,
) {
    let place = ABSOLUTE_POS;
    if place < count as usize {
        let channel = channel_at(place, stride, channels);
        let inverse = 1.0f32 / (statistics[channels as usize + channel] + epsilon).sqrt();
        let normalised = (x[place] - statistics[channel]) * inverse;
        let of_channel = f32::cast_from(count / channels);
        let centred = gradient[place] - (dbeta[channel] + normalised * dgamma[channel]) / of_channel;
        dx[place] = gamma[channel] * inverse * centred;
    }
}

/// Gradients of x, gamma, beta and the residual where `statistics` are those of `x`.
pub fn batch_norm_backward(
    x: CubeTensor,
    gamma: CubeTensor,
    statistics: CubeTensor,
    y: CubeTensor,
    dy: CubeTensor,
    epsilon: f32,
    epilogue: Epilogue,
) -> [CubeTensor; 4] {
    let passed = through_activation(y, dy, epilogue.activation);
    let (x, gradient) = same_order(x, passed.clone());
    let (dgamma, dbeta) = normalised_sums(&x, &gradient, &statistics, epsilon);
    let dx = like(&x);
    let (count, cubes, units) = elementwise(&x);
    batch_norm_backward_kernel::launch(
        &dx.client,
        cubes,
        units,
        as_it_lies(x.clone()),
        as_it_lies(gradient),
        buffer(gamma),
        buffer(statistics),
        as_it_lies(dgamma.clone()),
        as_it_lies(dbeta.clone()),
        as_it_lies(dx.clone()),
        count,
        stride_of_channels(&x),
        channels(&x),
        epsilon,
    );
    [dx, dgamma, dbeta, passed]
}
