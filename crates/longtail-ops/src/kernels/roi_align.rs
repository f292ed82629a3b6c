//! RoIAlign over a feature pyramid (He et al., Mask R-CNN, ICCV 2017): the mean of bilinear samples in each
//! bin.

use rayon::prelude::*;

use super::SharedSlice;

/// Number of pyramid levels that RoIs are read from: P2 to P5.
pub const LEVELS: usize = 4;

/// Settings of RoIAlign.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RoiAlignOptions {
    /// Bins along each side.
    pub output: usize,
    /// Samples along each side of a bin; 0: as many as the bin has feature pixels.
    pub sampling: usize,
    /// Shift by half a pixel, so that pixel centres lie at integer coordinates (`aligned` in torchvision).
    /// The detectors of the published tables were trained without.
    pub aligned: bool,
    /// Feature pixels per image pixel of each level: 1/4, 1/8, 1/16, 1/32 for P2 to P5.
    pub scales: [f32; LEVELS],
}

/// Shape of one level: images, channels, height, width.
pub type LevelShape = [usize; 4];

/// A region: its level, its image and its box in image pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// Level, `0..LEVELS`.
    pub level: usize,
    /// Image of the batch.
    pub image: usize,
    /// x1, y1, x2, y2 in image pixels.
    pub xyxy: [f32; 4],
}

impl Region {
    /// Reads rows of level, image, x1, y1, x2, y2.
    pub fn from_rows(rows: &[f32]) -> Vec<Self> {
        rows.chunks_exact(6)
            .map(|r| Self { level: r[0] as usize, image: r[1] as usize, xyxy: [r[2], r[3], r[4], r[5]] })
            .collect()
    }
}

/// A bilinear sample along one axis: two neighbours with their weights.
#[derive(Clone, Copy)]
struct Tap {
    low: usize,
    high: usize,
    weight_low: f32,
    weight_high: f32,
}

/// Samples of all bins along one axis.
struct Axis {
    taps: Vec<Tap>,
    /// Samples of a bin.
    sampling: usize,
}

impl Axis {
    /// Samples of each bin in turn.
    fn bins(&self) -> std::slice::ChunksExact<'_, Tap> {
        self.taps.chunks_exact(self.sampling)
    }
}

/// Samples of all bins along one axis. Outside by more than a pixel a sample is zero, within it the border
/// counts.
fn axis(start: f32, size: f32, length: usize, options: &RoiAlignOptions) -> Axis {
    let bin = size / options.output as f32;
    let sampling = match options.sampling {
        // A box without a side has none: its sample counts nothing.
        0 if bin <= 0.0 => {
            let none = Tap { low: 0, high: 0, weight_low: 0.0, weight_high: 0.0 };
            return Axis { taps: vec![none; options.output], sampling: 1 };
        }
        0 => (bin.ceil() as usize).clamp(1, length.max(1)),
        fixed => fixed,
    };
    let taps = (0..options.output * sampling)
        .map(|i| {
            let (index, sample) = (i / sampling, i % sampling);
            let place = start + index as f32 * bin + (sample as f32 + 0.5) * bin / sampling as f32;
            if place < -1.0 || place > length as f32 {
                return Tap { low: 0, high: 0, weight_low: 0.0, weight_high: 0.0 };
            }
            let place = place.max(0.0);
            let low = place as usize;
            if low >= length - 1 {
                return Tap { low: length - 1, high: length - 1, weight_low: 1.0, weight_high: 0.0 };
            }
            let weight_high = place - low as f32;
            Tap { low, high: low + 1, weight_low: 1.0 - weight_high, weight_high }
        })
        .collect();
    Axis { taps, sampling }
}

/// Samples of a region along y and x.
fn region_taps(region: &Region, shape: LevelShape, options: &RoiAlignOptions) -> (Axis, Axis) {
    let scale = options.scales[region.level];
    let offset = if options.aligned { 0.5 } else { 0.0 };
    let [x1, y1, x2, y2] = region.xyxy.map(|v| v * scale - offset);
    // Without the half pixel a region counts as at least one feature pixel, as the original did.
    let least = if options.aligned { 0.0 } else { 1.0 };
    let (width, height) = ((x2 - x1).max(least), (y2 - y1).max(least));
    (axis(y1, height, shape[2], options), axis(x1, width, shape[3], options))
}

