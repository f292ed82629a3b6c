//! Convolution of every channel with a kernel of its own: no matrix product pays there. A task owns a plane,
//! or in the weight's gradient a channel, and walks the kernel's taps in order.

use rayon::prelude::*;

use super::{conv::Then, conv_shape::ConvShape, vectorised};

/// Output rows whose tap at kernel row `ky` lies inside the input, with that input row.
fn rows(shape: &ConvShape, ky: usize) -> impl Iterator<Item = (usize, usize)> {
    let ([rows, _], [stride, _], [padding, _]) = (shape.output_size(), shape.stride, shape.padding);
    let height = shape.size[0];
    (0..rows).filter_map(move |row| {
        let y = (row * stride + ky).checked_sub(padding)?;
        (y < height).then_some((row, y))
    })
}

/// `y[n, c] = x[n, c] ⋆ w[c]` and what follows; `x [N, C, H, W]`, `weight [C, 1, kh, kw]`.
pub fn forward(shape: &ConvShape, x: &[f32], weight: &[f32], then: Then<'_>) -> Vec<f32> {
    let [height, width] = shape.output_size();
    let (plane, area) = (shape.size[0] * shape.size[1], shape.kernel[0] * shape.kernel[1]);
    let inside = |d: usize| shape.padding[d] < shape.kernel[d];
    assert!(inside(0) && inside(1), "a kernel that lies in the padding alone");
    let padded = Padded::new(shape);
    let mut y = vec![0.0; shape.batch * shape.outputs * height * width];
    y.par_chunks_mut((height * width).max(1)).zip(x.par_chunks(plane.max(1))).enumerate().for_each_init(
        || padded.scratch(),
        |(values, taps), (index, (y, x))| {
            let channel = index % shape.outputs;
            let weight = &weight[channel * area..(channel + 1) * area];
            taps.iter_mut().zip(weight).for_each(|(tap, weight)| tap.1 = *weight);
            let bias = if let Then::Bias(bias) = then { bias[channel] } else { 0.0 };
            vectorised(
                #[inline(always)]
                || {
                    padded.fill(shape, x, values);
                    padded.convolve(values, taps, bias, [height, width], y);
                    if let Then::Affine(affine) = then {
                        affine.apply(channel, index * height * width, y);
                    }
                },
            );
        },
    );
    y
}

/// Output columns that are summed side by side: a vector of the widest machines.
const LANES: usize = 16;
/// Output rows that are summed at a time, so that no sum waits for the one before.
const ROWS: usize = 4;

/// How a plane lies with its zeros around it: its columns sorted by their index modulo the stride, so that
/// what a tap reads for neighbouring outputs lies side by side, and with room for whole blocks of outputs.
pub(super) struct Padded {
    stride: [usize; 2],
    rows: usize,
    /// Columns of each remainder.
    columns: usize,
    /// Where the values of each tap begin, from those of the first.
    offsets: Vec<usize>,
}

impl Padded {
    pub(super) fn new(shape: &ConvShape) -> Self {
        let ([height, width], [kh, kw], stride) = (shape.output_size(), shape.kernel, shape.stride);
        let rows = (height.next_multiple_of(ROWS).max(1) - 1) * stride[0] + kh;
        let columns = width.next_multiple_of(LANES) + (kw - 1) / stride[1];
        let row = columns * stride[1];
        let offset = |ky: usize, kx: usize| ky * row + kx % stride[1] * columns + kx / stride[1];
        let offsets = (0..kh * kw).map(|tap| offset(tap / kw, tap % kw)).collect();
        Self { stride, rows, columns, offsets }
    }

    /// Room for a plane, all zeros, and for the taps with their weights.
    pub(super) fn scratch(&self) -> (Vec<f32>, Vec<(usize, f32)>) {
        let taps = self.offsets.iter().map(|offset| (*offset, 0.0)).collect();
        (vec![0.0; self.rows * self.columns * self.stride[1]], taps)
    }

    /// Copies a plane to its place; the zeros around it stay.
    #[inline(always)]
    pub(super) fn fill(&self, shape: &ConvShape, x: &[f32], values: &mut [f32]) {
        let [_, stride] = self.stride;
        let rows = self.rows.saturating_sub(shape.padding[0]);
        let lines =
            values[shape.padding[0] * self.columns * stride..].chunks_exact_mut(self.columns * stride);
        for (line, x) in lines.zip(x.chunks_exact(shape.size[1])).take(rows) {
            for remainder in 0..stride {
                // The first column of the plane at this remainder, and its index there.
                let first = (remainder + stride - shape.padding[1] % stride) % stride;
                let place = (first + shape.padding[1]) / stride;
                let line = &mut line[remainder * self.columns..(remainder + 1) * self.columns];
                if stride == 1 {
                    let count = x.len().min(self.columns - place);
                    line[place..place + count].copy_from_slice(&x[..count]);
                } else {
                    let source = x.iter().skip(first).step_by(stride);
                    line[place..].iter_mut().zip(source).for_each(|(value, x)| *value = *x);
                }
            }
        }
    }

