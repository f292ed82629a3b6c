//! RoIAlign on a GPU: what `kernels/roi_align.rs` does on the CPU.

use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};
use cubecl::prelude::*;

use super::memory::{as_it_lies, buffer, dims, elementwise, empty, strided};
use crate::kernels::roi_align::{LEVELS, RoiAlignOptions};

/// Numbers of a region: level, image, x1, y1, x2, y2.
const REGION: usize = 6;

/// Side of a square of feature pixels that a cube of the backward pass owns.
const TILE: u32 = 16;

/// Channels of a unit of the backward pass: they share the search for regions.
const CHANNELS: usize = 8;

/// A bilinear sample along an axis: two neighbours with their weights.
#[derive(CubeType, Clone, Copy)]
struct Tap {
    low: u32,
    high: u32,
    weight_low: f32,
    weight_high: f32,
}

/// Samples of a region along an axis.
#[derive(CubeType, Clone, Copy)]
struct Axis {
    start: f32,
    bin: f32,
    /// Samples of a bin; none where a box without a side has none.
    sampling: u32,
    length: u32,
}

#[cube]
fn axis(
    start: f32,
    end: f32,
    length: u32,
    #[comptime] output: u32,
    #[comptime] sampling: u32,
    #[comptime] aligned: bool,
) -> Axis {
    let mut size = end - start;
    if aligned {
        size = max(size, 0.0f32);
    } else {
        // Without the half pixel a region counts as at least one feature pixel, as the original did.
        size = max(size, 1.0f32);
    }
    let bin = size / f32::cast_from(output);
    let mut samples = sampling.runtime();
    if sampling == 0 {
        samples = min(u32::cast_from(min(bin.ceil(), 65536.0f32)), max(length, 1u32));
    }
    Axis { start, bin, sampling: samples, length }
}

/// A sample of a bin. Outside by more than a pixel it is zero, within it the border counts.
#[cube]
fn tap(axis: &Axis, bin: u32, sample: u32) -> Tap {
    let share = (f32::cast_from(sample) + 0.5f32) * axis.bin / f32::cast_from(axis.sampling);
    let place = axis.start + f32::cast_from(bin) * axis.bin + share;
    let length = f32::cast_from(axis.length);
    let weight = select(place >= -1.0f32 && place <= length, 1.0f32, 0.0f32);
    let place = min(max(place, 0.0f32), length);
    let last = axis.length - 1;
    let low = min(u32::cast_from(place), last);
    let at_border = low >= last;
    let weight_high = select(at_border, 0.0f32, place - f32::cast_from(low));
    Tap {
        low,
        high: select(at_border, last, low + 1),
        weight_low: weight * (1.0f32 - weight_high),
        weight_high: weight * weight_high,
    }
}

/// Reads a coordinate of a region in feature pixels.
#[cube]
fn coordinate(regions: &[f32], region: usize, place: usize, scale: f32, #[comptime] aligned: bool) -> f32 {
    let value = regions[region * REGION + 2 + place] * scale;
    if aligned { value - 0.5f32 } else { value }
}

/// The mean over the samples of one bin in one channel.
#[cube]
fn pooled(
    x: &Tensor<f32>,
    image: usize,
    channel: usize,
    rows: &Axis,
    columns: &Axis,
    by: u32,
    bx: u32,
) -> f32 {
    let base = image * x.stride(0) + channel * x.stride(1);
    let mut total = 0.0f32;
    for sy in 0..rows.sampling {
        let row = tap(rows, by, sy);
        let low = base + row.low as usize * x.stride(2);
        let high = base + row.high as usize * x.stride(2);
        for sx in 0..columns.sampling {
            let column = tap(columns, bx, sx);
            let left = column.low as usize * x.stride(3);
            let right = column.high as usize * x.stride(3);
            total +=
                row.weight_low * (x[low + left] * column.weight_low + x[low + right] * column.weight_high);
            total +=
                row.weight_high * (x[high + left] * column.weight_low + x[high + right] * column.weight_high);
        }
    }
    total / f32::cast_from(max(rows.sampling * columns.sampling, 1u32))
}

