//! A pointwise convolution and the depthwise one after it, the first two thirds of an inverted residual block, without the wide
//! tensor between them ever leaving the cache.

use rayon::prelude::*;

use super::{
    SharedSlice,
    conv_shape::ConvShape,
    depthwise::Padded,
    norm::Affine,
    product::{Factor, multiply},
    vectorised,
};

/// Channels of a task: enough for matrix products to be worth their packing.
const CHANNELS: usize = 48;

/// Bytes between the two convolutions that a task holds: most of one L2 cache.
const CACHE: usize = 640 << 10;

/// Output rows of a task with the input rows that they read, as the convolution of their own that they are.
struct Strip {
    first_output: usize,
    first_input: usize,
    shape: ConvShape,
}

/// Cuts the output rows of a depthwise convolution.
fn strips(shape: &ConvShape) -> Vec<Strip> {
    let ([rows, _], [height, width]) = (shape.output_size(), shape.size);
    let (stride, kernel, padding) = (shape.stride[0], shape.kernel[0], shape.padding[0]);
    let inputs = CACHE / size_of::<f32>() / (CHANNELS * width.max(1));
    let step = (inputs.saturating_sub(kernel) / stride + 1).min(rows);
    // As many strips as needed, all about as high.
    let step = rows.div_ceil(rows.div_ceil(step.max(1)).max(1)).max(1);
    let strip = |first_output: usize| {
        let outputs = step.min(rows - first_output);
        let above = padding.saturating_sub(first_output * stride);
        let first_input = (first_output * stride).saturating_sub(padding);
        let needed = (outputs - 1) * stride + kernel - above;
        let inputs = needed.min(height - first_input);
        let shape = ConvShape {
            size: [inputs, width],
            padding: [above, shape.padding[1]],
            end_padding: [needed - inputs, shape.end_padding[1]],
            ..*shape
        };
        Strip { first_output, first_input, shape }
    };
    (0..rows).step_by(step).map(strip).collect()
}

/// `depthwise(expand(x))`, each followed by its affine map. `x [N, inputs, H, W]`, `expand [C, inputs]`, `weight [C, 1, kh, kw]`;
/// `shape` is that of the depthwise convolution.
pub fn forward(
    shape: &ConvShape,
    inputs: usize,
    x: &[f32],
    expand: &[f32],
    expanded: Affine<'_>,
    weight: &[f32],
    then: Affine<'_>,
) -> Vec<f32> {
    let ([height, width], plane, channels) =
        (shape.output_size(), shape.size[0] * shape.size[1], shape.outputs);
    let area = shape.kernel_area();
    let inside = |padding: [usize; 2]| padding[0] < shape.kernel[0] && padding[1] < shape.kernel[1];
    assert!(inside(shape.padding) && inside(shape.end_padding), "a kernel that lies in the padding alone");
    assert_eq!(
        (shape.groups, expand.len()),
        (channels, channels * inputs),
        "a pointwise and a depthwise convolution"
    );
    let strips = strips(shape);
    let step = channels.div_ceil(channels.div_ceil(CHANNELS)).max(1);
    let slabs = channels.div_ceil(step);
    let mut y = vec![0.0; shape.batch * channels * height * width];
    let shared = SharedSlice::new(&mut y);
    (0..shape.batch * strips.len() * slabs).into_par_iter().for_each_init(Vec::new, |between, task| {
        let (slab, strip) = (task % slabs, &strips[task / slabs % strips.len()]);
        let n = task / slabs / strips.len();
        let (first, count) = (slab * step, step.min(channels - slab * step));
        let positions = strip.shape.size[0] * strip.shape.size[1];
        let x = &x[n * inputs * plane + strip.first_input * shape.size[1]..];
        assert!(x.len() >= (inputs - 1) * plane + positions);
        between.resize((count * positions).max(between.len()), 0.0);
        // SAFETY: the weights are [count, inputs] row by row, x [inputs, positions] with rows `plane` apart, the target holds
        // count × positions values.
        unsafe {
            let (left, right) =
                (Factor::rows(expand[first * inputs..].as_ptr(), inputs), Factor::rows(x.as_ptr(), plane));
            multiply([count, positions, inputs], between.as_mut_ptr(), positions, false, left, right);
        }
        let padded = Padded::new(&strip.shape);
        let (mut values, mut taps) = padded.scratch();
        let rows = strip.shape.output_size()[0];
        vectorised(
            #[inline(always)]
            || {
                for (channel, between) in (first..first + count).zip(between.chunks_exact_mut(positions)) {
                    expanded.apply(channel, 0, between);
                    padded.fill(&strip.shape, between, &mut values);
                    let weight = &weight[channel * area..(channel + 1) * area];
                    taps.iter_mut().zip(weight).for_each(|(tap, weight)| tap.1 = *weight);
                    let start = ((n * channels + channel) * height + strip.first_output) * width;
                    // SAFETY: tasks own their rows of their channels of their image.
                    let y = unsafe { shared.range(start, rows * width) };
                    padded.convolve(&values, &taps, 0.0, [rows, width], y);
                    then.apply(channel, start, y);
                }
            },
        );
    });
    y
}
