//! An inverted residual block: a pointwise convolution that widens, a depthwise one, a pointwise one that
//! narrows; without the first, a depthwise separable convolution. The wide tensors between them lie channels
//! last, and on large planes never leave the cache.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    SharedSlice,
    channels_last::{Depthwise, LANES, Laned, Line, laned},
    conv_shape::ConvShape,
    norm::Affine,
    product::{Factor, multiply},
    transpose::transpose,
    vectorised,
};

/// Wide channels that are computed at a time: enough for matrix products to be worth their packing.
const SLAB: usize = 64;

/// Bytes that a task holds of each of the wide tensors: both fit into most L2 caches.
const CACHE: usize = 512 << 10;

/// Tasks that a block is cut into at least, if it is large enough.
const TASKS: usize = 8;

/// Output positions of a task at least.
const POSITIONS: usize = 64;

/// A convolution and what follows it.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'a> {
    /// `[Cout, Cin / groups, kh, kw]`.
    pub weight: &'a [f32],
    /// Scale, shift, residual, activation.
    pub then: Affine<'a>,
}

/// A block and its input.
#[derive(Debug, Clone, Copy)]
pub struct InvertedResidual<'a> {
    /// Of the depthwise convolution.
    pub shape: ConvShape,
    /// Channels before it is widened.
    pub inputs: usize,
    /// Channels after it is narrowed.
    pub outputs: usize,
    /// `[N, inputs, H, W]`.
    pub x: &'a [f32],
    /// The pointwise convolution to wide channels; without, the inputs are the wide channels.
    pub expand: Option<Layer<'a>>,
    /// The depthwise one.
    pub depthwise: Layer<'a>,
    /// The pointwise one to narrow channels.
    pub project: Layer<'a>,
}

/// Output rows with the input rows that they read, as the convolution of their own that they are.
struct Strip {
    first_output: usize,
    first_input: usize,
    shape: ConvShape,
}

