//! Images as people have them: formats, orientations, and files that are broken.

use std::{io::Cursor, path::Path, sync::Arc};

use image::{DynamicImage, ImageFormat, Rgb, RgbImage as Pixels};
use longtail_annotations::ImageRecord;
use longtail_data::{
    Batch, DataError, Dataset, ImageFolder, ImageSource, Resize, Transform, pixels::PixelPool, read_image,
};

/// Left half red, right half blue, `width` × 8.
fn picture(width: u32) -> Pixels {
    Pixels::from_fn(width, 8, |x, _| if x < width / 2 { Rgb([250, 0, 0]) } else { Rgb([0, 0, 250]) })
}

fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn record(file_name: &str, width: u32, height: u32) -> ImageRecord {
    ImageRecord {
        id: 1,
        file_name: file_name.into(),
        width,
        height,
        neg_category_ids: None,
        not_exhaustive_category_ids: None,
    }
}

/// An EXIF segment with an orientation, put behind the start of a JPEG.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let tiff = [
        b"II*\0".as_slice(),
        &8_u32.to_le_bytes(),
        &1_u16.to_le_bytes(),
        &0x0112_u16.to_le_bytes(),
        &3_u16.to_le_bytes(),
        &1_u32.to_le_bytes(),
        &[orientation, 0, 0, 0],
        &0_u32.to_le_bytes(),
    ]
    .concat();
    let segment = [b"Exif\0\0".as_slice(), &tiff].concat();
    let length = (segment.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &segment, &jpeg[2..]].concat()
}

#[test]
fn formats_grey_and_alpha_become_rgb() {
    let folder = tempfile::tempdir().unwrap();
    let rgb = DynamicImage::ImageRgb8(picture(16));
    let transparent = DynamicImage::ImageRgba8(rgb.to_rgba8());
    let cases = [
        ("a.png", encode(&rgb, ImageFormat::Png)),
        ("a.webp", encode(&rgb, ImageFormat::WebP)),
        ("a.jpg", encode(&rgb, ImageFormat::Jpeg)),
        ("alpha.png", encode(&transparent, ImageFormat::Png)),
        ("wrong_ending.jpg", encode(&rgb, ImageFormat::Png)),
    ];
    for (name, bytes) in cases {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let image = read_image(&path).unwrap();
        assert_eq!((image.width, image.height), (16, 8), "{name}");
        let (left, right) = (&image.pixels[..3], &image.pixels[45..48]);
        assert!(
            left[0] > 200 && left[2] < 50 && right[2] > 200 && right[0] < 50,
            "{name}: {left:?} {right:?}"
        );
    }
    let grey = folder.path().join("grey.png");
    std::fs::write(&grey, encode(&DynamicImage::ImageLuma8(rgb.to_luma8()), ImageFormat::Png)).unwrap();
    let image = read_image(&grey).unwrap();
    assert_eq!(image.pixels.len(), 16 * 8 * 3);
    assert!(image.pixels[0] == image.pixels[1] && image.pixels[1] == image.pixels[2]);
}

#[test]
fn a_cmyk_jpeg_becomes_rgb() {
    // A 16 × 16 JPEG of pure magenta and yellow ink (red), made by Pillow: Image.new("CMYK", (16, 16), (0,
    // 255, 255, 0)).
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cmyk_red.jpg");
    let image = read_image(&path).unwrap();
    assert_eq!((image.width, image.height), (16, 16));
    assert!(
        image.pixels[0] > 200 && image.pixels[1] < 60 && image.pixels[2] < 60,
        "{:?}",
        &image.pixels[..3]
    );
}

