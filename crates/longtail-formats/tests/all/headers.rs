//! Sizes and orientations read from headers, held against those that a decoder reports.

use std::io::Cursor;

use image::{
    ImageDecoder, ImageEncoder, ImageFormat, ImageReader, RgbImage,
    codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder},
    metadata::Orientation as Decoded,
};
use longtail_formats::{ImageHeader, Orientation};

/// A TIFF directory of one other entry and the orientation.
fn exif(orientation: u16, little: bool) -> Vec<u8> {
    let u16 = |value: u16| if little { value.to_le_bytes() } else { value.to_be_bytes() };
    let u32 = |value: u32| if little { value.to_le_bytes() } else { value.to_be_bytes() };
    let mut bytes = if little { b"II\x2A\0".to_vec() } else { b"MM\0\x2A".to_vec() };
    bytes.extend(u32(8));
    bytes.extend(u16(2));
    for (tag, value) in [(0x100, 7), (0x112, orientation)] {
        bytes.extend([u16(tag), u16(3)].concat());
        bytes.extend(u32(1));
        bytes.extend([u16(value), u16(0)].concat());
    }
    bytes.extend(u32(0));
    bytes
}

fn encode(format: ImageFormat, size: [u32; 2], exif: Option<Vec<u8>>) -> Vec<u8> {
    let image = RgbImage::from_fn(size[0], size[1], |x, y| image::Rgb([x as u8, y as u8, 99]));
    let mut bytes = Vec::new();
    fn write(mut encoder: impl ImageEncoder, exif: Option<Vec<u8>>, image: &RgbImage) {
        if let Some(exif) = exif {
            encoder.set_exif_metadata(exif).unwrap();
        }
        encoder.write_image(image, image.width(), image.height(), image::ExtendedColorType::Rgb8).unwrap();
    }
    match format {
        ImageFormat::Jpeg => write(JpegEncoder::new(&mut bytes), exif, &image),
        ImageFormat::Png => write(PngEncoder::new(&mut bytes), exif, &image),
        _ => write(WebPEncoder::new_lossless(&mut bytes), exif, &image),
    }
    bytes
}

fn decoded(bytes: &[u8]) -> ([u32; 2], Decoded) {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().unwrap();
    let mut decoder = reader.into_decoder().unwrap();
    let (width, height) = decoder.dimensions();
    ([width, height], decoder.orientation().unwrap())
}

fn same(ours: Orientation, theirs: Decoded) -> bool {
    matches!(
        (ours, theirs),
        (Orientation::Upright, Decoded::NoTransforms)
            | (Orientation::FlipHorizontal, Decoded::FlipHorizontal)
            | (Orientation::Rotate180, Decoded::Rotate180)
            | (Orientation::FlipVertical, Decoded::FlipVertical)
            | (Orientation::Rotate90FlipH, Decoded::Rotate90FlipH)
            | (Orientation::Rotate90, Decoded::Rotate90)
            | (Orientation::Rotate270FlipH, Decoded::Rotate270FlipH)
            | (Orientation::Rotate270, Decoded::Rotate270)
    )
}

#[test]
fn headers_say_what_a_decoder_says() {
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
        for size in [[1, 1], [31, 17], [300, 259]] {
            let plain = std::iter::once(None);
            let turned = (0..10).flat_map(|value| [true, false].map(|little| Some(exif(value, little))));
            for exif in plain.chain(turned) {
                let bytes = encode(format, size, exif.clone());
                let (found, orientation) = decoded(&bytes);
                let header = ImageHeader::parse(&mut Cursor::new(&bytes)).unwrap();
                assert_eq!([header.width, header.height], found, "{format:?}");
                assert!(
                    same(header.orientation, orientation),
                    "{format:?} {exif:?}: {header:?} {orientation:?}"
                );
                let image = {
                    let mut image = image::load_from_memory(&bytes).unwrap();
                    image.apply_orientation(orientation);
                    image
                };
                assert_eq!(header.upright_size(), [image.width(), image.height()]);
            }
        }
    }
}

/// Lossy WebP, which the encoder cannot write: the smallest file of each of the two forms, from the specification.
#[test]
fn lossy_webp_has_the_size_of_its_frame() {
    let mut bytes = b"RIFF\x1E\0\0\0WEBPVP8 \x12\0\0\0".to_vec();
    bytes.extend([0x30, 0x01, 0x00, 0x9D, 0x01, 0x2A, 0x2C, 0x01, 0x03, 0x41]);
    bytes.extend([0; 8]);
    let header = ImageHeader::parse(&mut Cursor::new(&bytes)).unwrap();
    // The two upper bits of each side are a scale for display.
    assert_eq!([header.width, header.height], [300, 259]);
}

#[test]
fn bmp_tiff_and_gif_have_the_size_that_their_decoder_gives() {
    for format in [ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::Gif] {
        let mut bytes = Cursor::new(Vec::new());
        RgbImage::new(37, 11).write_to(&mut bytes, format).unwrap();
        let bytes = bytes.into_inner();
        assert_eq!(decoded(&bytes).0, [37, 11]);
        let header = ImageHeader::parse(&mut Cursor::new(&bytes)).unwrap();
        assert_eq!(header.upright_size(), [37, 11], "{format:?}");
    }
}

#[test]
fn what_is_not_an_image_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    let whole = encode(ImageFormat::Png, [20, 10], None);
    let jpeg = encode(ImageFormat::Jpeg, [20, 10], None);
    let mut without_pixels = whole.clone();
    without_pixels[16..20].fill(0);
    let zeros = [0; 18];
    for (bytes, reason) in [
        (&b"text"[..], "not a JPEG, PNG, WebP, BMP, TIFF or GIF file"),
        (&b""[..], "it is empty"),
        (&b"<html>"[..], "it is a web page"),
        (&zeros, "not a JPEG, PNG, WebP, BMP, TIFF or GIF file"),
        (&whole[..20], "cut short"),
        (&jpeg[..20], "cut short"),
        (&without_pixels, "no pixels"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = ImageHeader::read(&path).unwrap_err().to_string();
        assert!(error.contains("a.png") && error.contains(reason), "{error}");
    }
    let error = ImageHeader::read(&folder.path().join("none.png")).unwrap_err().to_string();
    assert!(error.contains("none.png") && error.contains("cannot read"), "{error}");
}