/// One bin of one channel of a region, read from a level.
#[cube]
fn pooled_from(
    x: &Tensor<f32>,
    regions: &[f32],
    region: usize,
    channel: usize,
    by: u32,
    bx: u32,
    scale: f32,
    #[comptime] output: u32,
    #[comptime] sampling: u32,
    #[comptime] aligned: bool,
) -> f32 {
    let image = u32::cast_from(regions[region * REGION + 1]) as usize;
    let x1 = coordinate(regions, region, 0, scale, aligned);
    let y1 = coordinate(regions, region, 1, scale, aligned);
    let x2 = coordinate(regions, region, 2, scale, aligned);
    let y2 = coordinate(regions, region, 3, scale, aligned);
    let rows = axis(y1, y2, x.shape(2) as u32, output, sampling, aligned);
    let columns = axis(x1, x2, x.shape(3) as u32, output, sampling, aligned);
    pooled(x, image, channel, &rows, &columns, by, bx)
}

#[cube(launch)]
fn forward_kernel(
    p2: &Tensor<f32>,
    p3: &Tensor<f32>,
    p4: &Tensor<f32>,
    p5: &Tensor<f32>,
    regions: &[f32],
    y: &mut [f32],
    count: u32,
    scale2: f32,
    scale3: f32,
    scale4: f32,
    scale5: f32,
    #[comptime] output: u32,
    #[comptime] sampling: u32,
    #[comptime] aligned: bool,
) {
    let place = ABSOLUTE_POS;
    if place < count as usize {
        // Channels first: neighbours read neighbouring memory where a level keeps its channels side by side.
        let channels = p2.shape(1);
        let channel = place % channels;
        let bin = (place / channels) as u32 % (output * output);
        let region = place / (channels * (output * output) as usize);
        let (by, bx) = (bin / output, bin % output);
        let level = u32::cast_from(regions[region * REGION]);
        let value = if level == 0 {
            pooled_from(p2, regions, region, channel, by, bx, scale2, output, sampling, aligned)
        } else if level == 1 {
            pooled_from(p3, regions, region, channel, by, bx, scale3, output, sampling, aligned)
        } else if level == 2 {
            pooled_from(p4, regions, region, channel, by, bx, scale4, output, sampling, aligned)
        } else {
            pooled_from(p5, regions, region, channel, by, bx, scale5, output, sampling, aligned)
        };
        y[(region * channels + channel) * (output * output) as usize + bin as usize] = value;
    }
}

/// Features of every region, `[R, C, output, output]`.
pub fn forward(levels: [CubeTensor; LEVELS], regions: CubeTensor, options: RoiAlignOptions) -> CubeTensor {
    let [count, _] = dims(&regions);
    let [_, channels, _, _] = dims(&levels[0]);
    let y = empty(&regions, [count, channels, options.output, options.output]);
    if count == 0 {
        return y;
    }
    let [p2, p3, p4, p5] = levels;
    let [scale2, scale3, scale4, scale5] = options.scales;
    let (count, cubes, units) = elementwise(&y);
    forward_kernel::launch(
        &y.client,
        cubes,
        units,
        strided(p2),
        strided(p3),
        strided(p4),
        strided(p5),
        buffer(regions),
        as_it_lies(y.clone()),
        count,
        scale2,
        scale3,
        scale4,
        scale5,
        options.output as u32,
        options.sampling as u32,
        options.aligned,
    );
    y
}

/// How much a place along an axis counts in a bin, times the samples of the bin.
#[cube]
fn weight_at(axis: &Axis, bin: u32, place: u32) -> f32 {
    let mut weight = 0.0f32;
    for sample in 0..axis.sampling {
        let tap = tap(axis, bin, sample);
        weight += select(tap.low == place, tap.weight_low, 0.0f32);
        weight += select(tap.high == place && tap.high != tap.low, tap.weight_high, 0.0f32);
    }
    weight
}

/// Whether samples of an axis can touch the pixels `first..first + TILE`.
#[cube]
fn touches(axis: &Axis, first: u32, #[comptime] output: u32) -> bool {
    let end = axis.start + axis.bin * f32::cast_from(output);
    let last = f32::cast_from(first + TILE);
    let length = f32::cast_from(axis.length);
    // Samples before the first pixel or after the last one count there.
    let begins = min(axis.start, length - 1.0f32);
    begins <= last && max(end, 0.0f32) + 1.0f32 >= f32::cast_from(first)
}

