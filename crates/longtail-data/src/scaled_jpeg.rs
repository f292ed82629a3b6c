//! JPEGs at a half, a quarter or an eighth of their size: the lowest frequencies of each block give those
//! without the rest.

use image::{DynamicImage, GrayImage, RgbImage};
use jpeg_decoder::{Decoder, PixelFormat};

/// Largest divisor of both sides that leaves at least `least` pixels along each; 1 if there is none.
pub(crate) fn divisor(size: [u32; 2], least: [u32; 2]) -> u32 {
    let fits = |by: &u32| {
        size.iter().zip(least).all(|(side, least)| side.is_multiple_of(*by) && side / by >= least.max(1))
    };
    [8, 4, 2].into_iter().find(fits).unwrap_or(1)
}

/// Pixels as the file has them, not turned upright, with width and height divided by `divisor` (2, 4 or 8)
/// without rest. `None` for what the other decoder has to read or to refuse.
pub(crate) fn decode(bytes: &[u8], divisor: u32) -> Option<DynamicImage> {
    let mut decoder = Decoder::new(bytes);
    decoder.read_info().ok()?;
    let info = decoder.info()?;
    let size = [info.width, info.height].map(|side| u32::from(side) / divisor);
    let [width, height] = size.map(|side| side as u16);
    if decoder.scale(width, height).ok()? != (width, height) {
        return None;
    }
    let pixels = decoder.decode().ok()?;
    let [width, height] = size;
    match info.pixel_format {
        PixelFormat::RGB24 => Some(DynamicImage::ImageRgb8(RgbImage::from_raw(width, height, pixels)?)),
        PixelFormat::L8 => Some(DynamicImage::ImageLuma8(GrayImage::from_raw(width, height, pixels)?)),
        PixelFormat::L16 | PixelFormat::CMYK32 => None,
    }
}

#[cfg(test)]
mod tests {
    use image::codecs::jpeg::JpegEncoder;

    use super::*;

    #[test]
    fn divisors_leave_enough_and_no_rest() {
        assert_eq!(divisor([4000, 3000], [1600, 1200]), 2);
        assert_eq!(divisor([4000, 3000], [400, 300]), 8);
        assert_eq!(divisor([4000, 3000], [501, 300]), 4);
        assert_eq!(divisor([4000, 3001], [1, 1]), 1);
        assert_eq!(divisor([640, 480], [1067, 800]), 1);
        assert_eq!(divisor([2, 2], [0, 0]), 2);
    }

    /// A pixel of the small picture is about the mean of those it stands for; not exactly, as frequencies are
    /// cut off.
    #[test]
    fn a_reduced_picture_is_the_mean_of_the_whole() {
        let picture = RgbImage::from_fn(160, 96, |x, y| {
            let wave = |v: f32| ((v * 0.12).sin() * 90.0 + 120.0) as u8;
            image::Rgb([wave(x as f32), wave(y as f32), wave((x + y) as f32)])
        });
        for grey in [false, true] {
            let picture = DynamicImage::ImageRgb8(picture.clone());
            let picture = if grey { DynamicImage::ImageLuma8(picture.to_luma8()) } else { picture };
            let mut bytes = Vec::new();
            picture.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 95)).unwrap();
            let whole = image::load_from_memory(&bytes).unwrap().into_rgb8();
            for by in [2, 4, 8] {
                let small = decode(&bytes, by).unwrap().into_rgb8();
                assert_eq!(small.dimensions(), (160 / by, 96 / by));
                let (mut worst, mut sum) = (0.0_f32, 0.0);
                for (x, y, pixel) in small.enumerate_pixels() {
                    for channel in 0..3 {
                        let block = (0..by * by).map(|i| whole.get_pixel(x * by + i % by, y * by + i / by));
                        let mean = block.map(|p| f32::from(p[channel])).sum::<f32>() / (by * by) as f32;
                        let difference = (mean - f32::from(pixel[channel])).abs();
                        worst = worst.max(difference);
                        sum += difference;
                    }
                }
                let mean = sum / (small.width() * small.height() * 3) as f32;
                assert!(worst < 12.0 && mean < 3.0, "{by}: {worst} {mean}");
            }
        }
        assert!(decode(b"no picture", 2).is_none());
    }
}