#[test]
fn exif_orientation_turns_the_image() {
    let folder = tempfile::tempdir().unwrap();
    let jpeg = encode(&DynamicImage::ImageRgb8(picture(16)), ImageFormat::Jpeg);
    let load = |orientation| {
        let path = folder.path().join("turned.jpg");
        std::fs::write(&path, with_orientation(&jpeg, orientation)).unwrap();
        read_image(&path).unwrap()
    };
    let mirrored = load(2);
    assert!(mirrored.pixels[2] > 200, "blue comes first");
    // 6: turned by 90° clockwise, so that the red half lies on top.
    let turned = load(6);
    assert_eq!((turned.width, turned.height), (8, 16));
    assert!(turned.pixels[0] > 200 && turned.pixels[turned.pixels.len() - 1] > 200);
}

#[test]
fn broken_images_say_what_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let png = encode(&DynamicImage::ImageRgb8(picture(16)), ImageFormat::Png);
    let jpeg = encode(&DynamicImage::ImageRgb8(picture(600)), ImageFormat::Jpeg);
    write("text.jpg", b"not an image");
    write("short.png", &png[..png.len() / 2]);
    write("short.jpg", &jpeg[..jpeg.len() / 3]);
    write("nearly.jpg", &jpeg[..jpeg.len() - 9]);
    write("empty.jpg", b"");
    let images = ImageFolder::new(folder.path());
    for name in ["text.jpg", "short.png", "short.jpg", "nearly.jpg", "empty.jpg", "missing.jpg"] {
        let error = images.load(&record(name, 16, 8)).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
    write("good.png", &png);
    let error = images.load(&record("good.png", 20, 8)).unwrap_err();
    assert!(matches!(error, DataError::SizeMismatch { found: [16, 8], expected: [20, 8], .. }), "{error}");
    assert!(images.load(&record("good.png", 16, 8)).is_ok());
    // LVIS v1 names carry the folder of COCO.
    assert!(images.load(&record("train2017/good.png", 16, 8)).is_ok());
}

/// A PNG of nothing but its header, with a right checksum.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let crc = header.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    });
    [b"\x89PNG\r\n\x1a\n".as_slice(), &13_u32.to_be_bytes(), &header, &(!crc).to_be_bytes()].concat()
}

#[test]
fn images_that_claim_too_many_pixels_are_refused_by_their_header() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    // An end marker without data: whoever decodes it fails otherwise.
    let end = [0, 0, 0, 0, b'I', b'D', b'A', b'T', 0x35, 0xAF, 0x06, 0x1E];
    write("bomb.png", &[png_header(60_000, 60_000), end.to_vec()].concat());
    // A JPEG whose frame header is changed to 65,500 × 65,500.
    let mut jpeg = encode(&DynamicImage::ImageRgb8(picture(16)), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xFF, 0xDC, 0xFF, 0xDC]);
    write("bomb.jpg", &jpeg);
    // A lossless WebP header of 12,000 × 12,000: 14 bits a side, less one.
    let mut webp = b"RIFF\x20\0\0\0WEBPVP8L\x0d\0\0\0\x2f".to_vec();
    webp.extend((11_999_u32 | 11_999 << 14).to_le_bytes());
    webp.extend([0; 16]);
    write("bomb.webp", &webp);
    let images = ImageFolder::new(folder.path());
    for (name, size) in
        [("bomb.png", "60000 x 60000"), ("bomb.jpg", "65500 x 65500"), ("bomb.webp", "12000 x 12000")]
    {
        let error = images.load(&record(name, 16, 8)).unwrap_err();
        assert!(matches!(error, DataError::TooManyPixels { .. }), "{name}: {error}");
        let error = error.to_string();
        let parts = [name, size, "134217728", "data.max_pixels"];
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    // The limit is a setting.
    write("good.png", &encode(&DynamicImage::ImageRgb8(picture(16)), ImageFormat::Png));
    assert!(images.clone().with_max_pixels(128).load(&record("good.png", 16, 8)).is_ok());
    let error = images.with_max_pixels(127).load(&record("good.png", 16, 8)).unwrap_err();
    assert!(
        matches!(error, DataError::TooManyPixels { width: 16, height: 8, max_pixels: 127, .. }),
        "{error}"
    );
}