/// Gradient of a level. Every unit owns a pixel in some channels and looks through the regions in order:
/// nothing is added by two at once, so the sums are the same in every run.
#[cube(launch)]
fn backward_kernel(
    regions: &[f32],
    dy: &[f32],
    dx: &mut Tensor<f32>,
    count: u32,
    level: u32,
    scale: f32,
    #[comptime] output: u32,
    #[comptime] sampling: u32,
    #[comptime] aligned: bool,
    #[comptime] at_once: usize,
) {
    let (channels, height, width) = (dx.shape(1), dx.shape(2) as u32, dx.shape(3) as u32);
    let groups = channels.div_ceil(at_once);
    let image = CUBE_POS_Z as usize / groups;
    let first_channel = CUBE_POS_Z as usize % groups * at_once;
    let (first_y, first_x) = (CUBE_POS_Y * TILE, CUBE_POS_X * TILE);
    let (y, x) = (first_y + UNIT_POS_Y, first_x + UNIT_POS_X);
    let bins = (output * output) as usize;
    let mut sums = Array::<f32>::new(at_once);
    #[unroll]
    for k in 0..at_once {
        sums[k] = 0.0f32;
    }
    for region in 0..count as usize {
        let of_level = u32::cast_from(regions[region * REGION]);
        let of_image = u32::cast_from(regions[region * REGION + 1]) as usize;
        if of_level == level && of_image == image {
            let x1 = coordinate(regions, region, 0, scale, aligned);
            let y1 = coordinate(regions, region, 1, scale, aligned);
            let x2 = coordinate(regions, region, 2, scale, aligned);
            let y2 = coordinate(regions, region, 3, scale, aligned);
            let rows = axis(y1, y2, height, output, sampling, aligned);
            let columns = axis(x1, x2, width, output, sampling, aligned);
            if touches(&rows, first_y, output) && touches(&columns, first_x, output) {
                let samples = f32::cast_from(max(rows.sampling * columns.sampling, 1u32));
                for by in 0..output {
                    let of_row = weight_at(&rows, by, y) / samples;
                    if of_row != 0.0f32 {
                        for bx in 0..output {
                            let weight = of_row * weight_at(&columns, bx, x);
                            if weight != 0.0f32 {
                                let bin = (by * output + bx) as usize;
                                #[unroll]
                                for k in 0..at_once {
                                    let channel = first_channel + k;
                                    if channel < channels {
                                        sums[k] += weight * dy[(region * channels + channel) * bins + bin];
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    if y < height && x < width {
        #[unroll]
        for k in 0..at_once {
            let channel = first_channel + k;
            if channel < channels {
                let plane = image * dx.stride(0) + channel * dx.stride(1);
                let place = plane + y as usize * dx.stride(2) + x as usize * dx.stride(3);
                dx[place] = sums[k];
            }
        }
    }
}

/// Gradient of every level.
pub fn backward(
    shapes: [[usize; 4]; LEVELS],
    regions: CubeTensor,
    dy: CubeTensor,
    options: RoiAlignOptions,
) -> [CubeTensor; LEVELS] {
    let [count, _] = dims(&regions);
    let (regions, dy) = (into_contiguous(regions), into_contiguous(dy));
    std::array::from_fn(|level| {
        let [images, channels, height, width] = shapes[level];
        let dx = empty(&dy, shapes[level]);
        let tiles = |side: usize| side.div_ceil(TILE as usize) as u32;
        let cubes =
            CubeCount::Static(tiles(width), tiles(height), (images * channels.div_ceil(CHANNELS)) as u32);
        backward_kernel::launch(
            &dx.client,
            cubes,
            CubeDim::new_2d(TILE, TILE),
            buffer(regions.clone()),
            buffer(dy.clone()),
            strided(dx.clone()),
            count as u32,
            level as u32,
            options.scales[level],
            options.output as u32,
            options.sampling as u32,
            options.aligned,
            CHANNELS,
        );
        dx
    })
}
