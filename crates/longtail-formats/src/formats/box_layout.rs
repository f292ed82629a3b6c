//! What the four numbers of a box are, where a file has them otherwise than its format says.

use std::{fmt, str::FromStr};

use longtail_annotations::AnnotationSet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the four numbers of a box are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BoxLayout {
    /// Left, top, width, height in pixels, as every reader gives them.
    #[default]
    Sizes,
    /// Left, top, right, bottom in pixels.
    Corners,
    /// Centre x, centre y, width, height in pixels.
    Centres,
    /// Top, left, height, width in pixels.
    Swapped,
    /// Left, top, width, height as shares of the image's sides.
    Relative,
}

impl BoxLayout {
    /// Every layout.
    pub const ALL: [Self; 5] = [Self::Sizes, Self::Corners, Self::Centres, Self::Swapped, Self::Relative];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sizes => "sizes",
            Self::Corners => "corners",
            Self::Centres => "centres",
            Self::Swapped => "swapped",
            Self::Relative => "relative",
        }
    }

    /// Left, top, width and height in pixels of a box of this layout in an image of `[width, height]`.
    pub fn to_sizes(self, [a, b, c, d]: [f64; 4], [width, height]: [u32; 2]) -> [f64; 4] {
        let (width, height) = (f64::from(width), f64::from(height));
        match self {
            Self::Sizes => [a, b, c, d],
            Self::Corners => [a, b, c - a, d - b],
            Self::Centres => [a - c / 2.0, b - d / 2.0, c, d],
            Self::Swapped => [b, a, d, c],
            Self::Relative => [a * width, b * height, c * width, d * height],
        }
    }

    /// Gives every box of a set of this layout as left, top, width and height.
    pub(crate) fn apply(self, set: &mut AnnotationSet) {
        if self == Self::Sizes {
            return;
        }
        let sizes: rustc_hash::FxHashMap<i64, [u32; 2]> =
            set.images.iter().map(|image| (image.id, [image.width, image.height])).collect();
        for annotation in &mut set.annotations {
            // A box of an unknown image is named by whatever looks for its image.
            let size = sizes.get(&annotation.image_id).copied().unwrap_or([1, 1]);
            annotation.bbox = self.to_sizes(annotation.bbox, size);
        }
    }
}

impl fmt::Display for BoxLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for BoxLayout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|layout| layout.name() == text);
        found.ok_or_else(|| {
            format!("`{text}` is not a layout of boxes; choose {}", Self::ALL.map(Self::name).join(", "))
        })
    }
}