#[test]
fn a_file_without_end_is_not_read_to_its_end() {
    let images = ImageFolder::new(Path::new("/dev")).with_max_pixels(1000);
    if Path::new("/dev/zero").exists() {
        let error = images.load(&record("zero", 16, 8)).unwrap_err().to_string();
        assert!(error.contains("more than 8000 bytes"), "{error}");
    }
}

#[test]
fn a_data_set_passes_the_error_of_its_image_on() {
    let folder = tempfile::tempdir().unwrap();
    let json = r#"{"images": [{"id": 1, "file_name": "no.jpg", "width": 16, "height": 8}], "annotations": [],
                   "categories": [{"id": 1, "name": "a"}]}"#;
    let path = folder.path().join("set.json");
    std::fs::write(&path, json).unwrap();
    let set = longtail_formats::read_annotations(&path).unwrap();
    let dataset = Dataset::new(set, Arc::new(ImageFolder::new(folder.path()))).unwrap();
    let error = dataset.sample(0).unwrap_err().to_string();
    assert!(error.contains("no.jpg"), "{error}");
}

/// Upright and turned JPEGs decoded at a part of their size: the boxes of the batch have the bits of those
/// that are decoded whole, the pixels nearly. A PNG, and a JPEG with an odd side, are read whole.
#[test]
fn large_jpegs_are_decoded_small_and_boxes_do_not_move() {
    let folder = tempfile::tempdir().unwrap();
    let picture = |width: u32, height: u32| {
        DynamicImage::ImageRgb8(Pixels::from_fn(width, height, |x, y| {
            let wave = |v: f32| ((v * 0.05).sin() * 90.0 + 120.0) as u8;
            Rgb([wave(x as f32), wave(y as f32), wave((x + 2 * y) as f32)])
        }))
    };
    let jpeg = encode(&picture(640, 416), ImageFormat::Jpeg);
    let files = [
        ("plain.jpg", jpeg.clone(), [640, 416], 4),
        ("turned.jpg", with_orientation(&jpeg, 6), [416, 640], 4),
        ("odd.jpg", encode(&picture(641, 416), ImageFormat::Jpeg), [641, 416], 1),
        ("whole.png", encode(&picture(640, 416), ImageFormat::Png), [640, 416], 1),
    ];
    let images = ImageFolder::new(folder.path());
    for (name, bytes, [width, height], divisor) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        let record = record(name, width, height);
        let (found, by) = images.load_reduced(&record, [90, 90]).unwrap();
        assert_eq!(
            (by, [found.width, found.height]),
            (divisor, [width / divisor, height / divisor]),
            "{name}"
        );
        let json = format!(
            r#"{{"images": [{{"id": 1, "file_name": "{name}", "width": {width}, "height": {height}}}],
                "annotations": [{{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10.3, 20.7, 33.1, 51.9]}}],
                "categories": [{{"id": 1, "name": "a"}}]}}"#
        );
        let path = folder.path().join("set.json");
        std::fs::write(&path, json).unwrap();
        let set = longtail_formats::read_annotations(&path).unwrap();
        let dataset = Dataset::new(set, Arc::new(images.clone())).unwrap();
        let resize = Resize::ShortSide { short: 61, max: 200 };
        let load = |scaled_decode: f64| {
            let transform = Transform { resize, scaled_decode, ..Transform::default() };
            Batch::load(&dataset, &[(0, true)], &transform, &PixelPool::default()).unwrap()
        };
        let (small, whole) = (load(1.5), load(0.0));
        assert_eq!(small.images, whole.images, "{name}");
        let differences = small.pixels.iter().zip(whole.pixels.iter());
        let worst = differences.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // Standard deviations of ImageNet: 57 grey values.
        assert!(worst < 0.15 && (worst == 0.0) == (divisor == 1), "{name}: {worst}");
    }
    let wrong = images.load_reduced(&record("plain.jpg", 320, 208), [10, 10]).unwrap_err().to_string();
    assert!(wrong.contains("640"), "{wrong}");
}
