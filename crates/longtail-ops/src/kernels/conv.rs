//! Convolution as im2col and matrix product, in tasks whose cut depends on shapes alone: every thread count
//! gives the same bits.
//!
//! With K = channels × kernel area of a group, `Y = W·col` (forward), `dW = dY·colᵀ`, `dX = col2im(Wᵀ·dY)`.
//! Columns are made a block of output rows at a time, so that they stay in cache; a 1×1 kernel of stride 1
//! needs none.

use rayon::prelude::*;

use super::{
    SharedSlice,
    conv_shape::ConvShape,
    depthwise,
    norm::Affine,
    product::{Factor, multiply},
    vectorised,
};

/// What follows a convolution while its output is in the cache.
#[derive(Debug, Clone, Copy)]
pub enum Then<'a> {
    /// Nothing.
    Nothing,
    /// A bias is added, `[Cout]`.
    Bias(&'a [f32]),
    /// A scale and shift of every channel, a residual, an activation.
    Affine(Affine<'a>),
}

/// `Y = W·col(X)` and what follows, `x [N, Cin, H, W]`, `weight [Cout, Cin / groups, kh, kw]`.
pub fn forward(shape: &ConvShape, x: &[f32], weight: &[f32], then: Then<'_>) -> Vec<f32> {
    if shape.is_depthwise() {
        return depthwise::forward(shape, x, weight, then);
    }
    let [rows, columns] = shape.output_size();
    let (positions, image) = (rows * columns, shape.inputs * shape.size[0] * shape.size[1]);
    let depth = shape.depth();
    let length = shape.batch * shape.outputs * positions;
    let mut y = Vec::new();
    let y_shared = SharedSlice::room(&mut y, length);
    let (blocks, slabs) = (shape.row_blocks(), shape.output_blocks());
    let tasks = shape.batch * shape.groups * slabs.len() * blocks.len();
    (0..tasks).into_par_iter().for_each_init(Vec::new, |scratch, task| {
        let (first_row, block_rows) = blocks[task % blocks.len()];
        let (first_output, outputs) = slabs[task / blocks.len() % slabs.len()];
        let of_group = task / blocks.len() / slabs.len();
        let (n, group) = (of_group / shape.groups, of_group % shape.groups);
        // Among all output channels.
        let first_output = group * shape.group_outputs() + first_output;
        let (start, count) = (first_row * columns, block_rows * columns);
        let x = &x[n * image..(n + 1) * image];
        let channels = (group * shape.group_inputs(), shape.group_inputs());
        let (col, col_stride) = column_block(shape, x, channels, first_row, block_rows, scratch);
        let place = |output: usize| (n * shape.outputs + output) * positions + start;
        // SAFETY: tasks write disjoint ranges: one image, some output channels, one block of positions each.
        let target = unsafe { y_shared.from(place(first_output)) };
        // SAFETY: inside this task's range, and dropped before the next use of it.
        let line = |output: usize| unsafe { y_shared.range(place(output), count) };
        let mine = first_output..first_output + outputs;
        if let Then::Bias(bias) = then {
            mine.clone().for_each(|output| line(output).fill(bias[output]));
        }
        let weight = &weight[first_output * depth..];
        // SAFETY: W is [outputs, depth] row by row, col [depth, count] with its stride, Y rows are
        // `positions` apart.
        unsafe {
            multiply(
                [outputs, count, depth],
                target,
                positions,
                matches!(then, Then::Bias(_)),
                Factor::rows(weight.as_ptr(), depth),
                Factor::rows(col, col_stride),
            );
        }
        if let Then::Affine(affine) = then {
            vectorised(
                #[inline(always)]
                || {
                    for output in mine {
                        affine.apply(output, place(output), line(output));
                    }
                },
            );
        }
    });
    // SAFETY: every position of every channel was some task's.
    unsafe { y.set_len(length) };
    y
}

/// Gradient of the input: `col2im(Wᵀ·dY)`. Tasks own blocks of input channels, so no two add to the same
/// element.
pub fn backward_input(shape: &ConvShape, weight: &[f32], dy: &[f32]) -> Vec<f32> {
    if shape.is_depthwise() {
        return depthwise::backward_input(shape, weight, dy);
    }
    let [rows, columns] = shape.output_size();
    let (positions, plane) = (rows * columns, shape.size[0] * shape.size[1]);
    let (outputs, depth, area) = (shape.group_outputs(), shape.depth(), shape.kernel_area());
    let mut dx = vec![0.0; shape.batch * shape.inputs * plane];
    let dx_shared = SharedSlice::new(&mut dx);
    let (row_blocks, channel_blocks) = (shape.row_blocks(), shape.channel_blocks());
    let tasks = shape.batch * shape.groups * channel_blocks.len();
    (0..tasks).into_par_iter().for_each_init(Vec::new, |scratch: &mut Vec<f32>, task| {
        let (first_channel, channels) = channel_blocks[task % channel_blocks.len()];
        let (n, group) =
            (task / channel_blocks.len() / shape.groups, task / channel_blocks.len() % shape.groups);
        let dy = &dy[(n * shape.outputs + group * outputs) * positions..][..outputs * positions];
        let weight = &weight[group * outputs * depth + first_channel * area..];
        let place = (n * shape.inputs + group * shape.group_inputs() + first_channel) * plane;
        // SAFETY: each task owns its channels of its image.
        let dx = unsafe { dx_shared.range(place, channels * plane) };
        let block_depth = channels * area;
        for &(first_row, block_rows) in &row_blocks {
            let (start, count) = (first_row * columns, block_rows * columns);
            let (target, stride) = if shape.is_pointwise() {
                (dx[start..].as_mut_ptr(), positions)
            } else {
                scratch.resize(block_depth * count, 0.0);
                (scratch.as_mut_ptr(), count)
            };
            // SAFETY: Wᵀ is [block_depth, outputs] with strides (1, depth), dY [outputs, count] with rows
            // `positions` apart; the target holds block_depth × count values.
            unsafe {
                multiply(
                    [block_depth, count, outputs],
                    target,
                    stride,
                    false,
                    Factor::rows(weight.as_ptr(), depth).transposed(),
                    Factor::rows(dy[start..].as_ptr(), positions),
                );
            }
            if !shape.is_pointwise() {
                vectorised(
                    #[inline(always)]
                    || columns_to_image(shape, scratch, channels, first_row, block_rows, dx),
                );
            }
        }
    });
    dx
}

/// Gradient of the weight: `dY·colᵀ`, summed over images in order.
pub fn backward_weight(shape: &ConvShape, x: &[f32], dy: &[f32]) -> Vec<f32> {
    if shape.is_depthwise() {
        return depthwise::backward_weight(shape, x, dy);
    }
    let [rows, columns] = shape.output_size();
    let (positions, image) = (rows * columns, shape.inputs * shape.size[0] * shape.size[1]);
    let (outputs, depth, area) = (shape.group_outputs(), shape.depth(), shape.kernel_area());
    let (row_blocks, channel_blocks) = (shape.row_blocks(), shape.channel_blocks());
    // With few channel blocks the images are shared out too, each share with a partial sum of its own.
    let shares = if shape.groups * channel_blocks.len() >= 4 { 1 } else { shape.batch.clamp(1, 8) };
    let size = shape.outputs * depth;
    let mut partial = vec![0.0; shares * size];
    let shared = SharedSlice::new(&mut partial);
    let tasks = shares * shape.groups * channel_blocks.len();
    (0..tasks).into_par_iter().for_each_init(Vec::new, |scratch, task| {
        let (first_channel, channels) = channel_blocks[task % channel_blocks.len()];
        let group = task / channel_blocks.len() % shape.groups;
        let share = task / channel_blocks.len() / shape.groups;
        let images = share * shape.batch / shares..(share + 1) * shape.batch / shares;
        let place = share * size + group * outputs * depth + first_channel * area;
        // SAFETY: each task owns these columns of its share's dW.
        let target = unsafe { shared.from(place) };
        let block_depth = channels * area;
        let mut first = true;
        for n in images {
            let x = &x[n * image..(n + 1) * image];
            let dy = &dy[(n * shape.outputs + group * outputs) * positions..][..outputs * positions];
            for &(first_row, block_rows) in &row_blocks {
                let (start, count) = (first_row * columns, block_rows * columns);
                let range = (group * shape.group_inputs() + first_channel, channels);
                let (col, col_stride) = column_block(shape, x, range, first_row, block_rows, scratch);
                // SAFETY: dY is [outputs, count] with rows `positions` apart, colᵀ [count, block_depth]; dW
                // rows are `depth` apart.
                unsafe {
                    multiply(
                        [outputs, block_depth, count],
                        target,
                        depth,
                        !first,
                        Factor::rows(dy[start..].as_ptr(), positions),
                        Factor::rows(col, col_stride).transposed(),
                    );
                }
                first = false;
            }
        }
    });
    let (total, rest) = partial.split_at_mut(size);
    for share in rest.chunks(size) {
        vectorised(
            #[inline(always)]
            || total.iter_mut().zip(share).for_each(|(sum, value)| *sum += value),
        );
    }
    partial.truncate(size);
    partial
}

/// Gradient of the bias: `dY` summed over images and positions, in f64 as one long sum loses digits in f32.
pub fn backward_bias(shape: &ConvShape, dy: &[f32]) -> Vec<f32> {
    let [rows, columns] = shape.output_size();
    let positions = rows * columns;
    (0..shape.outputs)
        .into_par_iter()
        .map(|o| {
            let planes = (0..shape.batch).map(|n| &dy[(n * shape.outputs + o) * positions..][..positions]);
            vectorised(
                #[inline(always)]
                || planes.map(|plane| f64::from(super::sum(plane))).sum::<f64>() as f32,
            )
        })
        .collect()
}

/// Pointer to the column matrix `[channels × kernel area, rows × columns]` of a block of output rows, and its
/// row stride: the input itself for pointwise convolutions, else filled into `scratch`.
fn column_block(
    shape: &ConvShape,
    x: &[f32],
    (first_channel, channels): (usize, usize),
    first_row: usize,
    rows: usize,
    scratch: &mut Vec<f32>,
) -> (*const f32, usize) {
    let [_, columns] = shape.output_size();
    let [height, width] = shape.size;
    let plane = height * width;
    if shape.is_pointwise() {
        return (x[first_channel * plane + first_row * columns..].as_ptr(), plane);
    }
    let count = rows * columns;
    scratch.resize(channels * shape.kernel_area() * count, 0.0);
    let mut targets = scratch.chunks_mut(count);
    for channel in first_channel..first_channel + channels {
        let x = &x[channel * plane..(channel + 1) * plane];
        for ky in 0..shape.kernel[0] {
            for kx in 0..shape.kernel[1] {
                let target = targets.next().expect("scratch holds channels × kernel area rows");
                let (from, to) = shape.valid_columns(kx);
                for (row, target) in target.chunks_mut(columns).enumerate() {
                    let y = ((first_row + row) * shape.stride[0] + ky).wrapping_sub(shape.padding[0]);
                    if y >= height || from >= to {
                        target.fill(0.0);
                        continue;
                    }
                    target[..from].fill(0.0);
                    target[to..].fill(0.0);
                    let start = y * width + from * shape.stride[1] + kx - shape.padding[1];
                    if shape.stride[1] == 1 {
                        target[from..to].copy_from_slice(&x[start..start + to - from]);
                    } else {
                        let source = x[start..].iter().step_by(shape.stride[1]);
                        for (value, source) in target[from..to].iter_mut().zip(source) {
                            *value = *source;
                        }
                    }
                }
            }
        }
    }
    (scratch.as_ptr(), count)
}

/// Adds a column matrix back to the channels it came from.
#[inline(always)]
fn columns_to_image(
    shape: &ConvShape,
    col: &[f32],
    channels: usize,
    first_row: usize,
    rows: usize,
    dx: &mut [f32],
) {
    let [_, columns] = shape.output_size();
    let [height, width] = shape.size;
    let mut sources = col.chunks(rows * columns);
    for dx in dx.chunks_mut(height * width).take(channels) {
        for ky in 0..shape.kernel[0] {
            for kx in 0..shape.kernel[1] {
                let source = sources.next().expect("a row for each channel and kernel place");
                let (from, to) = shape.valid_columns(kx);
                for (row, source) in source.chunks(columns).enumerate() {
                    let y = ((first_row + row) * shape.stride[0] + ky).wrapping_sub(shape.padding[0]);
                    if y >= height || from >= to {
                        continue;
                    }
                    let start = y * width + from * shape.stride[1] + kx - shape.padding[1];
                    if shape.stride[1] == 1 {
                        for (value, source) in dx[start..start + to - from].iter_mut().zip(&source[from..to])
                        {
                            *value += source;
                        }
                    } else {
                        let targets = dx[start..].iter_mut().step_by(shape.stride[1]);
                        for (value, source) in targets.zip(&source[from..to]) {
                            *value += source;
                        }
                    }
                }
            }
        }
    }
}
