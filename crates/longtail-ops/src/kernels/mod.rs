//! The arithmetic of the operations on plain `f32` slices. Every function splits its work by shapes, never by
//! the number of threads, so that results are the same bits on 1 thread and on 64.

use std::marker::PhantomData;

use longtail_loss::numerics::lane_sums;
pub(crate) use longtail_loss::numerics::vectorised;

mod channels_last;
pub mod conv;
pub mod conv_shape;
pub mod depthwise;
pub mod inverted_residual;
pub mod norm;
mod product;
pub mod roi_align;
mod transpose;

/// A slice that parallel tasks write to in ranges of their own.
pub(crate) struct SharedSlice<'a> {
    start: *mut f32,
    length: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

// SAFETY: access goes through unsafe methods whose callers promise disjoint ranges.
unsafe impl Send for SharedSlice<'_> {}
// SAFETY: as above.
unsafe impl Sync for SharedSlice<'_> {}

impl<'a> SharedSlice<'a> {
    pub(crate) fn new(slice: &'a mut [f32]) -> Self {
        Self { start: slice.as_mut_ptr(), length: slice.len(), lifetime: PhantomData }
    }

    /// Room for `length` values behind those of a vector, to be written before they are read and before the
    /// vector is told of them.
    pub(crate) fn room(vector: &'a mut Vec<f32>, length: usize) -> Self {
        vector.reserve(length);
        let start = vector.spare_capacity_mut().as_mut_ptr().cast();
        Self { start, length, lifetime: PhantomData }
    }

    /// Writes values from `start` on.
    ///
    /// # Safety
    /// No other task may touch them meanwhile.
    #[inline(always)]
    pub(crate) unsafe fn write<const COUNT: usize>(&self, start: usize, values: [f32; COUNT]) {
        assert!(start + COUNT <= self.length, "range {start}+{COUNT} of {}", self.length);
        // SAFETY: inside the buffer; alone by the caller's promise.
        unsafe { self.start.add(start).cast::<[f32; COUNT]>().write_unaligned(values) };
    }

    /// The range `start..start + length`, which holds values.
    ///
    /// # Safety
    /// No other task may touch the range while the result lives.
    // The point of the type is to hand out disjoint ranges of one buffer.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn range(&self, start: usize, length: usize) -> &mut [f32] {
        assert!(start + length <= self.length, "range {start}+{length} of {}", self.length);
        // SAFETY: inside the buffer; disjoint by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), length) }
    }

    /// A pointer to `start`, for matrix products that write rows with a stride.
    ///
    /// # Safety
    /// As [`Self::range`], for everything written through the pointer.
    pub(crate) unsafe fn from(&self, start: usize) -> *mut f32 {
        assert!(start <= self.length);
        // SAFETY: inside the buffer.
        unsafe { self.start.add(start) }
    }
}

/// Sum by [`lane_sums`].
#[inline(always)]
pub(crate) fn sum(values: &[f32]) -> f32 {
    let (lanes, rest) = lane_sums(values, |value| value);
    lanes.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

/// Sum of products, in the order of [`sum`].
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 16];
    let (a_chunks, b_chunks) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += x * y;
        }
    }
    lanes.iter().sum::<f32>() + rest
}