/// Cuts the output rows of a depthwise convolution into strips of at most `step`, all about as high.
fn strips(shape: &ConvShape, step: usize) -> Vec<Strip> {
    let ([rows, _], [height, width]) = (shape.output_size(), shape.size);
    let (stride, kernel, padding) = (shape.stride[0], shape.kernel[0], shape.padding[0]);
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

/// How a block is cut, by shapes alone.
struct Cut {
    /// Of which wide input and output of all channels fit into the cache.
    low: Vec<Strip>,
    /// Of which the wide input of a slab does.
    high: Vec<Strip>,
    /// Wide channels.
    slabs: Vec<Range<usize>>,
    /// Values of a position in the wide output, whole vectors.
    stride: usize,
}

impl Cut {
    fn new(shape: &ConvShape) -> Self {
        let (channels, [_, width]) = (shape.outputs, shape.output_size());
        let slab = channels.div_ceil(channels.div_ceil(SLAB).max(1)).next_multiple_of(LANES);
        let stride = channels.next_multiple_of(LANES);
        let inputs = CACHE / size_of::<f32>() / (slab * shape.size[1]).max(1);
        let of_inputs = inputs.saturating_sub(shape.kernel[0]) / shape.stride[0] + 1;
        let of_outputs = CACHE / size_of::<f32>() / (stride * width).max(1);
        Self {
            low: strips(shape, of_inputs.min(of_outputs)),
            high: strips(shape, of_inputs),
            slabs: ranges(channels, slab),
            stride,
        }
    }
}

/// `0..length` in ranges of at most `step`.
fn ranges(length: usize, step: usize) -> Vec<Range<usize>> {
    (0..length).step_by(step.max(1)).map(|first| first..(first + step).min(length)).collect()
}

impl InvertedResidual<'_> {
    /// `[N, outputs, height, width]`.
    pub fn forward(&self) -> Vec<f32> {
        self.check();
        let [height, width] = self.shape.output_size();
        let length = self.shape.batch * self.outputs * height * width;
        let cut = Cut::new(&self.shape);
        let mut y = Vec::new();
        let to = SharedSlice::room(&mut y, length);
        if self.shape.batch * cut.low.len() >= TASKS {
            self.strip_by_strip(&cut, &to);
        } else {
            self.layer_by_layer(&cut, &to);
        }
        // SAFETY: each of the two writes every position of every channel.
        unsafe { y.set_len(length) };
        y
    }

    fn check(&self) {
        let (shape, channels) = (&self.shape, self.shape.outputs);
        let inside = |padding: [usize; 2]| padding[0] < shape.kernel[0] && padding[1] < shape.kernel[1];
        let padded = inside(shape.padding) && inside(shape.end_padding);
        assert!(padded, "a kernel that lies in the padding alone");
        assert!(shape.groups == channels && shape.inputs == channels, "a depthwise convolution");
        assert_eq!(self.x.len(), shape.batch * self.inputs * shape.size[0] * shape.size[1]);
        match &self.expand {
            Some(expand) => assert_eq!(expand.weight.len(), channels * self.inputs),
            None => assert_eq!(channels, self.inputs),
        }
        assert_eq!(self.depthwise.weight.len(), channels * shape.kernel_area());
        assert_eq!(self.project.weight.len(), self.outputs * channels);
    }

    /// A task takes a strip through all three layers.
    fn strip_by_strip(&self, cut: &Cut, to: &SharedSlice<'_>) {
        let (strips, stride) = (&cut.low, cut.stride);
        (0..self.shape.batch * strips.len()).into_par_iter().for_each_init(
            Scratch::default,
            |scratch, task| {
                let (n, strip) = (task / strips.len(), &strips[task % strips.len()]);
                let [rows, width] = strip.shape.output_size();
                let first = strip.first_output * width;
                let Scratch { wide, weight, product } = scratch;
                wide.clear();
                let line = Line { to: &SharedSlice::room(wide, rows * width * stride), start: 0, stride };
                for slab in &cut.slabs {
                    // SAFETY: all of `wide` is this task's.
                    unsafe { self.widen(n, strip, slab, [weight, product], line) };
                }
                let block = first..first + rows * width;
                // SAFETY: tasks own their positions of their image, and all wide channels were written.
                unsafe { self.narrow(n, block, line, 0..self.outputs, [weight, product], to) };
            },
        );
    }

    /// All wide channels, then all outputs: for planes too small to be cut into strips.
    fn layer_by_layer(&self, cut: &Cut, to: &SharedSlice<'_>) {
        let Cut { high: strips, slabs, stride, .. } = cut;
        let ([height, width], stride) = (self.shape.output_size(), *stride);
        let (batch, positions) = (self.shape.batch, height * width);
        let mut wide = Vec::new();
        let wide = SharedSlice::room(&mut wide, batch * positions * stride);
        let tasks = batch * strips.len() * slabs.len();
        (0..tasks).into_par_iter().for_each_init(Scratch::default, |scratch, task| {
            let (slab, strip) = (&slabs[task % slabs.len()], &strips[task / slabs.len() % strips.len()]);
            let n = task / slabs.len() / strips.len();
            let start = (n * height + strip.first_output) * width * stride;
            let line = Line { to: &wide, start, stride };
            // SAFETY: tasks own their channels of their rows of their image.
            unsafe { self.widen(n, strip, slab, [&mut scratch.weight, &mut scratch.product], line) };
        });
        let outputs = ranges(self.outputs, SLAB);
        let cuts = TASKS.div_ceil(outputs.len() * batch);
        let blocks = ranges(positions, positions.div_ceil(cuts).next_multiple_of(LANES).max(POSITIONS));
        let slices = outputs.len();
        let tasks = batch * slices * blocks.len();
        (0..tasks).into_par_iter().for_each_init(Scratch::default, |scratch, task| {
            let block = blocks[task % blocks.len()].clone();
            let outputs = outputs[task / blocks.len() % slices].clone();
            let n = task / blocks.len() / slices;
            let line = Line { to: &wide, start: (n * positions + block.start) * stride, stride };
            // SAFETY: tasks own their positions of their channels of their image, and all wide channels were
            // written.
            unsafe { self.narrow(n, block, line, outputs, [&mut scratch.weight, &mut scratch.product], to) };
        });
    }

    /// Some channels of a strip after the depthwise convolution, to the positions from `line` on.
    ///
    /// # Safety
    /// Nobody else writes these channels there.
    unsafe fn widen(
        &self,
        n: usize,
        strip: &Strip,
        slab: &Range<usize>,
        [weight, product]: [&mut Vec<f32>; 2],
        line: Line<'_>,
    ) {
        let (inputs, plane) = (self.inputs, self.shape.size[0] * self.shape.size[1]);
        let positions = strip.shape.size[0] * strip.shape.size[1];
        let x = &self.x[n * inputs * plane + strip.first_input * self.shape.size[1]..];
        assert!(x.len() >= (inputs - 1) * plane + positions);
        let lanes = slab.len().next_multiple_of(LANES);
        product.clear();
        product.reserve(positions * lanes);
        match &self.expand {
            Some(expand) => {
                let weight = laned(expand.weight, inputs, slab, weight);
                // SAFETY: x is [inputs, positions] with rows `plane` apart, the weights are [inputs, lanes]
                // row by row, the target holds positions × lanes values, all written.
                unsafe {
                    let (left, right) =
                        (Factor::rows(x.as_ptr(), plane).transposed(), Factor::rows(weight.as_ptr(), lanes));
                    multiply([positions, lanes, inputs], product.as_mut_ptr(), lanes, false, left, right);
                    product.set_len(positions * lanes);
                }
            }
            None => {
                if lanes > slab.len() {
                    product.resize(positions * lanes, 0.0);
                }
                let x = &x[slab.start * plane..];
                // SAFETY: x is [channels, positions] with rows `plane` apart; what is not written of the
                // target holds zeros.
                unsafe {
                    transpose([slab.len(), positions], x.as_ptr(), plane, product.as_mut_ptr(), lanes);
                    product.set_len(positions * lanes);
                }
            }
        }
        let expanded = self.expand.map(|expand| Laned::new(expand.then, slab, lanes));
        let depthwise = Depthwise::new(&strip.shape, self.depthwise.weight, self.depthwise.then, slab, lanes);
        let [rows, width] = strip.shape.output_size();
        vectorised(
            #[inline(always)]
            || {
                if let Some(expanded) = &expanded {
                    expanded.apply(product);
                }
                for row in 0..rows {
                    let start = line.start + row * width * line.stride + slab.start;
                    // SAFETY: by the caller's promise.
                    unsafe { depthwise.row(row, product, Line { start, ..line }) };
                }
            },
        );
    }

    /// Some output channels of some positions, whose wide channels lie from `line` on.
    ///
    /// # Safety
    /// The wide channels were written, and nobody else touches these outputs.
    unsafe fn narrow(
        &self,
        n: usize,
        block: Range<usize>,
        line: Line<'_>,
        outputs: Range<usize>,
        [weight, product]: [&mut Vec<f32>; 2],
        to: &SharedSlice<'_>,
    ) {
        let ([height, width], channels) = (self.shape.output_size(), self.shape.outputs);
        let weight = laned(self.project.weight, channels, &outputs, weight);
        let (lanes, count) = (weight.len() / channels, block.len());
        let place = |output: usize| (n * self.outputs + output) * height * width + block.start;
        product.clear();
        product.reserve(count * lanes);
        // SAFETY: the wide channels are [count, channels] with rows `stride` apart, the weights are
        // [channels, lanes] row by row, the target holds count × lanes values; the output's planes lie side
        // by side.
        unsafe {
            let wide = Factor::rows(line.to.from(line.start), line.stride);
            let (target, right) = (product.as_mut_ptr(), Factor::rows(weight.as_ptr(), lanes));
            multiply([count, lanes, channels], target, lanes, false, wide, right);
            transpose([count, outputs.len()], target, lanes, to.from(place(outputs.start)), height * width);
        }
        vectorised(
            #[inline(always)]
            || {
                for output in outputs.clone() {
                    // SAFETY: by the caller's promise.
                    self.project.then.apply(output, place(output), unsafe { to.range(place(output), count) });
                }
            },
        );
    }
}

/// What a task holds: the wide channels of its positions, the weights of a product, the product.
#[derive(Default)]
struct Scratch {
    wide: Vec<f32>,
    weight: Vec<f32>,
    product: Vec<f32>,
}
