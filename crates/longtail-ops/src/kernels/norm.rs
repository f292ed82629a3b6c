//! Per-channel normalisation with an optional residual and ReLU in one pass over `[N, C, H, W]`.

use rayon::prelude::*;

use super::{SharedSlice, dot, sum, vectorised};

/// The non-linearity at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// None.
    None,
    /// `max(y, 0)`.
    Relu,
    /// `min(max(y, 0), 6)`.
    Relu6,
}

impl From<bool> for Activation {
    fn from(relu: bool) -> Self {
        if relu { Self::Relu } else { Self::None }
    }
}

impl Activation {
    /// Least and largest output.
    pub(crate) fn range(self) -> (f32, f32) {
        match self {
            Self::None => (f32::NEG_INFINITY, f32::INFINITY),
            Self::Relu => (0.0, f32::INFINITY),
            Self::Relu6 => (0.0, 6.0),
        }
    }
}

/// The value inside a range, or NaN for NaN, so that training notices.
#[inline(always)]
pub(super) fn clamp(value: f32, (floor, ceiling): (f32, f32)) -> f32 {
    let value = if value < floor { floor } else { value };
    if value > ceiling { ceiling } else { value }
}

/// What happens after the affine map: `activation(x · scale + shift + residual)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epilogue {
    /// Whether a residual of the same shape is added.
    pub residual: bool,
    /// What follows.
    pub activation: Activation,
}

/// A fixed scale and shift of every channel, a residual and an activation, for code that has an output in its
/// cache.
#[derive(Debug, Clone, Copy)]
pub struct Affine<'a> {
    /// `[C]`.
    pub scale: &'a [f32],
    /// `[C]`.
    pub shift: &'a [f32],
    /// Of the output's shape.
    pub residual: Option<&'a [f32]>,
    /// What follows.
    pub activation: Activation,
}

impl Affine<'_> {
    /// `y ← activation(y · scale + shift + residual)` where `y` are values of `channel` from `start` on in
    /// the output.
    #[inline(always)]
    pub(crate) fn apply(&self, channel: usize, start: usize, y: &mut [f32]) {
        let (scale, shift) = (self.scale[channel], self.shift[channel]);
        let range = self.activation.range();
        let length = y.len();
        if let Some(residual) = self.residual {
            for (y, r) in y.iter_mut().zip(&residual[start..start + length]) {
                *y = clamp(*y * scale + shift + r, range);
            }
        } else {
            for y in y {
                *y = clamp(*y * scale + shift, range);
            }
        }
    }
}

/// Shape of the planes: images, channels, positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planes {
    /// Images.
    pub batch: usize,
    /// Channels.
    pub channels: usize,
    /// Height × width.
    pub positions: usize,
}

impl Planes {
    fn of_channel(self, channel: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
        (0..self.batch).map(move |n| {
            let start = (n * self.channels + channel) * self.positions;
            start..start + self.positions
        })
    }
}

/// Mean and biased variance of every channel over images and positions, `[2, C]`.
pub fn statistics(planes: Planes, x: &[f32]) -> Vec<f32> {
    let count = (planes.batch * planes.positions) as f64;
    let moments: Vec<(f32, f32)> = (0..planes.channels)
        .into_par_iter()
        .map(|channel| {
            vectorised(
                #[inline(always)]
                || {
                    let mean = planes.of_channel(channel).map(|r| f64::from(sum(&x[r]))).sum::<f64>() / count;
                    // Around the mean, in a second pass: the square of a large mean would swallow a small
                    // variance.
                    let centre = mean as f32;
                    let square = planes.of_channel(channel).map(|r| f64::from(centred_square(&x[r], centre)));
                    let variance = square.sum::<f64>() / count;
                    (centre, variance as f32)
                },
            )
        })
        .collect();
    moments.iter().map(|m| m.0).chain(moments.iter().map(|m| m.1)).collect()
}

