//! Random crop.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    boxes::{BoxPolicy, share},
    canvas::Canvas,
};

/// A window of the image, its width and height drawn apart as shares of the image's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RandomCrop {
    /// How often; else the image stays whole.
    pub probability: f64,
    /// Least and largest share of each side.
    pub size: [f64; 2],
    /// Whether the window holds the centre of a box, drawn among all, so that crops are not empty. Images
    /// without boxes are cut anywhere.
    pub around_object: bool,
    /// What becomes of boxes that are cut.
    pub boxes: BoxPolicy,
}

impl Default for RandomCrop {
    fn default() -> Self {
        Self { probability: 0.5, size: [0.5, 1.0], around_object: true, boxes: BoxPolicy::default() }
    }
}

impl RandomCrop {
    pub(super) fn validate(&self) -> Result<(), String> {
        share("probability", self.probability)?;
        let [least, most] = self.size;
        if !(least > 0.0 && least <= most && most <= 1.0) {
            return Err(format!("size is {least} to {most}; it must be 0 < least ≤ most ≤ 1"));
        }
        self.boxes.validate()
    }

    /// Crops, or leaves the image as it is.
    pub fn apply(&self, canvas: &mut Canvas, generator: &mut ChaCha8Rng) {
        if generator.random::<f64>() >= self.probability {
            return;
        }
        let whole = canvas.size();
        let [least, most] = self.size;
        let window = whole.map(|side| {
            let share: f64 = generator.random_range(least..=most);
            ((f64::from(side) * share).round() as u32).clamp(1, side)
        });
        let boxes = &canvas.sample.targets.boxes;
        let center = (self.around_object && !boxes.is_empty()).then(|| {
            let b = boxes[generator.random_range(0..boxes.len())];
            [(b[0] + b[2]) / 2.0, (b[1] + b[3]) / 2.0]
        });
        let corner = [0, 1].map(|i| {
            let (mut first, mut last) = (0, whole[i] - window[i]);
            if let Some(center) = center {
                // A box that reaches out of the image may have its centre outside.
                let pixel = (center[i].max(0.0) as u32).min(whole[i] - 1);
                (first, last) = (first.max((pixel + 1).saturating_sub(window[i])), last.min(pixel));
            }
            generator.random_range(first..=last)
        });
        canvas.scale_and_crop(whole, corner, window, &self.boxes);
    }
}
