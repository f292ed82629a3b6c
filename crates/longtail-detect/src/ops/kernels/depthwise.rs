//! Convolution of every channel with a kernel of its own: no matrix product pays there. A task owns a plane, or in the
//! weight's gradient a channel, and walks the kernel's places in order.

use rayon::prelude::*;

use super::{conv::ConvShape, vectorised};

/// Output rows whose tap at kernel row `ky` lies inside the input, with that input row.
fn rows(shape: &ConvShape, ky: usize) -> impl Iterator<Item = (usize, usize)> {
    let ([rows, _], [stride, _], [padding, _]) = (shape.output_size(), shape.stride, shape.padding);
    let height = shape.size[0];
    (0..rows).filter_map(move |row| {
        let y = (row * stride + ky).checked_sub(padding)?;
        (y < height).then_some((row, y))
    })
}

/// `y[n, c] = x[n, c] ⋆ w[c] + b[c]`; `x [N, C, H, W]`, `weight [C, 1, kh, kw]`.
pub fn forward(shape: &ConvShape, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let [height, width] = shape.output_size();
    let (plane, area) = (shape.size[0] * shape.size[1], shape.kernel[0] * shape.kernel[1]);
    let mut y = vec![0.0; shape.batch * shape.outputs * height * width];
    y.par_chunks_mut((height * width).max(1)).zip(x.par_chunks(plane.max(1))).enumerate().for_each(
        |(index, (y, x))| {
            let channel = index % shape.outputs;
            let weight = &weight[channel * area..(channel + 1) * area];
            if let Some(bias) = bias {
                y.fill(bias[channel]);
            }
            vectorised(|| {
                for_taps(shape, |tap, row, y_row, from, to, start| {
                    let target = &mut y[row * width + from..row * width + to];
                    let source = &x[y_row * shape.size[1] + start..];
                    add_scaled(target, source, shape.stride[1], weight[tap]);
                });
            });
        },
    );
    y
}

/// Gradient of the input.
pub fn backward_input(shape: &ConvShape, weight: &[f32], dy: &[f32]) -> Vec<f32> {
    let [height, width] = shape.output_size();
    let (plane, area) = (shape.size[0] * shape.size[1], shape.kernel[0] * shape.kernel[1]);
    let mut dx = vec![0.0; shape.batch * shape.inputs * plane];
    dx.par_chunks_mut(plane.max(1)).zip(dy.par_chunks((height * width).max(1))).enumerate().for_each(
        |(index, (dx, dy))| {
            let channel = index % shape.outputs;
            let weight = &weight[channel * area..(channel + 1) * area];
            vectorised(|| {
                for_taps(shape, |tap, row, y_row, from, to, start| {
                    let source = &dy[row * width + from..row * width + to];
                    let target = &mut dx[y_row * shape.size[1] + start..];
                    spread_scaled(target, source, shape.stride[1], weight[tap]);
                });
            });
        },
    );
    dx
}

/// Gradient of the weight, summed over images in order.
pub fn backward_weight(shape: &ConvShape, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let [height, width] = shape.output_size();
    let (plane, positions) = (shape.size[0] * shape.size[1], height * width);
    let area = shape.kernel[0] * shape.kernel[1];
    let mut dw = vec![0.0; shape.outputs * area];
    dw.par_chunks_mut(area).enumerate().for_each(|(channel, dw)| {
        let mut sums = vec![0.0_f64; area];
        for n in 0..shape.batch {
            let index = n * shape.outputs + channel;
            let x = &x[index * plane..(index + 1) * plane];
            let dy = &dy[index * positions..(index + 1) * positions];
            vectorised(|| {
                for_taps(shape, |tap, row, y_row, from, to, start| {
                    let gradient = &dy[row * width + from..row * width + to];
                    let source = &x[y_row * shape.size[1] + start..];
                    sums[tap] += f64::from(product(gradient, source, shape.stride[1]));
                });
            });
        }
        for (dw, sum) in dw.iter_mut().zip(sums) {
            *dw = sum as f32;
        }
    });
    dw
}

/// Calls `tap(place, row, input row, first column, last column + 1, input column of the first)` for every place of the
/// kernel and every output row that it reaches.
#[inline(always)]
fn for_taps(shape: &ConvShape, mut tap: impl FnMut(usize, usize, usize, usize, usize, usize)) {
    for ky in 0..shape.kernel[0] {
        for kx in 0..shape.kernel[1] {
            let (from, to) = shape.valid_columns(kx);
            if from >= to {
                continue;
            }
            let start = from * shape.stride[1] + kx - shape.padding[1];
            for (row, y) in rows(shape, ky) {
                tap(ky * shape.kernel[1] + kx, row, y, from, to, start);
            }
        }
    }
}

#[inline(always)]
fn add_scaled(target: &mut [f32], source: &[f32], stride: usize, weight: f32) {
    if stride == 1 {
        for (target, source) in target.iter_mut().zip(source) {
            *target += weight * source;
        }
    } else {
        for (target, source) in target.iter_mut().zip(source.iter().step_by(stride)) {
            *target += weight * source;
        }
    }
}

#[inline(always)]
fn spread_scaled(target: &mut [f32], source: &[f32], stride: usize, weight: f32) {
    if stride == 1 {
        for (target, source) in target.iter_mut().zip(source) {
            *target += weight * source;
        }
    } else {
        for (target, source) in target.iter_mut().step_by(stride).zip(source) {
            *target += weight * source;
        }
    }
}

#[inline(always)]
fn product(gradient: &[f32], source: &[f32], stride: usize) -> f32 {
    if stride == 1 {
        super::dot(gradient, &source[..gradient.len()])
    } else {
        gradient.iter().zip(source.iter().step_by(stride)).map(|(g, x)| g * x).sum()
    }
}
