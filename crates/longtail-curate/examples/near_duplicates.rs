//! Copies of the photographs of a folder, changed in many ways: how many are found again, and which pairs are
//! found besides.
//!
//! `cargo run --release -p longtail-data --example near_duplicates -- FOLDER`
//!
//! `--scale` instead of a folder: seconds of the search among many made-up pictures, one in fifty a copy of
//! another.

use std::{io::Cursor, path::PathBuf, time::Instant};

use image::{DynamicImage, codecs::jpeg::JpegEncoder, imageops::FilterType};
use longtail_curate::{
    Fingerprint,
    similarity::{Likeness, groups, near_duplicates},
};
use longtail_data::{RgbImage, read_image};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

type Change = (&'static str, fn(&DynamicImage) -> DynamicImage);

fn cropped(image: &DynamicImage, [left, top, right, bottom]: [f64; 4]) -> DynamicImage {
    let (width, height) = (f64::from(image.width()), f64::from(image.height()));
    let (x, y) = ((left * width) as u32, (top * height) as u32);
    let (w, h) = ((width * (1.0 - left - right)) as u32, (height * (1.0 - top - bottom)) as u32);
    image.crop_imm(x, y, w, h)
}

fn compressed(image: &DynamicImage, quality: u8) -> DynamicImage {
    let mut bytes = Vec::new();
    // Encoding to memory fails for empty pictures alone.
    image
        .to_rgb8()
        .write_with_encoder(JpegEncoder::new_with_quality(Cursor::new(&mut bytes), quality))
        .unwrap();
    image::load_from_memory(&bytes).unwrap()
}

const CHANGES: [Change; 15] = [
    ("quality 90", |i| compressed(i, 90)),
    ("quality 50", |i| compressed(i, 50)),
    ("quality 15", |i| compressed(i, 15)),
    ("half size", |i| i.resize_exact(i.width() / 2, i.height() / 2, FilterType::Triangle)),
    ("quarter size", |i| i.resize_exact(i.width() / 4, i.height() / 4, FilterType::Nearest)),
    ("square", |i| i.resize_exact(300, 300, FilterType::CatmullRom)),
    ("brighter", |i| i.brighten(25)),
    ("grey", |i| i.grayscale()),
    ("mirrored", |i| i.fliph()),
    ("3 % off all sides", |i| cropped(i, [0.03; 4])),
    ("6 % off all sides", |i| cropped(i, [0.06; 4])),
    ("10 % off all sides", |i| cropped(i, [0.1; 4])),
    ("10 % off the left", |i| cropped(i, [0.1, 0.0, 0.0, 0.0])),
    ("8 % off a corner", |i| cropped(i, [0.0, 0.08, 0.08, 0.0])),
    ("5, 2, 7, 9 % off", |i| compressed(&cropped(i, [0.05, 0.02, 0.07, 0.09]), 70)),
];

/// Blotches of colour, or with every fiftieth number those of the one before, a little brighter.
fn blotches(number: u64) -> RgbImage {
    let copy = number % 50 == 49;
    let mut random = ChaCha8Rng::seed_from_u64(if copy { number - 1 } else { number });
    let pixels = (0..8 * 8 * 3).map(|_| random.random_range(0..240_u8) + u8::from(copy)).collect();
    RgbImage { width: 8, height: 8, pixels }
}

fn scale() {
    for count in [25_000_u64, 50_000, 100_000] {
        let pictures: Vec<Fingerprint> =
            (0..count).into_par_iter().map(|n| Fingerprint::of(&blotches(n))).collect();
        let start = Instant::now();
        let pairs = near_duplicates(&pictures);
        let seconds = start.elapsed().as_secs_f64();
        let right = pairs.iter().filter(|p| p.places[0] + 1 == p.places[1] && p.places[1] % 50 == 49).count();
        println!(
            "{count:7} pictures: {seconds:.2} s, {right} of {} copies found, {} other pairs",
            count / 50,
            pairs.len() - right
        );
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("give a folder of images, or --scale")?;
    if folder == "--scale" {
        scale();
        return Ok(());
    }
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)?.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    let start = Instant::now();
    let images: Vec<RgbImage> = paths.par_iter().filter_map(|p| read_image(p).ok()).collect();
    let decoded = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let originals: Vec<Fingerprint> = images.par_iter().map(Fingerprint::of).collect();
    println!(
        "{} images, decoding {decoded:.2} s, fingerprints {:.2} s",
        images.len(),
        start.elapsed().as_secs_f64()
    );
    for pair in near_duplicates(&originals) {
        let [a, b] = pair
            .places
            .map(|place| paths[place].file_name().unwrap_or_default().to_string_lossy().into_owned());
        println!("  {a} and {b}: {:?}", pair.likeness);
    }
    for (name, change) in CHANGES {
        let copies: Vec<Fingerprint> = images
            .par_iter()
            .map(|image| {
                let pixels = image::RgbImage::from_raw(image.width, image.height, image.pixels.clone());
                let copy = change(&DynamicImage::ImageRgb8(pixels.unwrap_or_default())).to_rgb8();
                Fingerprint::of(&RgbImage {
                    width: copy.width(),
                    height: copy.height(),
                    pixels: copy.into_raw(),
                })
            })
            .collect();
        let mut distances: Vec<u32> =
            originals.iter().zip(&copies).map(|(a, b)| a.hash.distance(b.hash)).collect();
        distances.sort_unstable();
        let all: Vec<Fingerprint> = originals.iter().chain(&copies).cloned().collect();
        let group = groups(&all);
        let count = originals.len();
        let found = (0..count).filter(|&place| group[place] == group[count + place]).count();
        let strange = near_duplicates(&all)
            .iter()
            .filter(|p| p.places[0] % count != p.places[1] % count && matches!(p.likeness, Likeness::Near(_)))
            .count();
        println!(
            "{name:20} found {:5.1} %  distance median {:2} 95 % {:2}  pairs of different pictures {strange}",
            100.0 * found as f64 / count as f64,
            distances[count / 2],
            distances[count * 95 / 100],
        );
    }
    Ok(())
}
