//! Colour jitter.

use rand::{RngExt, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{boxes::share, sample::RgbImage};

/// Changes of brightness, contrast, saturation and hue by random amounts in random order, with the formulas
/// of torchvision's `ColorJitter`. Between the changes values are not rounded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ColorJitter {
    /// How often.
    pub probability: f64,
    /// The factor of brightness is drawn from 1 ± this; 0: unchanged.
    pub brightness: f32,
    /// The factor of contrast is drawn from 1 ± this.
    pub contrast: f32,
    /// The factor of saturation is drawn from 1 ± this.
    pub saturation: f32,
    /// The shift of hue, in turns of the colour circle, is drawn from ± this; at most 0.5.
    pub hue: f32,
}

impl Default for ColorJitter {
    fn default() -> Self {
        Self { probability: 0.5, brightness: 0.2, contrast: 0.2, saturation: 0.2, hue: 0.03 }
    }
}

/// One change of colours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ColorChange {
    /// Values times the factor.
    Brightness(f32),
    /// Distance from the image's mean grey times the factor.
    Contrast(f32),
    /// Distance from the pixel's grey times the factor.
    Saturation(f32),
    /// Hue shifted by so many turns.
    Hue(f32),
}

impl ColorJitter {
    pub(super) fn validate(&self) -> Result<(), String> {
        share("probability", self.probability)?;
        for (name, value) in
            [("brightness", self.brightness), ("contrast", self.contrast), ("saturation", self.saturation)]
        {
            share(name, value.into())?;
        }
        if !(0.0..=0.5).contains(&self.hue) {
            return Err(format!("hue is {}; it must be between 0 and 0.5", self.hue));
        }
        Ok(())
    }

    /// Changes the colours, or leaves them.
    pub fn apply(&self, image: &mut RgbImage, generator: &mut ChaCha8Rng) {
        if generator.random::<f64>() >= self.probability {
            return;
        }
        // All four are drawn in any case, so that one setting does not decide another's amount.
        let mut draw = |width: f32| generator.random_range(-1.0..=1.0_f32) * width;
        let mut changes = [
            ColorChange::Brightness(1.0 + draw(self.brightness)),
            ColorChange::Contrast(1.0 + draw(self.contrast)),
            ColorChange::Saturation(1.0 + draw(self.saturation)),
            ColorChange::Hue(draw(self.hue)),
        ];
        changes.shuffle(generator);
        change_colors(image, &changes);
    }
}

/// Applies changes in order; those that change nothing cost nothing.
pub fn change_colors(image: &mut RgbImage, changes: &[ColorChange]) {
    use ColorChange::{Brightness, Contrast, Hue, Saturation};
    let nothing =
        |c: &&ColorChange| !matches!(c, Brightness(1.0) | Contrast(1.0) | Saturation(1.0)) && **c != Hue(0.0);
    let changes: Vec<&ColorChange> = changes.iter().filter(nothing).collect();
    if changes.is_empty() {
        return;
    }
    let (pixels, rest) = image.pixels.as_chunks::<3>();
    debug_assert!(rest.is_empty());
    let mut values: Vec<[f32; 3]> = pixels.iter().map(|p| p.map(f32::from)).collect();
    for change in changes {
        match *change {
            Brightness(factor) => each(&mut values, |p| p.map(|v| v * factor)),
            Contrast(factor) => {
                let sum: f64 = values.iter().map(|p| f64::from(grey(*p))).sum();
                let mean = (sum / values.len().max(1) as f64) as f32;
                each(&mut values, |p| p.map(|v| mean + (v - mean) * factor));
            }
            Saturation(factor) => each(&mut values, |p| {
                let grey = grey(p);
                p.map(|v| grey + (v - grey) * factor)
            }),
            Hue(turns) => each(&mut values, |p| shift_hue(p, turns)),
        }
    }
    for (target, value) in image.pixels.iter_mut().zip(values.as_flattened()) {
        *target = value.round() as u8;
    }
}

fn each(values: &mut [[f32; 3]], change: impl Fn([f32; 3]) -> [f32; 3]) {
    for p in values {
        *p = change(*p).map(|v| v.clamp(0.0, 255.0));
    }
}

/// ITU-R BT.601 luma, with torchvision's digits.
fn grey([r, g, b]: [f32; 3]) -> f32 {
    0.2989 * r + 0.587 * g + 0.114 * b
}

/// Turns the colour circle, in HSV; value and saturation stay.
fn shift_hue([r, g, b]: [f32; 3], turns: f32) -> [f32; 3] {
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    let chroma = most - least;
    if chroma <= 0.0 {
        return [r, g, b];
    }
    let sixths = if most == r {
        (g - b) / chroma
    } else if most == g {
        (b - r) / chroma + 2.0
    } else {
        (r - g) / chroma + 4.0
    };
    let hue = (sixths + 6.0 * turns).rem_euclid(6.0);
    // Each channel's distance from its own corner of the hexagon says how much of the chroma it has.
    let channel = |corner: f32| {
        let k = (corner + hue).rem_euclid(6.0);
        most - chroma * k.min(4.0 - k).clamp(0.0, 1.0)
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}
