//! A mask prepared for many overlaps.

use crate::{Rle, Size, rle::bounds};

/// Most runs in one column for which runs are also kept as whole columns.
const MAX_LAYERS: usize = 4;

/// A mask with its area, its box and the positions of its runs, made once and compared with many others.
///
/// Masks of few runs a column, as nearly all are, also keep the first, second, … run of each column as two
/// arrays, top and bottom. The overlap of two such arrays is a minimum, a maximum and a difference a column,
/// eight columns at once.
#[derive(Debug, Clone)]
pub struct Spans {
    size: Size,
    area: u32,
    bbox: [u32; 4],
    toggles: Vec<u32>,
    layers: Vec<Layer>,
}

/// One run of each column from the box's left side on; where there is none, top and bottom are 0.
#[derive(Debug, Clone)]
struct Layer {
    top: Vec<i16>,
    bottom: Vec<i16>,
}

impl Spans {
    /// Prepares a mask. O(runs + columns).
    pub fn new(mask: &Rle) -> Self {
        Self::from_toggles(mask.size(), mask.toggles())
    }

    pub(crate) fn from_toggles(size: Size, toggles: Vec<u32>) -> Self {
        let (spans, _) = toggles.as_chunks::<2>();
        let area = spans.iter().map(|[start, end]| end - start).sum();
        let bbox = bounds(&toggles, size);
        let layers = layers(size, spans, bbox).unwrap_or_default();
        Self { size, area, bbox, toggles, layers }
    }

    /// Size of the image.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Pixels inside.
    pub fn area(&self) -> u32 {
        self.area
    }

    /// The tightest box as x, y, width, height; all 0 for an empty mask.
    pub fn bbox(&self) -> [u32; 4] {
        self.bbox
    }

    /// Where inside begins and ends in turn.
    pub(crate) fn toggles(&self) -> &[u32] {
        &self.toggles
    }

    /// Pixels in both masks, which must be of one size. O(columns in common) or, with many runs a column,
    /// O(runs in the columns in common); O(1) where the boxes are apart.
    pub fn intersection(&self, other: &Self) -> u32 {
        debug_assert_eq!(self.size, other.size);
        let ([x1, y1, w1, h1], [x2, y2, w2, h2]) = (self.bbox, other.bbox);
        let (left, right) = (x1.max(x2), (x1 + w1).min(x2 + w2));
        if left >= right || y1.max(y2) >= (y1 + h1).min(y2 + h2) {
            return 0;
        }
        if self.layers.is_empty() || other.layers.is_empty() {
            let height = self.size.height();
            return common(
                within(&self.toggles, left * height, right * height),
                within(&other.toggles, left * height, right * height),
            );
        }
        let part = |x: u32| (left - x) as usize..(right - x) as usize;
        let (mine, others) = (part(x1), part(x2));
        let pairs = self.layers.iter().flat_map(|a| other.layers.iter().map(move |b| (a, b)));
        pairs.map(|(a, b)| columns_in_common(a, mine.clone(), b, others.clone())).sum()
    }
}

/// Runs as layers of whole columns; `None` where a column has too many, or rows are not 16-bit numbers.
fn layers(size: Size, spans: &[[u32; 2]], [left, _, width, _]: [u32; 4]) -> Option<Vec<Layer>> {
    i16::try_from(size.height()).ok()?;
    i16::try_from(size.width()).ok()?;
    let (height, width) = (size.height(), width as usize);
    let mut layers: Vec<Layer> = Vec::new();
    let (mut column, mut begin, mut level) = (0, left * height, 0);
    for &[mut start, end] in spans {
        if start - begin >= height {
            // Nearly always the next column; a division takes as long as all the rest.
            let ahead = if start - begin < 2 * height { 1 } else { (start - begin) / height };
            column += ahead as usize;
            begin += ahead * height;
            level = 0;
        }
        loop {
            if level == layers.len() {
                if level == MAX_LAYERS {
                    return None;
                }
                layers.push(Layer { top: vec![0; width], bottom: vec![0; width] });
            }
            layers[level].top[column] = (start - begin) as i16;
            layers[level].bottom[column] = (end - begin).min(height) as i16;
            if end - begin <= height {
                break;
            }
            column += 1;
            begin += height;
            start = begin;
            level = 0;
        }
        level += 1;
    }
    Some(layers)
}

fn columns_in_common(
    a: &Layer,
    mine: std::ops::Range<usize>,
    b: &Layer,
    others: std::ops::Range<usize>,
) -> u32 {
    let tops = a.top[mine.clone()].iter().zip(&b.top[others.clone()]);
    let bottoms = a.bottom[mine].iter().zip(&b.bottom[others]);
    // Rows are from 0 to 32,767, so differences fit.
    let rows =
        |((&t1, &t2), (&b1, &b2)): ((&i16, &i16), (&i16, &i16))| b1.min(b2).wrapping_sub(t1.max(t2)).max(0);
    tops.zip(bottoms).map(rows).fold(0_u32, |sum, rows| sum.wrapping_add(rows as u32))
}

/// The pairs of toggles that reach into a range of positions.
fn within(toggles: &[u32], start: u32, end: u32) -> &[[u32; 2]] {
    let (spans, _) = toggles.as_chunks::<2>();
    let first = spans.partition_point(|span| span[1] <= start);
    let last = spans.partition_point(|span| span[0] < end);
    &spans[first..last]
}

/// Positions in both of two lists of runs.
fn common(a: &[[u32; 2]], b: &[[u32; 2]]) -> u32 {
    let (mut i, mut j, mut sum) = (0, 0, 0);
    while let (Some(&[start1, end1]), Some(&[start2, end2])) = (a.get(i), b.get(j)) {
        sum += end1.min(end2).saturating_sub(start1.max(start2));
        // Without a branch: which list ends first cannot be predicted.
        i += usize::from(end1 <= end2);
        j += usize::from(end2 <= end1);
    }
    sum
}
