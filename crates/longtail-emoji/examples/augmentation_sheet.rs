//! Draws every augmentation on a few scenes with their boxes, to be looked at by eye: objects pink, regions
//! that are ignored yellow.
//!
//! `cargo run --release -p longtail-emoji --example augmentation_sheet -- docs/images/augmentations.jpg`

use std::{convert::Infallible, sync::Arc};

use embedded_graphics::{
    Drawable, Pixel,
    draw_target::DrawTarget,
    geometry::{OriginDimensions, Point, Size},
    mono_font::{MonoTextStyle, ascii::FONT_7X13},
    pixelcolor::{Rgb888, RgbColor},
    text::Text,
};
use image::{Rgb, RgbImage};
use longtail_data::{
    Augmentation, Augmenter, Dataset, Draw, Resize, Sample, Transform,
    augment::{ColorJitter, CopyPaste, HorizontalFlip, LargeScaleJitter, MultiScale, RandomCrop, Shape},
    boxes::{BoxPolicy, Cut},
};
use longtail_emoji::{Split, World, WorldConfig};

const SIDE: u32 = 160;
const GAP: u32 = 4;
const COLUMNS: u32 = 4;
/// JPEG quality: the sheet is part of the documents.
const QUALITY: u8 = 60;
const TEXT: u32 = 16;

struct Sheet(RgbImage);

impl OriginDimensions for Sheet {
    fn size(&self) -> Size {
        Size::new(self.0.width(), self.0.height())
    }
}

impl DrawTarget for Sheet {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(Point { x, y }, color) in pixels {
            if let Some(pixel) = self.0.get_pixel_mut_checked(x as u32, y as u32) {
                *pixel = Rgb([color.r(), color.g(), color.b()]);
            }
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("give the file to write")?;
    let world = World::new(&WorldConfig { image_size: SIDE, images: 1200, ..WorldConfig::default() })?;
    let drawn = world.draw_all(Split::Train, &mut |_, _| {})?;
    let dataset = Arc::new(Dataset::new(drawn.annotations, drawn.images)?);
    let crop = |cut| {
        Augmentation::RandomCrop(RandomCrop {
            probability: 1.0,
            size: [0.5, 0.8],
            boxes: BoxPolicy { cut, ..BoxPolicy::default() },
            ..Default::default()
        })
    };
    let paste = |rarity| {
        Augmentation::CopyPaste(CopyPaste {
            probability: 1.0,
            rarity,
            shape: Shape::Box,
            ..Default::default()
        })
    };
    let rows: Vec<(&str, Vec<Augmentation>)> = vec![
        ("as it is", vec![]),
        ("horizontal-flip", vec![Augmentation::HorizontalFlip(HorizontalFlip { probability: 1.0 })]),
        (
            "multi-scale: short side 80, 112, 144 or 160",
            vec![Augmentation::MultiScale(MultiScale { short: vec![80, 112, 144, 160], max: 160 })],
        ),
        (
            "large-scale-jitter: scale 0.3 to 2",
            vec![Augmentation::LargeScaleJitter(LargeScaleJitter {
                size: SIDE,
                scale: [0.3, 2.0],
                ..Default::default()
            })],
        ),
        ("random-crop, cut = clip", vec![crop(Cut::Clip)]),
        ("random-crop, cut = drop: what was cut is ignored", vec![crop(Cut::Drop)]),
        (
            "color-jitter, strong: 0.5, 0.5, 0.5, hue 0.1",
            vec![Augmentation::ColorJitter(ColorJitter {
                probability: 1.0,
                brightness: 0.5,
                contrast: 0.5,
                saturation: 0.5,
                hue: 0.1,
            })],
        ),
        ("copy-paste, boxes, rarity 0", vec![paste(0.0)]),
        (
            "copy-paste, boxes, rarity 2, then large-scale-jitter",
            vec![
                paste(2.0),
                Augmentation::LargeScaleJitter(LargeScaleJitter {
                    size: SIDE,
                    scale: [0.6, 1.6],
                    ..Default::default()
                }),
            ],
        ),
    ];
    let busy = |index: &usize| (2..=5).contains(&dataset.boxes_of(*index));
    let scenes: Vec<usize> = (0..dataset.len()).filter(busy).take(COLUMNS as usize).collect();
    let (width, height) = (COLUMNS * (SIDE + GAP) + GAP, rows.len() as u32 * (SIDE + GAP + TEXT) + GAP);
    let mut sheet = Sheet(RgbImage::from_pixel(width, height, Rgb([255; 3])));
    for (row, (name, augmentations)) in rows.into_iter().enumerate() {
        let top = GAP + row as u32 * (SIDE + GAP + TEXT);
        let style = MonoTextStyle::new(&FONT_7X13, Rgb888::BLACK);
        Text::new(name, Point::new(GAP as i32, top as i32 + 11), style).draw(&mut sheet)?;
        let transform =
            Transform { resize: Resize::Keep, horizontal_flip: 0.0, augmentations, ..Transform::default() };
        let augmenter = Augmenter::new(Arc::clone(&dataset), transform)?;
        for (column, &index) in scenes.iter().enumerate() {
            let draw = Draw { index, position: column as u64, seed: 4 };
            let cell =
                marked(augmenter.prepare(&draw)?.sample).ok_or("a sample has width × height pixels")?;
            let left = GAP + column as u32 * (SIDE + GAP);
            let grey = RgbImage::from_pixel(SIDE, SIDE, Rgb([225; 3]));
            image::imageops::replace(&mut sheet.0, &grey, left.into(), (top + TEXT).into());
            image::imageops::replace(&mut sheet.0, &cell, left.into(), (top + TEXT).into());
        }
    }
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, QUALITY).encode_image(&sheet.0)?;
    Ok(())
}

/// The image with its boxes.
fn marked(sample: Sample) -> Option<RgbImage> {
    let Sample { image, targets, .. } = sample;
    let mut picture = RgbImage::from_raw(image.width, image.height, image.pixels)?;
    let objects = targets.boxes.iter().map(|b| (b, Rgb([255, 0, 110])));
    let ignored = targets.crowd_boxes.iter().map(|b| (b, Rgb([255, 220, 0])));
    for (b, color) in ignored.chain(objects) {
        let last = [image.width, image.height].map(|side| f64::from(side) - 1.0);
        let x = [b[0].into(), f64::from(b[2]) - 1.0].map(|v: f64| v.round().clamp(0.0, last[0]) as u32);
        let y = [b[1].into(), f64::from(b[3]) - 1.0].map(|v: f64| v.round().clamp(0.0, last[1]) as u32);
        for px in x[0]..=x[1].max(x[0]) {
            y.iter().for_each(|&y| picture.put_pixel(px, y, color));
        }
        for py in y[0]..=y[1].max(y[0]) {
            x.iter().for_each(|&x| picture.put_pixel(x, py, color));
        }
    }
    Some(picture)
}
