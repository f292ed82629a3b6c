//! Images as people have them: formats, orientations, and files that are broken.

use std::{io::Cursor, path::Path, sync::Arc};

use image::{DynamicImage, ImageFormat, Rgb, RgbImage as Pixels};
use longtail_data::{DataError, Dataset, ImageFolder, ImageRecord, ImageSource, read_image};

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
    // A 16 × 16 JPEG of pure magenta and yellow ink (red), made by Pillow: Image.new("CMYK", (16, 16), (0, 255, 255, 0)).
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

#[test]
fn a_data_set_passes_the_error_of_its_image_on() {
    let folder = tempfile::tempdir().unwrap();
    let json = r#"{"images": [{"id": 1, "file_name": "no.jpg", "width": 16, "height": 8}], "annotations": [],
                   "categories": [{"id": 1, "name": "a"}]}"#;
    let path = folder.path().join("set.json");
    std::fs::write(&path, json).unwrap();
    let set = longtail_data::AnnotationSet::read(&path).unwrap();
    let dataset = Dataset::new(set, Arc::new(ImageFolder::new(folder.path()))).unwrap();
    let error = dataset.sample(0).unwrap_err().to_string();
    assert!(error.contains("no.jpg"), "{error}");
}
