//! Augmentations of the size of images.

use rand::{RngExt, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{boxes::BoxPolicy, canvas::Canvas, resize::Resize};

/// Largest side that a setting may ask for, in pixels.
const MAX_SIDE: u32 = 16_384;

/// Multi-scale training: the short side is one of several, as in Detectron2's 640–800. Takes the place of
/// `transform.resize`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MultiScale {
    /// Short sides in pixels, one of which is drawn.
    pub short: Vec<u32>,
    /// Most pixels of the long side.
    pub max: u32,
}

impl Default for MultiScale {
    fn default() -> Self {
        Self { short: vec![640, 672, 704, 736, 768, 800], max: 1333 }
    }
}

impl MultiScale {
    pub(super) fn validate(&self) -> Result<(), String> {
        let Some(&longest) = self.short.iter().max() else {
            return Err("short is empty; it must hold at least one side".into());
        };
        if self.short.contains(&0) || longest > self.max || self.max > MAX_SIDE {
            let (short, max) = (&self.short, self.max);
            return Err(format!("short is {short:?} and max {max}; it must be 0 < short ≤ max ≤ {MAX_SIDE}"));
        }
        Ok(())
    }

    /// Scales to one of the sizes.
    pub fn apply(&self, canvas: &mut Canvas, generator: &mut ChaCha8Rng) {
        if let Some(&short) = self.short.choose(generator) {
            let [width, height] = canvas.size();
            canvas.resize(Resize::ShortSide { short, max: self.max }.size(width, height));
        }
    }
}

/// Large-scale jitter (Du et al., arXiv 2107.00057; with copy-paste: Ghiasi et al., CVPR 2021): the image is
/// scaled to fit a square of `size` and then by a factor drawn from `scale`; of what reaches out of the
/// square a random window is kept. Takes the place of `transform.resize`. A smaller image is not padded to
/// the square: a batch pads as far as its largest image needs, and the detector knows the padding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LargeScaleJitter {
    /// Side of the square in pixels.
    pub size: u32,
    /// Least and largest factor.
    pub scale: [f64; 2],
    /// What becomes of boxes that are cut.
    pub boxes: BoxPolicy,
}

impl Default for LargeScaleJitter {
    fn default() -> Self {
        Self { size: 1024, scale: [0.1, 2.0], boxes: BoxPolicy::default() }
    }
}

impl LargeScaleJitter {
    pub(super) fn validate(&self) -> Result<(), String> {
        let (size, [least, most]) = (self.size, self.scale);
        if size == 0 || size > MAX_SIDE {
            return Err(format!("size is {size}; it must be between 1 and {MAX_SIDE}"));
        }
        if !(least > 0.0 && least <= most && most <= 16.0) {
            return Err(format!("scale is {least} to {most}; it must be 0 < least ≤ most ≤ 16"));
        }
        self.boxes.validate()
    }

    /// Scales and crops.
    pub fn apply(&self, canvas: &mut Canvas, generator: &mut ChaCha8Rng) {
        let [least, most] = self.scale;
        let size = canvas.size();
        let fit = f64::from(self.size) / f64::from(size[0].max(size[1]));
        let factor = fit * generator.random_range(least..=most);
        let scaled = size.map(|side| ((f64::from(side) * factor).round() as u32).max(1));
        let window = scaled.map(|side| side.min(self.size));
        let corner = [0, 1].map(|i| generator.random_range(0..=scaled[i] - window[i]));
        canvas.scale_and_crop(scaled, corner, window, &self.boxes);
    }
}
