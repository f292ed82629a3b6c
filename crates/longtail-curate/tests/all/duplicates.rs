//! Copies of pictures are found however they were made, different pictures are not taken for copies, and
//! `check` tells both, within a set and across two.

use std::{io::Cursor, path::Path};

use image::{
    DynamicImage, ImageFormat, Rgb, RgbImage as Pixels, codecs::jpeg::JpegEncoder, imageops::FilterType,
};
use longtail_annotations::{Annotation, AnnotationSet, Category, ImageRecord, Layout};
use longtail_curate::{
    CheckOptions, Fingerprint, Kind, check,
    similarity::{Likeness, groups, near_duplicates},
};
use longtail_data::{ImageFolder, RgbImage};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A made-up photograph: a sky over a ground, a dozen things, grain.
fn scene(seed: u64) -> DynamicImage {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (width, height) = (random.random_range(200..280), random.random_range(150..220));
    let mut colour = || -> [f32; 3] { std::array::from_fn(|_| random.random_range(0.0..255.0)) };
    let (sky, ground, haze) = (colour(), colour(), colour());
    let horizon = random.random_range(0.2..0.8) * height as f32;
    let things: Vec<([f32; 4], [f32; 3], bool)> = (0..12)
        .map(|_| {
            let place = [
                random.random_range(0.0..width as f32),
                random.random_range(0.0..height as f32),
                random.random_range(8.0..60.0),
                random.random_range(8.0..60.0),
            ];
            (place, std::array::from_fn(|_| random.random_range(0.0..255.0)), random.random_bool(0.5))
        })
        .collect();
    let picture = Pixels::from_fn(width, height, |x, y| {
        let (x, y) = (x as f32, y as f32);
        let mut seen = if y < horizon { sky } else { ground };
        let mist = (1.0 - (y - horizon).abs() / height as f32).powi(4);
        for channel in 0..3 {
            seen[channel] += 0.6 * mist * (haze[channel] - seen[channel]);
        }
        for ([cx, cy, w, h], paint, round) in &things {
            let (dx, dy) = (((x - cx) / w).abs(), ((y - cy) / h).abs());
            if (*round && dx * dx + dy * dy < 1.0) || (!round && dx < 0.8 && dy < 0.8) {
                seen = paint.map(|value| value * (1.0 - 0.3 * dy));
            }
        }
        let grain = random.random_range(-8.0..8.0);
        Rgb(seen.map(|value| (value + grain).clamp(0.0, 255.0) as u8))
    });
    DynamicImage::ImageRgb8(picture)
}

fn jpeg(image: &DynamicImage, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    image
        .to_rgb8()
        .write_with_encoder(JpegEncoder::new_with_quality(Cursor::new(&mut bytes), quality))
        .unwrap();
    bytes
}

