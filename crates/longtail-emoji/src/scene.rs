//! An image with its objects.

use longtail_data::RgbImage;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::{
    artwork::{Artwork, Drawing},
    classes::{Class, Emoji},
    error::EmojiError,
    random::{bell, chance, uniform},
    sprite::Appearance,
};
use std::sync::Arc;

/// Share of an object that must be visible for it to be annotated.
const MIN_VISIBLE: f32 = 0.2;
/// Alpha from which a pixel belongs to an object.
const SOLID: f32 = 0.5;
/// Layouts tried until every class of the plan is visible.
const LAYOUTS: usize = 12;

/// A visible object.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Label of its class.
    pub label: u32,
    /// x, y, width, height of the visible pixels.
    pub bbox: [u32; 4],
    /// Visible pixels.
    pub area: u32,
    /// Share of the object's pixels that is visible.
    pub visible: f32,
}

/// An image and what is annotated in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// The pixels.
    pub image: RgbImage,
    /// Objects of which enough is visible, back to front.
    pub objects: Vec<Object>,
}

/// What lies in a scene, back to front: a label, or none for a distractor.
struct Item {
    label: Option<u32>,
    drawing: Arc<Drawing>,
    appearance: Appearance,
}

/// Draws a scene with objects of `labels`. Layouts are drawn anew until every class is visible, so that image
/// counts are the plan's.
///
/// # Errors
/// If a drawing is missing.
pub fn draw(
    classes: &[Class],
    distractors: &[&Emoji],
    artwork: &Artwork,
    labels: &[u32],
    side: u32,
    generator: &mut ChaCha8Rng,
) -> Result<Scene, EmojiError> {
    let mut best: Option<(usize, Vec<Item>, Vec<Object>)> = None;
    for _ in 0..LAYOUTS {
        let items = layout(classes, distractors, artwork, labels, side, generator)?;
        let objects = visible_objects(&items, side);
        let missing = labels.iter().filter(|label| objects.iter().all(|o| o.label != **label)).count();
        if best.as_ref().is_none_or(|(least, _, _)| missing < *least) {
            best = Some((missing, items, objects));
        }
        if missing == 0 {
            break;
        }
    }
    let (_, items, objects) = best.expect("at least one layout was drawn");
    Ok(Scene { image: paint(&items, side, generator), objects })
}

fn layout(
    classes: &[Class],
    distractors: &[&Emoji],
    artwork: &Artwork,
    labels: &[u32],
    side: u32,
    generator: &mut ChaCha8Rng,
) -> Result<Vec<Item>, EmojiError> {
    let mut items: Vec<Item> = Vec::new();
    let mut add = |label: Option<u32>, emoji: &Emoji, generator: &mut ChaCha8Rng| -> Result<(), EmojiError> {
        // Squared: small objects are more frequent than large ones.
        let share = uniform(generator, 0.0, 1.0);
        let size = side as f32 * (0.13 + 0.27 * share * share);
        let centre = place(&items, size, side, generator);
        let appearance = Appearance::draw(generator, centre, size);
        // A low-resolution drawing is a blurred object.
        let sharpness = if chance(generator, 0.3) { 0.5 } else { 1.0 };
        let drawing = artwork.drawing(emoji, size * sharpness)?;
        items.push(Item { label, drawing, appearance });
        Ok(())
    };
    for _ in 0..generator.random_range(0..3) {
        let emoji = distractors[generator.random_range(0..distractors.len())];
        add(None, emoji, generator)?;
    }
    let mut order: Vec<u32> = labels.to_vec();
    rand::seq::SliceRandom::shuffle(order.as_mut_slice(), generator);
    for label in order {
        add(Some(label), &classes[label as usize].emoji, generator)?;
    }
    Ok(items)
}

/// The least crowded of some random places.
fn place(items: &[Item], size: f32, side: u32, generator: &mut ChaCha8Rng) -> [f32; 2] {
    let (low, high) = (size * 0.4, side as f32 - size * 0.4);
    let mut best = ([side as f32 / 2.0; 2], f32::INFINITY);
    for _ in 0..4 {
        let centre = [uniform(generator, low, high), uniform(generator, low, high)];
        let crowding: f32 = items
            .iter()
            .map(|item| {
                let near = (size + item.appearance.size) / 2.0;
                let apart =
                    |axis: usize| (near - (centre[axis] - item.appearance.centre[axis]).abs()).max(0.0);
                apart(0) * apart(1)
            })
            .sum();
        if crowding < best.1 {
            best = (centre, crowding);
        }
    }
    best.0
}

/// Pixels that an item may touch, inside a canvas that reaches over the image's borders by `margin`.
fn extent(item: &Item, side: u32, margin: i32) -> [std::ops::Range<i32>; 2] {
    let (reach, centre) = (item.appearance.reach, item.appearance.centre);
    [0, 1].map(|axis| {
        let low = (centre[axis] - reach).floor() as i32;
        let high = (centre[axis] + reach).ceil() as i32;
        low.max(-margin)..high.min(side as i32 + margin)
    })
}

fn at(item: &Item, x: i32, y: i32) -> Option<([f32; 3], f32)> {
    item.appearance.at(&item.drawing, x as f32 + 0.5, y as f32 + 0.5)
}