    /// The plane's output from what [`Self::fill`] left.
    #[inline(always)]
    pub(super) fn convolve(
        &self,
        values: &[f32],
        taps: &[(usize, f32)],
        bias: f32,
        [height, width]: [usize; 2],
        y: &mut [f32],
    ) {
        let line = self.columns * self.stride[1];
        let step = line * self.stride[0];
        for row in (0..height).step_by(ROWS) {
            for column in (0..width).step_by(LANES) {
                // Apart, not in an array: so each is a register.
                let [mut a, mut b, mut c, mut d] = [[bias; LANES]; ROWS];
                for &(offset, weight) in taps {
                    let start = row * step + column + offset;
                    add_scaled(&mut a, values, start, weight);
                    add_scaled(&mut b, values, start + step, weight);
                    add_scaled(&mut c, values, start + 2 * step, weight);
                    add_scaled(&mut d, values, start + 3 * step, weight);
                }
                let count = LANES.min(width - column);
                for (r, sums) in [a, b, c, d].iter().enumerate().take(height - row) {
                    y[(row + r) * width + column..][..count].copy_from_slice(&sums[..count]);
                }
            }
        }
    }
}

/// Gradient of the input.
pub fn backward_input(shape: &ConvShape, weight: &[f32], dy: &[f32]) -> Vec<f32> {
    let [height, width] = shape.output_size();
    if let Some(transposed) = transposed(shape) {
        let turned: Vec<f32> = weight
            .chunks_exact(shape.kernel[0] * shape.kernel[1])
            .flat_map(|kernel| kernel.iter().rev().copied())
            .collect();
        return forward(&transposed, dy, &turned, Then::Nothing);
    }
    let (plane, area) = (shape.size[0] * shape.size[1], shape.kernel[0] * shape.kernel[1]);
    let mut dx = vec![0.0; shape.batch * shape.inputs * plane];
    dx.par_chunks_mut(plane.max(1)).zip(dy.par_chunks((height * width).max(1))).enumerate().for_each(
        |(index, (dx, dy))| {
            let channel = index % shape.outputs;
            let weight = &weight[channel * area..(channel + 1) * area];
            vectorised(
                #[inline(always)]
                || {
                    for_taps(shape, |tap, row, y_row, from, to, start| {
                        let source = &dy[row * width + from..row * width + to];
                        let target = &mut dx[y_row * shape.size[1] + start..];
                        spread_scaled(target, source, shape.stride[1], weight[tap]);
                    });
                },
            );
        },
    );
    dx
}

/// The convolution with turned kernels that gives the gradient of the input; at larger strides it is none.
fn transposed(shape: &ConvShape) -> Option<ConvShape> {
    let (outputs, size, kernel) = (shape.output_size(), shape.size, shape.kernel);
    let padding = |d: usize| (kernel[d] - 1).checked_sub(shape.padding[d]);
    let padding = [padding(0)?, padding(1)?];
    let end = |d: usize| (size[d] + kernel[d]).checked_sub(1 + outputs[d] + padding[d]);
    let end_padding = [end(0)?, end(1)?];
    (shape.stride == [1, 1]).then_some(ConvShape { size: outputs, padding, end_padding, ..*shape })
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
            vectorised(
                #[inline(always)]
                || {
                    for_taps(shape, |tap, row, y_row, from, to, start| {
                        let gradient = &dy[row * width + from..row * width + to];
                        let source = &x[y_row * shape.size[1] + start..];
                        sums[tap] += f64::from(product(gradient, source, shape.stride[1]));
                    });
                },
            );
        }
        for (dw, sum) in dw.iter_mut().zip(sums) {
            *dw = sum as f32;
        }
    });
    dw
}

/// Calls `tap(place, row, input row, first column, last column + 1, input column of the first)` for every
/// place of the kernel and every output row that it reaches.
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
fn add_scaled(sums: &mut [f32; LANES], values: &[f32], start: usize, weight: f32) {
    let values = &values[start..start + LANES];
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += weight * value;
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