/// Features of every region, `[R, C, output, output]`.
pub fn forward(
    levels: [&[f32]; LEVELS],
    shapes: [LevelShape; LEVELS],
    regions: &[Region],
    options: &RoiAlignOptions,
) -> Vec<f32> {
    let channels = shapes[0][1];
    let output = options.output;
    let bins = output * output;
    let mut pooled = vec![0.0; regions.len() * channels * bins];
    pooled.par_chunks_mut(channels * bins).zip(regions).for_each(|(pooled, region)| {
        let shape = shapes[region.level];
        let plane = shape[2] * shape[3];
        let (rows, columns) = region_taps(region, shape, options);
        let mean = 1.0 / (rows.sampling * columns.sampling) as f32;
        let image = &levels[region.level][region.image * channels * plane..][..channels * plane];
        for (x, pooled) in image.chunks_exact(plane).zip(pooled.chunks_exact_mut(bins)) {
            for (by, rows) in rows.bins().enumerate() {
                for (bx, columns) in columns.bins().enumerate() {
                    let mut total = 0.0;
                    for row in rows {
                        let (low, high) = (&x[row.low * shape[3]..], &x[row.high * shape[3]..]);
                        for column in columns {
                            let at = |line: &[f32]| {
                                line[column.low] * column.weight_low + line[column.high] * column.weight_high
                            };
                            total += row.weight_low * at(low) + row.weight_high * at(high);
                        }
                    }
                    pooled[by * output + bx] = total * mean;
                }
            }
        }
    });
    pooled
}

/// Gradient of every level. A task owns a block of channels of one image of one level and walks its regions
/// in order.
pub fn backward(
    shapes: [LevelShape; LEVELS],
    regions: &[Region],
    gradient: &[f32],
    options: &RoiAlignOptions,
) -> [Vec<f32>; LEVELS] {
    let channels = shapes[0][1];
    let output = options.output;
    let bins = output * output;
    let block = channels.div_ceil(4).max(1);
    let blocks = channels.div_ceil(block);
    let samples: Vec<_> =
        regions.par_iter().map(|region| region_taps(region, shapes[region.level], options)).collect();
    std::array::from_fn(|level| {
        let shape = shapes[level];
        let plane = shape[2] * shape[3];
        let mut dx = vec![0.0; shape.iter().product()];
        let shared = SharedSlice::new(&mut dx);
        (0..shape[0] * blocks).into_par_iter().for_each(|task| {
            let (image, first) = (task / blocks, task % blocks * block);
            let last = (first + block).min(channels);
            // SAFETY: each task owns its channels of its image.
            let dx = unsafe { shared.range((image * channels + first) * plane, (last - first) * plane) };
            let mine = regions.iter().enumerate().filter(|(_, r)| r.level == level && r.image == image);
            for (index, _) in mine {
                let (rows, columns) = &samples[index];
                let mean = 1.0 / (rows.sampling * columns.sampling) as f32;
                let gradient = &gradient[(index * channels + first) * bins..(index * channels + last) * bins];
                for (dx, gradient) in dx.chunks_exact_mut(plane).zip(gradient.chunks_exact(bins)) {
                    for (by, rows) in rows.bins().enumerate() {
                        for (bx, columns) in columns.bins().enumerate() {
                            let share = gradient[by * output + bx] * mean;
                            for row in rows {
                                for (line, weight) in [(row.low, row.weight_low), (row.high, row.weight_high)]
                                {
                                    let line = &mut dx[line * shape[3]..];
                                    for column in columns {
                                        line[column.low] += share * weight * column.weight_low;
                                        line[column.high] += share * weight * column.weight_high;
                                    }
                                }
                            }
                        }
                    }
                }
            }
        });
        dx
    })
}