fn png(image: &DynamicImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn reencoded(image: &DynamicImage, quality: u8) -> DynamicImage {
    image::load_from_memory(&jpeg(image, quality)).unwrap()
}

/// Without these shares of its width and height: left, top, right, bottom.
fn cropped(image: &DynamicImage, [left, top, right, bottom]: [f64; 4]) -> DynamicImage {
    let (width, height) = (f64::from(image.width()), f64::from(image.height()));
    let (w, h) = (width * (1.0 - left - right), height * (1.0 - top - bottom));
    image.crop_imm((left * width) as u32, (top * height) as u32, w as u32, h as u32)
}

fn fingerprint(image: &DynamicImage) -> Fingerprint {
    let image = image.to_rgb8();
    Fingerprint::of(&RgbImage { width: image.width(), height: image.height(), pixels: image.into_raw() })
}

const SCENES: usize = 40;

#[test]
fn copies_are_found_and_nothing_else() {
    let scenes: Vec<DynamicImage> = (0..SCENES as u64).map(scene).collect();
    let originals: Vec<Fingerprint> = scenes.iter().map(fingerprint).collect();
    assert_eq!(near_duplicates(&originals), [], "different scenes");
    type Change = (&'static str, fn(&DynamicImage) -> DynamicImage);
    let changes: [Change; 9] = [
        ("JPEG of quality 85", |i| reencoded(i, 85)),
        ("JPEG of quality 30", |i| reencoded(i, 30)),
        ("half the size", |i| i.resize_exact(i.width() / 2, i.height() / 2, FilterType::Triangle)),
        ("larger, JPEG", |i| reencoded(&i.resize_exact(400, 300, FilterType::CatmullRom), 70)),
        ("brighter", |i| i.brighten(20)),
        ("mirrored", DynamicImage::fliph),
        ("3 % off all sides", |i| cropped(i, [0.03; 4])),
        ("8 % off all sides", |i| cropped(i, [0.08; 4])),
        ("10 % off the right", |i| cropped(i, [0.0, 0.0, 0.1, 0.0])),
    ];
    for (name, change) in changes {
        let copies = scenes.iter().map(|image| fingerprint(&change(image)));
        let all: Vec<Fingerprint> = originals.iter().cloned().chain(copies).collect();
        let group = groups(&all);
        let expected: Vec<usize> = (0..SCENES).chain(0..SCENES).collect();
        assert_eq!(group, expected, "{name}");
    }
    // Between the crops that are looked for most are found, none as another scene's.
    let copies =
        scenes.iter().map(|image| fingerprint(&reencoded(&cropped(image, [0.09, 0.1, 0.0, 0.0]), 60)));
    let group = groups(&originals.iter().cloned().chain(copies).collect::<Vec<_>>());
    let found = (0..SCENES).filter(|&place| group[SCENES + place] == place).count();
    assert!(found >= SCENES * 3 / 4, "{found} of {SCENES}");
    assert!(
        (0..SCENES)
            .all(|place| group[place] == place && [place, SCENES + place].contains(&group[SCENES + place]))
    );
}

#[test]
fn the_same_pixels_are_told_from_near_ones() {
    let (one, other) = (scene(1), scene(2));
    let again = image::load_from_memory(&png(&one)).unwrap();
    let pictures =
        [fingerprint(&other), fingerprint(&one), fingerprint(&again), fingerprint(&reencoded(&one, 90))];
    let pairs = near_duplicates(&pictures);
    assert_eq!(pairs.len(), 2);
    assert_eq!((pairs[0].places, pairs[0].likeness), ([1, 2], Likeness::Same));
    assert!(matches!(pairs[1].likeness, Likeness::Near(likeness) if likeness > 0.99), "{pairs:?}");
    assert_eq!(groups(&pictures), [0, 1, 1, 1]);
    assert_eq!(groups(&[]), [] as [usize; 0]);
}

#[test]
fn pictures_that_show_nothing_are_alike_if_equally_bright() {
    let flat = |grey: u8| fingerprint(&DynamicImage::ImageRgb8(Pixels::from_pixel(40, 30, Rgb([grey; 3]))));
    let larger = fingerprint(&DynamicImage::ImageRgb8(Pixels::from_pixel(80, 30, Rgb([200; 3]))));
    assert_eq!(groups(&[flat(20), flat(200), larger, fingerprint(&scene(3))]), [0, 1, 1, 3]);
}

#[test]
fn many_that_look_the_same_take_no_quadratic_time() {
    let one = fingerprint(&scene(4));
    let numbered = |pixels: u128| {
        let mut copy = one.clone();
        copy.pixels = pixels;
        copy
    };
    // Different pixels, so that every one has to be looked at; all with all would take hours here.
    let all: Vec<Fingerprint> = (0..30_000).map(numbered).collect();
    assert!(groups(&all).iter().all(|&first| first == 0));
}

fn record(id: i64, file_name: &str, size: [u32; 2]) -> ImageRecord {
    ImageRecord {
        id,
        file_name: file_name.into(),
        width: size[0],
        height: size[1],
        neg_category_ids: None,
        not_exhaustive_category_ids: None,
    }
}

fn set(images: Vec<ImageRecord>, boxes: &[(i64, [f64; 4])]) -> AnnotationSet {
    let annotation = |(id, &(image_id, bbox)): (i64, &(i64, [f64; 4]))| Annotation {
        id,
        image_id,
        category_id: 1,
        bbox,
        area: None,
        iscrowd: false,
        ignore: false,
    };
    AnnotationSet {
        path: None,
        layout: Layout::Coco,
        images,
        annotations: (1..).zip(boxes).map(annotation).collect(),
        categories: vec![Category { id: 1, name: "thing".into(), frequency: None }],
    }
}

/// Writes pictures into a folder; returns their records.
fn write(folder: &Path, files: &[(&str, Vec<u8>)]) -> Vec<ImageRecord> {
    std::fs::create_dir_all(folder).unwrap();
    let write = |(id, (name, bytes)): (i64, &(&str, Vec<u8>))| {
        std::fs::write(folder.join(name), bytes).unwrap();
        let image = longtail_data::read_image(&folder.join(name)).unwrap();
        record(id, name, [image.width, image.height])
    };
    (1..).zip(files).map(write).collect()
}

#[test]
fn pictures_in_both_splits_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let (train, val) = (folder.path().join("train"), folder.path().join("val"));
    let train_images = write(
        &train,
        &[
            ("a.png", png(&scene(10))),
            ("b.jpg", jpeg(&scene(11), 90)),
            ("c.jpg", jpeg(&scene(12), 90)),
            ("c2.jpg", jpeg(&scene(12), 40)),
        ],
    );
    let crop = cropped(&scene(11), [0.0, 0.05, 0.05, 0.0]);
    let val_images = write(
        &val,
        &[
            ("x.png", png(&scene(10))),
            ("y.jpg", jpeg(&crop, 80)),
            ("z.jpg", jpeg(&scene(13), 90)),
            ("w.jpg", jpeg(&scene(12), 60)),
        ],
    );
    let (mine, other) =
        (set(train_images, &[(1, [1.0, 1.0, 5.0, 5.0])]), set(val_images, &[(1, [1.0, 1.0, 5.0, 5.0])]));
    let (mine_folder, other_folder) = (ImageFolder::new(&train), ImageFolder::new(&val));
    let options = CheckOptions {
        remarks: None,
        images: Some(&mine_folder),
        against: Some(&other),
        against_images: Some(&other_folder),
    };
    let decoded = std::sync::atomic::AtomicUsize::new(0);
    let checked = check(&mine, &options, &|| {
        decoded.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!((decoded.into_inner(), options.images_to_decode(&mine)), (8, 8));
    let found = |kind: Kind| {
        checked.findings.iter().find(|f| f.kind == kind).map(|f| (f.count, f.examples.join("; ")))
    };
    let (count, examples) = found(Kind::SamePictureInBoth).unwrap();
    assert!(count == 1 && examples.contains("x.png") && examples.contains("a.png"), "{examples}");
    let (count, examples) = found(Kind::NearDuplicateInBoth).unwrap();
    assert!(count == 2 && examples.contains("y.jpg") && examples.contains("w.jpg"), "{examples}");
    let (count, examples) = found(Kind::NearDuplicate).unwrap();
    assert!(count == 1 && examples.contains("c2.jpg is like c.jpg"), "{examples}");
    assert_eq!(found(Kind::SamePicture), None);
}

#[test]
fn classes_are_held_against_the_other_file() {
    let mut mine = set(vec![record(1, "a.jpg", [40, 30])], &[(1, [1.0, 1.0, 5.0, 5.0])]);
    let mut other =
        set(vec![record(7, "a.jpg", [40, 30])], &[(7, [1.0, 1.0, 5.0, 5.0]), (7, [2.0, 1.0, 5.0, 5.0])]);
    let category = |id, name: &str| Category { id, name: name.into(), frequency: None };
    mine.categories.extend([category(2, "wine glass"), category(3, "cup")]);
    other.categories.extend([category(2, "Wine_Glass"), category(3, "cow"), category(4, "fork")]);
    other.annotations[1].category_id = 2;
    let options = CheckOptions { against: Some(&other), ..CheckOptions::default() };
    let findings = check(&mine, &options, &|| ()).findings;
    let found = |kind: Kind| {
        findings.iter().find(|f| f.kind == kind).map(|f| f.examples.join("; ")).unwrap_or_default()
    };
    assert_eq!(found(Kind::CategoriesDisagree), "category 3: \"cup\" here, \"cow\" there");
    assert_eq!(found(Kind::CategoryOnlyInOther), "category 4: \"fork\"");
    assert_eq!(found(Kind::ClassNeverTrained), "Wine_Glass (1 boxes there)");
    assert_eq!(found(Kind::SameNameInBoth), "a.jpg");
}

/// A JPEG with an EXIF orientation.
fn turned(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let entry =
        [&0x0112_u16.to_le_bytes()[..], &3_u16.to_le_bytes(), &1_u32.to_le_bytes(), &[orientation, 0, 0, 0]];
    let tiff =
        [b"II*\0".as_slice(), &8_u32.to_le_bytes(), &1_u16.to_le_bytes(), &entry.concat(), &[0; 4]].concat();
    let segment = [b"Exif\0\0".as_slice(), &tiff].concat();
    [&jpeg[..2], &[0xff, 0xe1], &(segment.len() as u16 + 2).to_be_bytes(), &segment, &jpeg[2..]].concat()
}

#[test]
fn sizes_and_orientations_are_measured() {
    let folder = tempfile::tempdir().unwrap();
    let wide = |seed: u64| scene(seed).resize_exact(80, 40, FilterType::Triangle);
    let lying = |seed| turned(&jpeg(&wide(seed), 90), 6);
    let mut images = write(
        folder.path(),
        &[
            ("plain.jpg", jpeg(&wide(20), 90)),
            ("handled.jpg", lying(21)),
            ("boxes.jpg", lying(22)),
            ("unturned.jpg", lying(23)),
            ("other.jpg", jpeg(&wide(24), 90)),
            ("far.jpg", jpeg(&wide(25), 90)),
            ("mirrored.jpg", turned(&jpeg(&wide(26), 90), 2)),
        ],
    );
    assert_eq!([images[1].width, images[1].height], [40, 80], "upright");
    (images[3].width, images[3].height) = (80, 40);
    (images[4].width, images[4].height) = (90, 45);
    (images[5].width, images[5].height) = (160, 80);
    images.push(record(8, "missing.jpg", [1, 1]));
    std::fs::write(folder.path().join("broken.jpg"), b"no picture").unwrap();
    images.push(record(9, "broken.jpg", [1, 1]));
    let boxes = [
        (2, [30.0, 60.0, 10.0, 20.0]),
        (3, [60.0, 10.0, 20.0, 30.0]),
        (5, [10.0, 10.0, 60.0, 20.0]),
        (6, [100.0, 10.0, 50.0, 20.0]),
    ];
    let images_in = ImageFolder::new(folder.path());
    let options = CheckOptions { images: Some(&images_in), ..CheckOptions::default() };
    let checked = check(&set(images, &boxes), &options, &|| ());
    let found = |kind: Kind| {
        let finding = checked.findings.iter().find(|f| f.kind == kind).unwrap_or_else(|| panic!("{kind:?}"));
        (finding.count, finding.examples.join("; "))
    };
    for (kind, count, part) in [
        (Kind::ExifTurned, 2, "handled.jpg (90° clockwise)"),
        (Kind::ExifBoxesUnturned, 1, "boxes.jpg"),
        (Kind::ExifSizeUnturned, 1, "unturned.jpg is 40 x 80 pixels, its annotation says 80 x 40"),
        (Kind::SizeMismatch, 2, "other.jpg is 80 x 40"),
        (Kind::ImageMissing, 1, "missing.jpg"),
        (Kind::ImageUndecodable, 1, "broken.jpg"),
    ] {
        let (found, examples) = found(kind);
        assert!(found == count && examples.contains(part), "{kind:?}: {found}, {examples}");
    }
    // The size of far.jpg cannot be right without its box being wrong.
    assert_eq!(checked.sizes.into_iter().collect::<Vec<_>>(), [(5, [80, 40])]);
}
