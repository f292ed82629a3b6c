//! Drawings of emoji as pixels.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{Options, Tree},
};
use twemoji_assets::svg::SvgTwemojiAsset;

use crate::{classes::Emoji, error::EmojiError};

/// Sides in pixels at which drawings are made: the smallest that is not below the size in the scene is used,
/// so that nothing is enlarged or shrunk by more than about two.
const SIDES: [u32; 5] = [24, 48, 96, 192, 384];

/// A square drawing, premultiplied red, green, blue, alpha in `0..=1`.
#[derive(Debug)]
pub struct Drawing {
    /// Side in pixels.
    pub side: u32,
    /// `side · side` pixels, row by row.
    pub pixels: Vec<[f32; 4]>,
}

/// Drawings made so far.
#[derive(Debug, Default)]
pub struct Artwork {
    drawings: Mutex<HashMap<(String, u32), Arc<Drawing>>>,
}

impl Artwork {
    /// The drawing of an emoji for a size in the scene.
    ///
    /// # Errors
    /// If there is no such drawing.
    pub fn drawing(&self, emoji: &Emoji, size: f32) -> Result<Arc<Drawing>, EmojiError> {
        let side = SIDES.into_iter().find(|side| *side as f32 >= size).unwrap_or(SIDES[SIDES.len() - 1]);
        let key = (emoji.codepoints.clone(), side);
        let known = self.drawings.lock().expect("no drawing panics").get(&key).cloned();
        if let Some(drawing) = known {
            return Ok(drawing);
        }
        let drawing = Arc::new(draw(emoji, side)?);
        self.drawings.lock().expect("no drawing panics").insert(key, Arc::clone(&drawing));
        Ok(drawing)
    }
}

fn draw(emoji: &Emoji, side: u32) -> Result<Drawing, EmojiError> {
    let fail = |reason: String| EmojiError::Embedded { what: format!("drawing of {}", emoji.name), reason };
    let characters: Option<String> = emoji
        .codepoints
        .split('-')
        .map(|hexadecimal| u32::from_str_radix(hexadecimal, 16).ok().and_then(char::from_u32))
        .collect();
    let characters = characters.ok_or_else(|| fail(format!("`{}` are no code points", emoji.codepoints)))?;
    // Some drawings are filed without the variation selector.
    let plain: String = characters.chars().filter(|c| *c != '\u{fe0f}').collect();
    let asset = SvgTwemojiAsset::from_emoji(&characters)
        .or_else(|| SvgTwemojiAsset::from_emoji(&plain))
        .ok_or_else(|| fail("it is missing".into()))?;
    let tree = Tree::from_str(asset, &Options::default()).map_err(|error| fail(error.to_string()))?;
    let mut pixmap = Pixmap::new(side, side).ok_or_else(|| fail("it is too large".into()))?;
    let scale = side as f32 / tree.size().width().max(tree.size().height());
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixmap.as_mut());
    let pixels =
        pixmap.data().chunks_exact(4).map(|p| [p[0], p[1], p[2], p[3]].map(|v| f32::from(v) / 255.0));
    Ok(Drawing { side, pixels: pixels.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{WorldConfig, classes};

    #[test]
    fn every_class_and_distractor_has_a_drawing() {
        let config = WorldConfig { classes: classes::MAX_CLASSES, images: 100_000, ..WorldConfig::default() };
        let artwork = Artwork::default();
        let classes = classes::choose(&config).unwrap();
        for class in &classes {
            let drawing = artwork.drawing(&class.emoji, 20.0).unwrap();
            assert_eq!(drawing.side, 24);
            let opaque = drawing.pixels.iter().filter(|p| p[3] > 0.5).count();
            assert!(opaque > 24, "{} is empty", class.emoji.name);
        }
        for emoji in classes::distractors().unwrap() {
            assert!(artwork.drawing(emoji, 20.0).is_ok(), "{}", emoji.name);
        }
    }
}
