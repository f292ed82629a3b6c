//! What is kept of a picture to find it again.

use fast_image_resize::{
    FilterType, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::U8x3,
};
use xxhash_rust::xxh3::Xxh3;

use super::hash::{PerceptualHash, SIDE};
use longtail_data::RgbImage;

/// Side of the grey picture that crops are cut from.
const PLANE: usize = 64;
/// Parts of a picture that a copy of it may have lost, left, top, right, bottom: all sides, one side, two
/// opposite ones, a corner. A crop between two of them is found by the nearer.
const CROPS: [[f32; 4]; 25] = {
    let (a, b) = (0.06, 0.12);
    [
        [0.0, 0.0, 0.0, 0.0],
        [0.03, 0.03, 0.03, 0.03],
        [0.06, 0.06, 0.06, 0.06],
        [0.09, 0.09, 0.09, 0.09],
        [0.12, 0.12, 0.12, 0.12],
        [a, 0.0, 0.0, 0.0],
        [b, 0.0, 0.0, 0.0],
        [0.0, a, 0.0, 0.0],
        [0.0, b, 0.0, 0.0],
        [0.0, 0.0, a, 0.0],
        [0.0, 0.0, b, 0.0],
        [0.0, 0.0, 0.0, a],
        [0.0, 0.0, 0.0, b],
        [a, 0.0, a, 0.0],
        [b, 0.0, b, 0.0],
        [0.0, a, 0.0, a],
        [0.0, b, 0.0, b],
        [a, a, 0.0, 0.0],
        [b, b, 0.0, 0.0],
        [0.0, a, a, 0.0],
        [0.0, b, b, 0.0],
        [0.0, 0.0, a, a],
        [0.0, 0.0, b, b],
        [a, 0.0, 0.0, a],
        [b, 0.0, 0.0, b],
    ]
};
/// The crops and the mirrored picture.
pub(super) const VIEWS: usize = CROPS.len() + 1;
const MIRRORED: usize = VIEWS - 1;
/// Standard deviation of grey values below which a picture shows nothing.
const FLAT: f32 = 2.0;

/// Hashes of a picture and of what copies of it may look like, and a small grey picture to compare: 1.3 kB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// A hash of size and pixels: equal where every pixel is.
    pub pixels: u128,
    /// Hash of the whole picture.
    pub hash: PerceptualHash,
    /// Of each view; the first is the whole picture.
    pub(super) views: [PerceptualHash; VIEWS],
    /// 32 × 32 grey pixels.
    thumbnail: Box<[u8]>,
}

impl Fingerprint {
    /// Of a picture with at least one pixel; others have that of a black pixel.
    pub fn of(image: &RgbImage) -> Self {
        let mut exact = Xxh3::new();
        exact.update(&image.width.to_le_bytes());
        exact.update(&image.height.to_le_bytes());
        exact.update(&image.pixels);
        let plane = plane(image).unwrap_or_else(|| vec![0.0; PLANE * PLANE]);
        let views = std::array::from_fn(|view| PerceptualHash::of(&look(&plane, PLANE, view)));
        let thumbnail = look(&plane, PLANE, 0).iter().map(|value| value.round() as u8).collect();
        Self { pixels: exact.digest128(), hash: views[0], views, thumbnail }
    }

    /// How alike a view of this picture and the other one are: the correlation of their grey pixels, -1 to 1.
    /// Of pictures that show nothing: 1 if they are equally bright, else 0.
    pub(super) fn likeness(&self, view: usize, other: &Self) -> f32 {
        let grey =
            |thumbnail: &[u8]| -> Vec<f32> { thumbnail.iter().map(|&value| f32::from(value)).collect() };
        let mine = look(&grey(&self.thumbnail), SIDE, view);
        let theirs = grey(&other.thumbnail);
        let count = (SIDE * SIDE) as f32;
        let mean = |values: &[f32]| values.iter().sum::<f32>() / count;
        let (a, b) = (mean(&mine), mean(&theirs));
        let mut sums = [0.0; 3];
        for (x, y) in mine.iter().zip(&theirs) {
            let (x, y) = (x - a, y - b);
            sums[0] += x * x;
            sums[1] += y * y;
            sums[2] += x * y;
        }
        let flat = sums.map(|sum| sum < FLAT * FLAT * count);
        match (flat[0], flat[1]) {
            (true, true) => f32::from(u8::from((a - b).abs() < FLAT)),
            (false, false) => sums[2] / (sums[0] * sums[1]).sqrt(),
            _ => 0.0,
        }
    }
}

/// A picture as 64 × 64 grey pixels, each the mean of what it covers.
fn plane(image: &RgbImage) -> Option<Vec<f32>> {
    let source = TypedImageRef::<U8x3>::from_buffer(image.width, image.height, &image.pixels).ok()?;
    let mut pixels = vec![0; PLANE * PLANE * 3];
    let mut small = TypedImage::<U8x3>::from_buffer(PLANE as u32, PLANE as u32, &mut pixels).ok()?;
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Box));
    Resizer::new().resize_typed(&source, &mut small, &options).ok()?;
    let (pixels, _) = pixels.as_chunks::<3>();
    let luma = |[r, g, b]: &[u8; 3]| 0.299 * f32::from(*r) + 0.587 * f32::from(*g) + 0.114 * f32::from(*b);
    Some(pixels.iter().map(luma).collect())
}

/// 32 × 32 pixels of a view of a square picture.
fn look(plane: &[f32], side: usize, view: usize) -> Vec<f32> {
    let [left, top, right, bottom] = if view == MIRRORED { [0.0; 4] } else { CROPS[view] };
    // Four samples a pixel, so that nothing of a plane of twice the size is left out.
    let axis = |before: f32, after: f32, mirror: bool| -> Vec<(usize, f32)> {
        let last = side as f32 - 1.0;
        let samples = 2 * SIDE;
        let place = |sample: usize| {
            let sample = if mirror { samples - 1 - sample } else { sample };
            let unit = before + (sample as f32 + 0.5) / samples as f32 * (1.0 - before - after);
            let place = (unit * side as f32 - 0.5).clamp(0.0, last);
            let whole = place.floor().min(last - 1.0);
            (whole as usize, place - whole)
        };
        (0..samples).map(place).collect()
    };
    let (columns, rows) = (axis(left, right, view == MIRRORED), axis(top, bottom, false));
    let mut seen = vec![0.0; SIDE * SIDE];
    for (sample_y, &(y, down)) in rows.iter().enumerate() {
        let (upper, lower) = (&plane[y * side..(y + 1) * side], &plane[(y + 1) * side..(y + 2) * side]);
        let row = &mut seen[sample_y / 2 * SIDE..][..SIDE];
        for (sample_x, &(x, along)) in columns.iter().enumerate() {
            let above = upper[x] + along * (upper[x + 1] - upper[x]);
            let below = lower[x] + along * (lower[x + 1] - lower[x]);
            row[sample_x / 2] += 0.25 * (above + down * (below - above));
        }
    }
    seen
}
