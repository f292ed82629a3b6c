//! Pixels scaled, cut out and mirrored.

use std::cell::RefCell;

use fast_image_resize::{
    FilterType, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::U8x3,
};

use crate::sample::RgbImage;

/// Most images whose memory a thread keeps for the next ones.
const MAX_WAITING: usize = 16;

/// What a thread uses again and again: memory that comes fresh from the system is cleared page by page first.
#[derive(Default)]
struct Scratch {
    resizer: Resizer,
    waiting: Vec<Vec<u8>>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Keeps the memory of an image that is used no more for the next one that this thread makes.
pub(crate) fn recycle(image: RgbImage) {
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.waiting.len() < MAX_WAITING {
            scratch.waiting.push(image.pixels);
        }
    });
}

/// Bilinear with antialiasing: every source pixel counts when an image shrinks.
pub fn resize(image: RgbImage, width: u32, height: u32) -> RgbImage {
    if (width, height) == (image.width, image.height) {
        return image;
    }
    resample(&image, width, height, None)
}

/// The window `size` at `corner` of an image scaled by `scale`, as [`resize`] makes it.
pub(crate) fn window(image: &RgbImage, scale: [f64; 2], corner: [u32; 2], size: [u32; 2]) -> RgbImage {
    let [width, height] = size;
    if scale == [1.0; 2] {
        let row = width as usize * 3;
        let start = (corner[1] as usize * image.width as usize + corner[0] as usize) * 3;
        let rows = image.pixels[start..].chunks(image.width as usize * 3).take(height as usize);
        return RgbImage { width, height, pixels: rows.flat_map(|pixels| &pixels[..row]).copied().collect() };
    }
    let from = [0, 1].map(|i| f64::from(corner[i]) / scale[i]);
    // Rounding must not lead past the last pixel.
    let extent = [
        (f64::from(width) / scale[0]).min(f64::from(image.width) - from[0]),
        (f64::from(height) / scale[1]).min(f64::from(image.height) - from[1]),
    ];
    resample(image, width, height, Some([from[0], from[1], extent[0], extent[1]]))
}

/// Scales a part of an image: left, top, width, height; or all of it.
fn resample(image: &RgbImage, width: u32, height: u32, part: Option<[f64; 4]>) -> RgbImage {
    // Typed: the untyped call compiles every kind of pixel, and most of this crate's code would be that.
    let source = TypedImageRef::<U8x3>::from_buffer(image.width, image.height, &image.pixels)
        .expect("an image has width × height × 3 bytes");
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    let options = match part {
        None => options,
        Some([left, top, width, height]) => options.crop(left, top, width, height),
    };
    SCRATCH.with_borrow_mut(|Scratch { resizer, waiting }| {
        let mut pixels = waiting.pop().unwrap_or_default();
        pixels.resize(width as usize * height as usize * 3, 0);
        let mut target = TypedImage::<U8x3>::from_buffer(width, height, &mut pixels)
            .expect("a buffer of width × height × 3 bytes");
        resizer.resize_typed(&source, &mut target, &options).expect("the part lies inside the image");
        RgbImage { width, height, pixels }
    })
}

impl RgbImage {
    /// Mirrors left and right.
    pub fn flip_horizontally(&mut self) {
        let row = self.width as usize * 3;
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            simd.vectorize(MirrorRows { simd, pixels: &mut self.pixels, row });
            return;
        }
        self.pixels.chunks_exact_mut(row).for_each(|row| row.as_chunks_mut::<3>().0.reverse());
    }
}

/// Five pixels at a time from both ends of a row, in registers of 16 bytes.
#[cfg(target_arch = "x86_64")]
struct MirrorRows<'a> {
    simd: pulp::x86::V3,
    pixels: &'a mut [u8],
    row: usize,
}

#[cfg(target_arch = "x86_64")]
impl pulp::NullaryFnOnce for MirrorRows<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, pixels, row } = self;
        // The pixels are the first or the last 15 of 16 bytes; the byte left over is not used.
        let of_first: [u8; 16] = [12, 13, 14, 9, 10, 11, 6, 7, 8, 3, 4, 5, 0, 1, 2, 15];
        let of_last: [u8; 16] = [13, 14, 15, 10, 11, 12, 7, 8, 9, 4, 5, 6, 1, 2, 3, 0];
        let reversed = |block: &[u8], order: [u8; 16]| -> [u8; 16] {
            let mut bytes = [0_u8; 16];
            bytes.copy_from_slice(block);
            pulp::cast(simd.ssse3._mm_shuffle_epi8(pulp::cast(bytes), pulp::cast(order)))
        };
        for row in pixels.chunks_exact_mut(row) {
            let (mut left, mut right) = (0, row.len());
            // Both blocks of 16 bytes are read before either is written, and do not overlap.
            while right - left >= 32 {
                let first = reversed(&row[left..left + 16], of_first);
                let last = reversed(&row[right - 16..right], of_last);
                row[left..left + 15].copy_from_slice(&last[..15]);
                row[right - 15..right].copy_from_slice(&first[..15]);
                left += 15;
                right -= 15;
            }
            row[left..right].as_chunks_mut::<3>().0.reverse();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_any_length_are_mirrored() {
        for width in 1..120_u32 {
            let pixels: Vec<u8> = (0..width * 3 * 3).map(|i| (i % 251) as u8).collect();
            let mut image = RgbImage { width, height: 3, pixels: pixels.clone() };
            image.flip_horizontally();
            for (row, expected) in
                image.pixels.chunks(width as usize * 3).zip(pixels.chunks(width as usize * 3))
            {
                for x in 0..width as usize {
                    let mirror = width as usize - 1 - x;
                    assert_eq!(row[x * 3..][..3], expected[mirror * 3..][..3], "{width}: {x}");
                }
            }
        }
    }

    #[test]
    fn used_memory_leaves_nothing_behind() {
        let image = |value: u8, side: u32| RgbImage {
            width: side,
            height: side,
            pixels: vec![value; (side * side * 3) as usize],
        };
        recycle(image(200, 50));
        let small = resize(image(7, 10), 20, 30);
        assert_eq!((small.width, small.height), (20, 30));
        assert_eq!(small.pixels, vec![7; 20 * 30 * 3]);
        recycle(small);
        assert_eq!(resize(image(9, 10), 40, 40).pixels, vec![9; 40 * 40 * 3]);
    }
}
