//! Masks as runs down the columns of an image.

use crate::{MaskError, Size};

/// A mask as COCO's run-length code: lengths of runs outside and inside in turn, the first outside, down the
/// columns from left to right. Pixel (x, y) has position `x * height + y`.
///
/// The counts always add up to the image's pixels. Runs of length 0 are kept as they were given, so that text
/// read and written again is the same text; [`Rle::is_canonical`] says whether there are any besides a first
/// one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rle {
    size: Size,
    counts: Vec<u32>,
}

impl Rle {
    /// Uncompressed counts.
    ///
    /// # Errors
    /// If there are no counts, or they do not add up to the image's pixels.
    pub fn new(size: Size, counts: Vec<u32>) -> Result<Self, MaskError> {
        if counts.is_empty() {
            return Err(MaskError::NoCounts);
        }
        let mut sum = 0_u64;
        for (run, &count) in counts.iter().enumerate() {
            sum += u64::from(count);
            if sum > size.pixels().into() {
                return Err(MaskError::CountsOverrun { size, run, end: sum });
            }
        }
        if sum < size.pixels().into() {
            return Err(MaskError::CountsShort { size, sum });
        }
        Ok(Self { size, counts })
    }

    /// A mask without a pixel.
    pub fn empty(size: Size) -> Self {
        Self { size, counts: vec![size.pixels()] }
    }

    /// From the positions at which outside and inside change, strictly increasing. The image's end may be
    /// among them.
    pub(crate) fn from_toggles(size: Size, toggles: impl Iterator<Item = u32>) -> Self {
        let mut counts = Vec::with_capacity(toggles.size_hint().0 + 1);
        let mut last = 0;
        for toggle in toggles {
            counts.push(toggle - last);
            last = toggle;
        }
        if last < size.pixels() || counts.is_empty() {
            counts.push(size.pixels() - last);
        }
        Self { size, counts }
    }

    /// From counts that are known to fit.
    pub(crate) fn from_counts(size: Size, counts: Vec<u32>) -> Self {
        debug_assert_eq!(counts.iter().map(|&c| u64::from(c)).sum::<u64>(), u64::from(size.pixels()));
        Self { size, counts }
    }

    /// Size of the image.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Lengths of the runs in pixels, the first of them outside.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Whether no run but the first has length 0; so are all masks that this crate encodes or rasterises.
    pub fn is_canonical(&self) -> bool {
        self.counts[1..].iter().all(|&count| count > 0)
    }

    /// Pixels inside. O(runs).
    pub fn area(&self) -> u32 {
        self.counts.iter().skip(1).step_by(2).sum()
    }

    /// The tightest box as x, y, width, height in whole pixels; all 0 for an empty mask. O(runs).
    ///
    /// The reference gives sides of about 2³² for a mask whose runs inside all have length 0; this is 0, 0,
    /// 0, 0 here.
    pub fn to_bbox(&self) -> [u32; 4] {
        bounds(&self.toggles(), self.size)
    }

    /// Where inside begins and ends in turn, strictly increasing: one pair for each run inside that has
    /// pixels, joined where nothing lies between.
    pub(crate) fn toggles(&self) -> Vec<u32> {
        let mut toggles = Toggles::with_capacity(self.counts.len());
        self.counts.iter().for_each(|&count| toggles.run(count));
        toggles.finish()
    }
}

/// Makes toggles of runs, the first outside.
pub(crate) struct Toggles {
    found: Vec<u32>,
    at: u32,
    inside: bool,
}

impl Toggles {
    /// For some number of runs.
    pub(crate) fn with_capacity(runs: usize) -> Self {
        Self { found: Vec::with_capacity(runs + 1), at: 0, inside: false }
    }

    /// The next run; together they are no longer than an image.
    #[inline]
    pub(crate) fn run(&mut self, count: u32) {
        if self.inside && count > 0 {
            match self.found.last_mut() {
                Some(end) if *end == self.at => *end = self.at + count,
                _ => self.found.extend([self.at, self.at + count]),
            }
        }
        self.at += count;
        self.inside = !self.inside;
    }

    pub(crate) fn finish(self) -> Vec<u32> {
        self.found
    }
}

/// Box around pairs of toggles.
pub(crate) fn bounds(toggles: &[u32], size: Size) -> [u32; 4] {
    let (spans, _) = toggles.as_chunks::<2>();
    let (Some([first, _]), Some([_, last])) = (spans.first(), spans.last()) else { return [0; 4] };
    let height = size.height();
    let left = first / height;
    let mut begin = left * height;
    let (mut top, mut bottom) = (height, 0);
    for &[start, end] in spans {
        if start - begin >= height {
            begin = column_begin(start, begin, height);
        }
        let (start, end) = (start - begin, end - begin);
        if end > height {
            // A run over the end of a column holds a last row and a first one.
            (top, bottom) = (0, height);
            break;
        }
        top = top.min(start);
        bottom = bottom.max(end);
    }
    [left, top, (last - 1) / height - left + 1, bottom - top]
}

/// The first position of a later column. That is nearly always the next, and a division takes long.
fn column_begin(position: u32, begin: u32, height: u32) -> u32 {
    if position - begin < 2 * height { begin + height } else { position / height * height }
}

/// Runs cut at the columns' ends, as column, first row and row behind the last.
pub(crate) fn column_pieces(size: Size, spans: &[[u32; 2]]) -> impl Iterator<Item = [u32; 3]> {
    let height = size.height();
    let mut column = 0;
    spans.iter().flat_map(move |&[start, end]| {
        if start - column * height >= height {
            column = start / height;
        }
        let first = column;
        let columns = (end - 1 - first * height) / height + 1;
        (first..first + columns).map(move |column| {
            let left = column * height;
            [column, start.max(left) - left, (end - left).min(height)]
        })
    })
}

/// How many pieces [`column_pieces`] gives.
pub(crate) fn pieces(size: Size, spans: &[[u32; 2]]) -> u64 {
    spans.iter().map(|&[start, end]| u64::from((end - 1) / size.height() - start / size.height()) + 1).sum()
}
