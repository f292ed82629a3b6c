//! The choice of rules.

use std::{fmt, str::FromStr};

use longtail_annotations::AnnotationSet;
use serde::{Deserialize, Serialize};

use crate::{
    detection::Detection, error::EvalError, evaluation::evaluate, matches::Selection, matching::Rules,
    open_images::OpenImagesSet, report::EvalReport,
};

/// Rules to score detections by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// LVIS box AP (Gupta et al., CVPR 2019; PyPI `lvis` 0.5.3): federated, at most 300 detections an image.
    Lvis,
    /// LVIS fixed AP (Dave et al., 2021): at most 10,000 detections a class over the data set, any number an image.
    LvisFixed,
    /// LVIS pooled AP (Dave et al., 2021): fixed AP's detections, matched by class and ranked in one list, so that
    /// scores must be comparable across classes.
    LvisPooled,
    /// COCO box AP (Lin et al., ECCV 2014; `pycocotools` 2.0.11): exhaustive, with crowds, 100 detections an image
    /// and class.
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
    type Err = EvalError;

    fn from_str(name: &str) -> Result<Self, EvalError> {
        let found = Self::ALL.into_iter().find(|protocol| protocol.name() == name);
        found.ok_or_else(|| EvalError::UnknownProtocol { name: name.to_owned() })
    }
}

/// Rules to score by: those of annotation files, or those of the Open Images challenge, which has an engine of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scoring {
    /// COCO or LVIS rules.
    Annotations(Protocol),
    /// The challenge's.
    OpenImages,
}

impl Scoring {
    /// Scores detections of a set, given in its own pixels; a set of Open Images must be expanded.
    ///
    /// # Errors
    /// If the set lacks what the rules need, or a detection is of no image or class of the set.
    pub fn evaluate(self, set: &AnnotationSet, detections: &[Detection]) -> Result<EvalReport, EvalError> {
        match self {
            Self::Annotations(protocol) => evaluate(protocol, set, detections),
            Self::OpenImages => OpenImagesSet::new(set)?.evaluate(detections, None),
        }
    }
}

impl fmt::Display for Scoring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Annotations(protocol) => protocol.fmt(f),
            Self::OpenImages => f.write_str("open-images"),
        }
    }
}

impl FromStr for Scoring {
    type Err = EvalError;

    fn from_str(name: &str) -> Result<Self, EvalError> {
        if name == "open-images" { Ok(Self::OpenImages) } else { name.parse().map(Self::Annotations) }
    }
}

/// Most detections of an image under the LVIS protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MaxDetections {
    /// The protocol's own cap: 300 for LVIS.
    #[default]
    Protocol,
    /// Another.
    Images(usize),
    /// None at all.
    Unlimited,
}

impl FromStr for MaxDetections {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("none", _) => Ok(Self::Unlimited),
            (_, Ok(cap)) if cap > 0 => Ok(Self::Images(cap)),
            _ => Err(format!("`{text}` is no cap; give a number above 0, or none")),
        }
    }
}

/// A protocol and how strictly it follows its reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The rules.
    pub protocol: Protocol,
    /// Cap of detections an image; only LVIS has a choice.
    pub max_detections: MaxDetections,
    /// The references store the id of a matched box, so that id 0 reads as "no match". `true` counts such matches.
    pub corrected_ids: bool,
}

/// Detections an image of the LVIS protocol.
const LVIS_PER_IMAGE: usize = 300;
/// Detections a class of fixed and pooled AP.
pub(crate) const FIXED_PER_CLASS: usize = 10_000;
/// Detections an image and class, of COCO's three recalls; the last is that of all other metrics.
pub(crate) const COCO_CAPS: [usize; 3] = [1, 10, 100];

impl Settings {
    /// A protocol as its reference has it.
    pub fn strict(protocol: Protocol) -> Self {
        Self { protocol, max_detections: MaxDetections::Protocol, corrected_ids: false }
    }

    /// Cap of detections an image.
    pub(crate) fn per_image(self) -> Option<usize> {
        match (self.protocol, self.max_detections) {
            (Protocol::Lvis, MaxDetections::Protocol) => Some(LVIS_PER_IMAGE),
            (Protocol::Lvis, MaxDetections::Images(cap)) => Some(cap),
            _ => None,
        }
    }

    /// The cap in the names of recalls, such as `300` of `AR@300`.
    pub(crate) fn cap_name(self) -> String {
        match (self.protocol, self.per_image()) {
            (Protocol::Lvis, Some(cap)) => cap.to_string(),
            (Protocol::Lvis, None) => "all".into(),
            (Protocol::LvisFixed | Protocol::LvisPooled, _) => format!("{FIXED_PER_CLASS}/class"),
            (Protocol::Coco, _) => COCO_CAPS[2].to_string(),
        }
    }

    /// What takes part.
    ///
    /// # Errors
    /// If a cap is given to a protocol that has its own.
    pub(crate) fn selection(self) -> Result<Selection, EvalError> {
        if self.protocol != Protocol::Lvis && self.max_detections != MaxDetections::Protocol {
            return Err(EvalError::CapHasNoMeaning { protocol: self.protocol });
        }
        let lvis = self.protocol != Protocol::Coco;
        let fixed = matches!(self.protocol, Protocol::LvisFixed | Protocol::LvisPooled);
        Ok(Selection {
            rules: Rules { crowds: !lvis, ignore_field: lvis, corrected_ids: self.corrected_ids },
            federated: lvis,
            per_image: self.per_image(),
            per_class: fixed.then_some(FIXED_PER_CLASS),
            per_cell: (!lvis).then_some(COCO_CAPS[2]),
        })
    }
}
