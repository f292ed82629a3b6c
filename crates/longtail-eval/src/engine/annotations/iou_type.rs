//! What overlaps are measured of.

use std::{fmt, str::FromStr};

use longtail_mask::DILATION_RATIO;
use serde::{Deserialize, Serialize};

/// What overlaps are measured of.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum IouType {
    /// Boxes.
    #[default]
    Bbox,
    /// Masks.
    Segm,
    /// Masks and their boundaries: the smaller of both overlaps, and that of the masks alone for a crowd
    /// (Cheng et al.: Boundary IoU, CVPR 2021).
    Boundary {
        /// Width of the boundary as a share of the image's diagonal, from 0 on; 0.02 in the challenge.
        dilation_ratio: f64,
    },
}

impl IouType {
    /// Boundaries as the challenge has them.
    pub const BOUNDARY: Self = Self::Boundary { dilation_ratio: DILATION_RATIO };

    /// Whether ground truth and detections need masks.
    pub fn needs_masks(self) -> bool {
        self != Self::Bbox
    }

    /// The name without the ratio.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bbox => "bbox",
            Self::Segm => "segm",
            Self::Boundary { .. } => "boundary",
        }
    }
}

impl fmt::Display for IouType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boundary { dilation_ratio } if *self != Self::BOUNDARY => {
                write!(f, "boundary, dilation ratio {dilation_ratio}")
            }
            _ => f.write_str(self.name()),
        }
    }
}

impl FromStr for IouType {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = [Self::Bbox, Self::Segm, Self::BOUNDARY].into_iter().find(|of| of.name() == name);
        found.ok_or_else(|| format!("`{name}` is not a type of IoU; choose bbox, segm or boundary"))
    }
}
