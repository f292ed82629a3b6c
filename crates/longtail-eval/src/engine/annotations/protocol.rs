//! The names of the rules for annotation files.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Rules to score detections by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// LVIS box AP (Gupta et al., CVPR 2019; PyPI `lvis` 0.5.3): federated, at most 300 detections an image.
    Lvis,
    /// LVIS fixed AP (Dave et al., 2021): at most 10,000 detections a class over the data set, any number an
    /// image.
    LvisFixed,
    /// LVIS pooled AP (Dave et al., 2021): fixed AP's detections, matched by class and ranked in one list, so
    /// that scores must be comparable across classes.
    LvisPooled,
    /// COCO box AP (Lin et al., ECCV 2014; `pycocotools` 2.0.11): exhaustive, with crowds, 100 detections an
    /// image and class.
    Coco,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Lvis, Self::LvisFixed, Self::LvisPooled, Self::Coco];

    fn name(self) -> &'static str {
        match self {
            Self::Lvis => "lvis",
            Self::LvisFixed => "lvis-fixed",
            Self::LvisPooled => "lvis-pooled",
            Self::Coco => "coco",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(name: &str) -> Result<Self, UnknownProtocol> {
        let found = Self::ALL.into_iter().find(|protocol| protocol.name() == name);
        found.ok_or_else(|| UnknownProtocol { name: name.to_owned() })
    }
}

/// A protocol name that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{name}` is not a protocol; choose lvis, lvis-fixed, lvis-pooled or coco; `longtail eval` also knows open-images"
)]
pub struct UnknownProtocol {
    /// As given.
    pub name: String,
}
