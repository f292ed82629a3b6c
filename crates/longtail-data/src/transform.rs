//! What happens to an image and its boxes before the network sees them: resize, flip, normalise.

use longtail_draw::Purpose;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    augment::{Augmentation, Shape},
    canvas::{Canvas, Prepared},
    dataset::Dataset,
    error::DataError,
    resize::Resize,
    sample::Sample,
};

/// Preparation of images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Transform {
    /// Target size.
    pub resize: Resize,
    /// Probability of a horizontal flip.
    pub horizontal_flip: f64,
    /// Pad height and width to a multiple of this.
    pub pad_multiple: u32,
    /// Mean of red, green, blue in `0..=255`.
    pub mean: [f32; 3],
    /// Standard deviation of red, green, blue in `0..=255`.
    pub std: [f32; 3],
    /// JPEGs are decoded at a half, a quarter or an eighth of their size where that leaves at least so many
    /// times the pixels of the target along each side, and nothing but `resize` sets the size; 0: never.
    /// Boxes are not touched by it.
    pub scaled_decode: f64,
    /// What else happens to training images, in this order, before `resize` and `horizontal_flip`. With one
    /// that sets the size (`multi-scale`, `large-scale-jitter`), `resize` is for evaluation alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(!skip_serializing_if)]
    pub augmentations: Vec<Augmentation>,
}

impl Default for Transform {
    /// The published recipe: 800 × 1333, flip ½, pad to 32, ImageNet's mean and standard deviation.
    fn default() -> Self {
        Self {
            resize: Resize::ShortSide { short: 800, max: 1333 },
            horizontal_flip: 0.5,
            pad_multiple: 32,
            mean: [123.675, 116.28, 103.53],
            std: [58.395, 57.12, 57.375],
            scaled_decode: 1.5,
            augmentations: Vec::new(),
        }
    }
}

