//! Depthwise convolution and affine map of planes that lie channels last: a vector holds the channels of one
//! position, so that narrow planes fill it too and no tap reads across cache lines.

use std::ops::Range;

use super::{
    SharedSlice,
    conv_shape::ConvShape,
    norm::{Affine, clamp},
    transpose::transpose,
};

/// Channels of a vector of the widest machines.
pub(super) const LANES: usize = 16;

/// Output columns that are summed side by side, so that no sum waits for the one before.
const WIDE: usize = 4;

/// The rows `channels` of `weight [C, inputs]` as `[inputs, lanes]`, which a product reads as it lies.
pub(super) fn laned<'a>(
    weight: &[f32],
    inputs: usize,
    channels: &Range<usize>,
    room: &'a mut Vec<f32>,
) -> &'a [f32] {
    let weight = &weight[channels.start * inputs..channels.end * inputs];
    let lanes = channels.len().next_multiple_of(LANES);
    let length = inputs * lanes;
    room.clear();
    if lanes > channels.len() {
        room.resize(length, 0.0);
    }
    room.reserve(length - room.len());
    // SAFETY: the weights are [channels, inputs] row by row; what is not written of the room holds zeros.
    unsafe {
        transpose([channels.len(), inputs], weight.as_ptr(), inputs, room.as_mut_ptr(), lanes);
        room.set_len(length);
    }
    room
}

/// The affine map of some channels, with zeros for lanes that hold none.
pub(super) struct Laned {
    scale: Vec<f32>,
    shift: Vec<f32>,
    range: (f32, f32),
}

impl Laned {
    pub(super) fn new(affine: Affine<'_>, channels: &Range<usize>, lanes: usize) -> Self {
        let whole = |values: &[f32]| {
            let mut whole = values[channels.clone()].to_vec();
            whole.resize(lanes, 0.0);
            whole
        };
        Self { scale: whole(affine.scale), shift: whole(affine.shift), range: affine.activation.range() }
    }

    /// The map of a vector from lane `lane` on.
    #[inline(always)]
    fn vector(&self, lane: usize, mut values: [f32; LANES]) -> [f32; LANES] {
        let (scale, shift) = (vector(&self.scale, lane), vector(&self.shift, lane));
        for ((value, scale), shift) in values.iter_mut().zip(scale).zip(shift) {
            *value = clamp(*value * scale + shift, self.range);
        }
        values
    }

    /// Applied to rows of lanes.
    #[inline(always)]
    pub(super) fn apply(&self, values: &mut [f32]) {
        for row in values.chunks_exact_mut(self.scale.len()) {
            for (index, values) in row.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                *values = self.vector(index * LANES, *values);
            }
        }
    }
}

/// Where the channels of a row's positions go.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub to: &'a SharedSlice<'a>,
    /// Of the first position.
    pub start: usize,
    /// From a position to the next.
    pub stride: usize,
}

/// A depthwise convolution of some channels, channels last.
pub(super) struct Depthwise<'a> {
    shape: &'a ConvShape,
    lanes: usize,
    /// `[kh · kw, lanes]`.
    taps: Vec<f32>,
    then: Laned,
}

impl<'a> Depthwise<'a> {
    pub(super) fn new(
        shape: &'a ConvShape,
        weight: &[f32],
        then: Affine<'_>,
        channels: &Range<usize>,
        lanes: usize,
    ) -> Self {
        let area = shape.kernel_area();
        let mut taps = vec![0.0; area * lanes];
        for (lane, channel) in channels.clone().enumerate() {
            for (tap, weight) in weight[channel * area..(channel + 1) * area].iter().enumerate() {
                taps[tap * lanes + lane] = *weight;
            }
        }
        Self { shape, lanes, taps, then: Laned::new(then, channels, lanes) }
    }

