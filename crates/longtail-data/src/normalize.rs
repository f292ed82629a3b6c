//! 8-bit pixels to normalised planes.

use pulp::Arch;

use crate::sample::RgbImage;

/// Pixels that are taken apart at once; their floats stay in the first cache.
const CHUNK: usize = 512;

/// Writes `(value − mean) / std` of every channel into its plane of `block`, 3 × height × width, and 0 into
/// the rest of the planes.
///
/// # Panics
/// If the image is larger than the planes.
pub fn normalize(
    image: &RgbImage,
    mean: [f32; 3],
    std: [f32; 3],
    block: &mut [f32],
    [height, width]: [usize; 2],
) {
    assert!(
        image.height as usize <= height && image.width as usize <= width,
        "the image fits into its planes"
    );
    let inverse = std.map(|v| 1.0 / v);
    let (red, rest) = block.split_at_mut(height * width);
    let (green, blue) = rest.split_at_mut(height * width);
    let columns = image.width as usize;
    for plane in [&mut *red, &mut *green, &mut *blue] {
        let (beside, below) = plane.split_at_mut(image.height as usize * width);
        beside.chunks_exact_mut(width).for_each(|row| row[columns..].fill(0.0));
        below.fill(0.0);
    }
    let planes =
        red.chunks_exact_mut(width).zip(green.chunks_exact_mut(width)).zip(blue.chunks_exact_mut(width));
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (row, ((red, green), blue)) in image.pixels.chunks_exact(columns * 3).zip(planes) {
                let pieces = red[..columns]
                    .chunks_mut(CHUNK)
                    .zip(green[..columns].chunks_mut(CHUNK))
                    .zip(blue[..columns].chunks_mut(CHUNK));
                for (pixels, ((red, green), blue)) in row.chunks(CHUNK * 3).zip(pieces) {
                    for (channel, target) in [red, green, blue].into_iter().enumerate() {
                        let (mean, inverse) = (mean[channel], inverse[channel]);
                        for (target, pixel) in target.iter_mut().zip(pixels.as_chunks::<3>().0) {
                            *target = (f32::from(pixel[channel]) - mean) * inverse;
                        }
                    }
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_is_that_of_the_formula_to_the_bit() {
        let (mean, std) = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]);
        for (columns, rows) in [(1, 1), (3, 2), (17, 5), (511, 2), (512, 1), (513, 3), (1067, 2)] {
            let pixels =
                (0..columns * rows * 3).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            let image = RgbImage { width: columns, height: rows, pixels };
            let (height, width) = (rows as usize + 2, columns as usize + 5);
            let mut block = vec![-7.0; 3 * height * width];
            normalize(&image, mean, std, &mut block, [height, width]);
            for (place, value) in block.iter().enumerate() {
                let (channel, y, x) = (place / (height * width), place / width % height, place % width);
                let expected = if y < rows as usize && x < columns as usize {
                    let pixel = image.pixels[(y * columns as usize + x) * 3 + channel];
                    (f32::from(pixel) - mean[channel]) * (1.0 / std[channel])
                } else {
                    0.0
                };
                assert_eq!(value.to_bits(), expected.to_bits(), "{columns} × {rows}: {channel} {y} {x}");
            }
        }
    }
}