impl Transform {
    /// Checks every setting.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), DataError> {
        let fail = |field, reason: String| Err(DataError::Setting { field, reason });
        if let Resize::ShortSide { short, max } = self.resize
            && (short == 0 || max < short)
        {
            return fail(
                "transform.resize",
                format!("has short {short} and max {max}; it must be 0 < short ≤ max"),
            );
        }
        if !(0.0..=1.0).contains(&self.horizontal_flip) {
            let value = self.horizontal_flip;
            return fail("transform.horizontal_flip", format!("is {value}; it must be between 0 and 1"));
        }
        if self.pad_multiple == 0 || !self.pad_multiple.is_multiple_of(32) {
            let value = self.pad_multiple;
            return fail(
                "transform.pad_multiple",
                format!("is {value}; the feature pyramid needs a multiple of 32"),
            );
        }
        if self.std.iter().any(|v| !v.is_finite() || *v <= 0.0) || self.mean.iter().any(|v| !v.is_finite()) {
            return fail("transform.std", "and mean must be finite, std above 0".into());
        }
        if self.scaled_decode != 0.0 && !(1.0..=8.0).contains(&self.scaled_decode) {
            let value = self.scaled_decode;
            return fail("transform.scaled_decode", format!("is {value}; it must be 0, or between 1 and 8"));
        }
        if self.augmentations.len() as u64 > Purpose::AUGMENTATIONS {
            let reason = format!(
                "has {} entries; at most {} can be told apart",
                self.augmentations.len(),
                Purpose::AUGMENTATIONS
            );
            return fail("transform.augmentations", reason);
        }
        for (index, augmentation) in self.augmentations.iter().enumerate() {
            augmentation.validate(index)?;
        }
        Ok(())
    }

    /// Whether an augmentation cuts objects along their outlines.
    pub fn pastes_masks(&self) -> bool {
        self.augmentations.iter().any(|a| matches!(a, Augmentation::CopyPaste(p) if p.shape == Shape::Mask))
    }

    /// Size that an image of `width` × `height` is scaled to.
    pub fn resized(&self, width: u32, height: u32) -> [u32; 2] {
        self.resize.size(width, height)
    }

    /// Reads an image of a data set, in fewer pixels where those suffice.
    pub(crate) fn read(&self, dataset: &Dataset, index: usize) -> Result<Canvas, DataError> {
        let federated = dataset.is_federated(index);
        let full = self.resize == Resize::Keep || self.scaled_decode == 0.0 || !self.augmentations.is_empty();
        if full {
            return Ok(Canvas::new(dataset.sample(index)?, federated));
        }
        let record = &dataset.set().images[index];
        let target = self.resized(record.width, record.height);
        let least = target.map(|side| (f64::from(side) * self.scaled_decode).ceil() as u32);
        let (sample, divisor) = dataset.reduced_sample(index, least)?;
        Ok(Canvas::reduced(sample, divisor, federated))
    }

    /// Resizes and, if asked, flips a sample with its boxes.
    pub fn apply(&self, sample: Sample, flip: bool) -> Sample {
        self.finish(0, Canvas::new(sample, false), flip, false).sample
    }

    /// The last steps of every image: resize, unless an augmentation has set the size, and flip.
    pub(crate) fn finish(&self, index: usize, mut canvas: Canvas, flipped: bool, sized: bool) -> Prepared {
        let original = canvas.original_size();
        if !sized {
            let [width, height] = canvas.full_size();
            canvas.resize(self.resized(width, height));
        }
        if flipped {
            canvas.flip();
        }
        let Canvas { sample, map, .. } = canvas;
        Prepared { index, original, sample, map, flipped }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{RgbImage, Targets};

    fn sample(width: u32, height: u32, boxes: Vec<[f32; 4]>) -> Sample {
        let pixels = (0..width * height * 3).map(|i| (i % 251) as u8).collect();
        let labels = vec![0; boxes.len()];
        let targets = Targets { boxes, labels, ..Targets::default() };
        Sample { image_id: 1, image: RgbImage { width, height, pixels }, targets }
    }

    #[test]
    fn sizes_follow_the_recipe() {
        let transform = Transform::default();
        assert_eq!(transform.resized(640, 480), [1067, 800]);
        assert_eq!(transform.resized(480, 640), [800, 1067]);
        assert_eq!(transform.resized(2000, 500), [1333, 333]);
        assert_eq!(transform.resized(1, 1), [800, 800]);
        assert_eq!(transform.resized(20_000, 20), [1333, 1]);
    }

    #[test]
    fn extreme_images_pass() {
        let transform =
            Transform { resize: Resize::ShortSide { short: 32, max: 64 }, ..Transform::default() };
        for (width, height) in [(1, 1), (20_000, 20), (3, 700)] {
            let full = [0.0, 0.0, width as f32, height as f32];
            let out = transform.apply(sample(width, height, vec![full]), true);
            let expected = [0.0, 0.0, out.image.width as f32, out.image.height as f32];
            for (found, expected) in out.targets.boxes[0].iter().zip(expected) {
                assert!((found - expected).abs() < 1e-3);
            }
            assert_eq!(out.image.pixels.len() as u32, out.image.width * out.image.height * 3);
        }
    }

    proptest! {
        #[test]
        fn flipping_twice_is_nothing(width in 1_u32..9, height in 1_u32..5) {
            let once = Transform { resize: Resize::Keep, ..Transform::default() };
            let before = sample(width, height, vec![[0.25, 0.0, width as f32, 1.0]]);
            let flipped = once.apply(before.clone(), true);
            for y in 0..height as usize {
                for x in 0..width as usize {
                    let at = |s: &Sample, x: usize| s.image.pixels[(y * width as usize + x) * 3];
                    prop_assert_eq!(at(&flipped, x), at(&before, width as usize - 1 - x));
                }
            }
            prop_assert_eq!(once.apply(flipped, true), before);
        }

        #[test]
        fn boxes_scale_with_the_image(
            width in 1_u32..300, height in 1_u32..300, short in 1_u32..200, x in 0.0_f32..0.9, w in 0.01_f32..0.1,
        ) {
            let transform = Transform { resize: Resize::ShortSide { short, max: short * 3 }, ..Transform::default() };
            let (fw, fh) = (width as f32, height as f32);
            let before = sample(width, height, vec![[x * fw, x * fh, (x + w) * fw, (x + w) * fh]]);
            let after = transform.apply(before, false);
            let (ow, oh) = (after.image.width as f32, after.image.height as f32);
            let expected = [x * ow, x * oh, (x + w) * ow, (x + w) * oh];
            for (found, expected) in after.targets.boxes[0].iter().zip(expected) {
                prop_assert!((found - expected).abs() < 1e-2);
            }
        }
    }

    #[test]
    fn bad_settings_name_their_key() {
        let good = Transform::default();
        for (transform, key) in [
            (Transform { horizontal_flip: 1.5, ..good.clone() }, "horizontal_flip"),
            (Transform { pad_multiple: 20, ..good.clone() }, "pad_multiple"),
            (Transform { std: [0.0, 1.0, 1.0], ..good.clone() }, "std"),
            (Transform { resize: Resize::ShortSide { short: 10, max: 5 }, ..good.clone() }, "resize"),
        ] {
            let error = transform.validate().unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }
}