    /// Output row `row` from `values [H, W, lanes]`.
    ///
    /// # Safety
    /// Nobody else writes the lanes of `line`.
    #[inline(always)]
    pub(super) unsafe fn row(&self, row: usize, values: &[f32], line: Line<'_>) {
        let ([height, side], [kh, kw], [down, right]) =
            (self.shape.size, self.shape.kernel, self.shape.stride);
        let ([above, left], width) = (self.shape.padding, self.shape.output_size()[1]);
        // Taps inside the plane, of this row and of a column.
        let rows = above.saturating_sub(row * down)..kh.min(height + above - row * down);
        let columns =
            |column: usize| left.saturating_sub(column * right)..kw.min(side + left - column * right);
        // Columns whose taps all are.
        let first = left.div_ceil(right).min(width);
        let last = (side + left).checked_sub(kw).map_or(0, |room| room / right + 1).clamp(first, width);
        for column in (0..first).chain(last..width) {
            self.columns::<1>(row, column, rows.clone(), columns(column), values, line);
        }
        let wide = if last - first >= WIDE { WIDE } else { 1 };
        for column in (first..last).step_by(wide) {
            // The last ones of a row are computed again where they fill no block.
            let column = column.min(last - wide);
            if wide == WIDE {
                self.columns::<WIDE>(row, column, rows.clone(), 0..kw, values, line);
            } else {
                self.columns::<1>(row, column, rows.clone(), 0..kw, values, line);
            }
        }
    }

    /// `COUNT` neighbouring columns of a row that have the same taps.
    #[inline(always)]
    fn columns<const COUNT: usize>(
        &self,
        row: usize,
        column: usize,
        rows: Range<usize>,
        columns: Range<usize>,
        values: &[f32],
        line: Line<'_>,
    ) {
        let ([_, side], [down, right], [above, left]) =
            (self.shape.size, self.shape.stride, self.shape.padding);
        let (lanes, kernel) = (self.lanes, self.shape.kernel[1]);
        let step = right * lanes;
        let first = (row * down + rows.start - above) * side + column * right + columns.start - left;
        let last = first + (rows.len() - 1) * side + columns.len() - 1 + (COUNT - 1) * right;
        assert!((last + 1) * lanes <= values.len() && rows.end * kernel * lanes <= self.taps.len());
        assert!(columns.end <= kernel && !rows.is_empty() && !columns.is_empty());
        assert!(lanes.is_multiple_of(LANES));
        for lane in (0..lanes).step_by(LANES) {
            let mut sums = [[0.0; LANES]; COUNT];
            let mut place = first * lanes + lane;
            let mut tap = (rows.start * kernel + columns.start) * lanes + lane;
            for _ in rows.clone() {
                let (mut value, mut weight) = (place, tap);
                for _ in columns.clone() {
                    // SAFETY: inside by the assertions above.
                    let weights = unsafe { vector_unchecked(&self.taps, weight) };
                    for (index, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: as above.
                        let values = unsafe { vector_unchecked(values, value + index * step) };
                        for ((sum, weight), value) in sums.iter_mut().zip(weights).zip(values) {
                            *sum += weight * value;
                        }
                    }
                    value += lanes;
                    weight += lanes;
                }
                place += side * lanes;
                tap += kernel * lanes;
            }
            for (index, sums) in sums.into_iter().enumerate() {
                let start = line.start + (column + index) * line.stride + lane;
                // SAFETY: by the promise of the caller of `row`.
                unsafe { line.to.write(start, self.then.vector(lane, sums)) };
            }
        }
    }
}

/// The vector that begins at `start`.
#[inline(always)]
fn vector(values: &[f32], start: usize) -> &[f32; LANES] {
    values[start..].first_chunk().expect("slices hold whole vectors")
}

/// The vector that begins at `start`.
///
/// # Safety
/// All of it lies in the slice.
#[inline(always)]
unsafe fn vector_unchecked(values: &[f32], start: usize) -> &[f32; LANES] {
    debug_assert!(start + LANES <= values.len());
    // SAFETY: by the caller's promise.
    unsafe { &*values.as_ptr().add(start).cast() }
}
