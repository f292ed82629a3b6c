//! Target sizes of images.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Target size of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Resize {
    /// The image as it is.
    Keep,
    /// Scale until the short side has `short` pixels, or the long side `max`, whichever comes first.
    ShortSide {
        /// Short side in pixels.
        short: u32,
        /// Most pixels of the long side.
        max: u32,
    },
}

impl Resize {
    /// Size that an image of `width` × `height` is scaled to.
    pub fn size(self, width: u32, height: u32) -> [u32; 2] {
        match self {
            Self::Keep => [width, height],
            Self::ShortSide { short, max } => {
                let (small, large) = (f64::from(width.min(height)), f64::from(width.max(height)));
                let scale = (f64::from(short) / small).min(f64::from(max) / large);
                [width, height].map(|side| ((f64::from(side) * scale).round() as u32).max(1))
            }
        }
    }
}