/// Objects of which enough is visible, with boxes tight around their visible pixels.
fn visible_objects(items: &[Item], side: u32) -> Vec<Object> {
    let mut owner: Vec<usize> = vec![usize::MAX; (side * side) as usize];
    let mut total = vec![0_u32; items.len()];
    for (index, item) in items.iter().enumerate() {
        let [columns, rows] = extent(item, side, side as i32);
        for y in rows {
            for x in columns.clone() {
                if at(item, x, y).is_some_and(|(_, alpha)| alpha >= SOLID) {
                    total[index] += 1;
                    if (0..side as i32).contains(&x) && (0..side as i32).contains(&y) {
                        owner[(y * side as i32 + x) as usize] = index;
                    }
                }
            }
        }
    }
    let mut bounds = vec![[u32::MAX, u32::MAX, 0, 0]; items.len()];
    let mut area = vec![0_u32; items.len()];
    for (place, &index) in owner.iter().enumerate().filter(|(_, index)| **index != usize::MAX) {
        let (x, y) = (place as u32 % side, place as u32 / side);
        let b = &mut bounds[index];
        *b = [b[0].min(x), b[1].min(y), b[2].max(x + 1), b[3].max(y + 1)];
        area[index] += 1;
    }
    items
        .iter()
        .enumerate()
        .filter_map(|(index, item)| {
            let [x1, y1, x2, y2] = bounds[index];
            let visible = area[index] as f32 / total[index].max(1) as f32;
            let enough = visible >= MIN_VISIBLE && area[index] > 0 && x2 > x1 + 1 && y2 > y1 + 1;
            item.label.filter(|_| enough).map(|label| Object {
                label,
                bbox: [x1, y1, x2 - x1, y2 - y1],
                area: area[index],
                visible,
            })
        })
        .collect()
}

fn paint(items: &[Item], side: u32, generator: &mut ChaCha8Rng) -> RgbImage {
    let mut canvas = background(side, generator);
    for item in items {
        let [columns, rows] = extent(item, side, 0);
        for y in rows {
            for x in columns.clone() {
                if let Some((colour, alpha)) = at(item, x, y) {
                    let pixel = &mut canvas[(y * side as i32 + x) as usize];
                    for (value, colour) in pixel.iter_mut().zip(colour) {
                        *value += (colour - *value) * alpha;
                    }
                }
            }
        }
    }
    let (contrast, light) = (uniform(generator, 0.8, 1.15), uniform(generator, -0.08, 0.08));
    let noise = uniform(generator, 0.0, 0.06);
    let mut pixels = Vec::with_capacity(canvas.len() * 3);
    for pixel in canvas {
        for value in pixel {
            let value = (value - 0.5) * contrast + 0.5 + light + noise * bell(generator);
            pixels.push((value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8);
        }
    }
    RgbImage { width: side, height: side, pixels }
}

/// Two blended colours with smooth noise and a few flat shapes.
fn background(side: u32, generator: &mut ChaCha8Rng) -> Vec<[f32; 3]> {
    let mut colour = |low: f32, high: f32| [0; 3].map(|_| uniform(generator, low, high));
    let (from, to) = (colour(0.1, 0.95), colour(0.1, 0.95));
    let (slope, lattice) = (colour(-1.0, 1.0), 6);
    let grid: Vec<f32> =
        (0..(lattice + 1) * (lattice + 1)).map(|_| uniform(generator, -0.22, 0.22)).collect();
    let shapes: Vec<([f32; 4], [f32; 3], f32, bool)> = (0..generator.random_range(2..6))
        .map(|_| {
            let centre = [uniform(generator, 0.0, 1.0), uniform(generator, 0.0, 1.0)];
            let half = [uniform(generator, 0.04, 0.3), uniform(generator, 0.04, 0.3)];
            let tint = [0; 3].map(|_| uniform(generator, 0.0, 1.0));
            (
                [centre[0], centre[1], half[0], half[1]],
                tint,
                uniform(generator, 0.3, 0.9),
                chance(generator, 0.5),
            )
        })
        .collect();
    let mut canvas = Vec::with_capacity((side * side) as usize);
    for row in 0..side {
        for column in 0..side {
            let (x, y) = ((column as f32 + 0.5) / side as f32, (row as f32 + 0.5) / side as f32);
            let blend = (0.5 + slope[0] * (x - 0.5) + slope[1] * (y - 0.5)).clamp(0.0, 1.0);
            let (gx, gy) = (x * lattice as f32, y * lattice as f32);
            let (cx, cy) = (gx as usize, gy as usize);
            let (fx, fy) = (gx - cx as f32, gy - cy as f32);
            let knot = |dx: usize, dy: usize| grid[(cy + dy) * (lattice + 1) + cx + dx];
            let noise = (knot(0, 0) * (1.0 - fx) + knot(1, 0) * fx) * (1.0 - fy)
                + (knot(0, 1) * (1.0 - fx) + knot(1, 1) * fx) * fy;
            let mut pixel: [f32; 3] = std::array::from_fn(|i| from[i] + (to[i] - from[i]) * blend + noise);
            for (place, tint, strength, round) in &shapes {
                let (dx, dy) = ((x - place[0]) / place[2], (y - place[1]) / place[3]);
                let inside = if *round { dx * dx + dy * dy < 1.0 } else { dx.abs() < 1.0 && dy.abs() < 1.0 };
                if inside {
                    for (value, tint) in pixel.iter_mut().zip(tint) {
                        *value += (tint - *value) * strength;
                    }
                }
            }
            canvas.push(pixel);
        }
    }
    canvas
}