#[inline(always)]
fn centred_square(values: &[f32], centre: f32) -> f32 {
    let mut lanes = [0.0_f32; 16];
    let chunks = values.chunks_exact(16);
    let rest: f32 = chunks.remainder().iter().map(|v| (v - centre) * (v - centre)).sum();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += (value - centre) * (value - centre);
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// `activation(x · scale + shift + residual)`.
pub fn affine(
    planes: Planes,
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    residual: &[f32],
    epilogue: Epilogue,
) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    let clamped = epilogue.activation.range();
    y.par_chunks_mut(planes.positions).enumerate().for_each(|(plane, y)| {
        let (scale, shift) = (scale[plane % planes.channels], shift[plane % planes.channels]);
        let range = plane * planes.positions..(plane + 1) * planes.positions;
        let x = &x[range.clone()];
        vectorised(
            #[inline(always)]
            || {
                if epilogue.residual {
                    for ((y, x), r) in y.iter_mut().zip(x).zip(&residual[range]) {
                        *y = clamp(x * scale + shift + r, clamped);
                    }
                } else {
                    for (y, x) in y.iter_mut().zip(x) {
                        *y = clamp(x * scale + shift, clamped);
                    }
                }
            },
        );
    });
    y
}

/// Gradient that passes the activation: `dy` where the output lies inside its range, all of it without one.
pub fn through_relu(y: &[f32], dy: &[f32], epilogue: Epilogue) -> Vec<f32> {
    if epilogue.activation == Activation::None {
        return dy.to_vec();
    }
    let (floor, ceiling) = epilogue.activation.range();
    let mut passed = vec![0.0; dy.len()];
    passed.par_chunks_mut(1 << 14).zip(y.par_chunks(1 << 14)).zip(dy.par_chunks(1 << 14)).for_each(
        |((passed, y), dy)| {
            vectorised(
                #[inline(always)]
                || {
                    for ((passed, y), dy) in passed.iter_mut().zip(y).zip(dy) {
                        *passed = if *y > floor && *y < ceiling { *dy } else { 0.0 };
                    }
                },
            );
        },
    );
    passed
}

/// `gradient · scale`, channel by channel.
pub fn affine_backward(planes: Planes, scale: &[f32], gradient: &[f32]) -> Vec<f32> {
    let mut dx = vec![0.0; gradient.len()];
    dx.par_chunks_mut(planes.positions).zip(gradient.par_chunks(planes.positions)).enumerate().for_each(
        |(plane, (dx, gradient))| {
            let scale = scale[plane % planes.channels];
            vectorised(
                #[inline(always)]
                || {
                    for (dx, gradient) in dx.iter_mut().zip(gradient) {
                        *dx = gradient * scale;
                    }
                },
            );
        },
    );
    dx
}

/// Gradients of batch normalisation whose statistics come from `x` itself. `gradient` is what passed the
/// ReLU. Returns those of x, gamma and beta.
pub fn batch_norm_backward(
    planes: Planes,
    x: &[f32],
    gamma: &[f32],
    statistics: &[f32],
    epsilon: f32,
    gradient: &[f32],
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let count = (planes.batch * planes.positions) as f64;
    let mut dx = vec![0.0; x.len()];
    let shared = SharedSlice::new(&mut dx);
    let of_channels: Vec<(f32, f32)> = (0..planes.channels)
        .into_par_iter()
        .map(|channel| {
            let mean = statistics[channel];
            let inverse = 1.0 / (statistics[planes.channels + channel] + epsilon).sqrt();
            let (mut sum_gradient, mut sum_product) = (0.0_f64, 0.0_f64);
            for range in planes.of_channel(channel) {
                let gradient = &gradient[range.clone()];
                let (gradient_sum, product_sum) = vectorised(
                    #[inline(always)]
                    || (sum(gradient), dot(gradient, &x[range])),
                );
                sum_gradient += f64::from(gradient_sum);
                sum_product += f64::from(product_sum);
            }
            // Σ dy·(x - mean)·inverse
            let sum_normalised = (sum_product - f64::from(mean) * sum_gradient) * f64::from(inverse);
            let factor = gamma[channel] * inverse;
            let offset = (sum_gradient / count) as f32;
            let slope = (sum_normalised / count) as f32 * inverse;
            for range in planes.of_channel(channel) {
                // SAFETY: each task owns its channel's planes.
                let dx = unsafe { shared.range(range.start, range.len()) };
                vectorised(
                    #[inline(always)]
                    || {
                        for ((dx, gradient), x) in dx.iter_mut().zip(&gradient[range.clone()]).zip(&x[range])
                        {
                            *dx = factor * (gradient - offset - (x - mean) * slope);
                        }
                    },
                );
            }
            (sum_normalised as f32, sum_gradient as f32)
        })
        .collect();
    let (gamma, beta) = of_channels.into_iter().unzip();
    (dx, gamma, beta)
}
