//! The choice of rules, over both engines.

use std::{fmt, str::FromStr};

use longtail_annotations::AnnotationSet;

use crate::{
    detection::Detection,
    engine::{
        annotations::{
            evaluation::evaluate,
            protocol::{Protocol, UnknownProtocol},
        },
        open_images::set::OpenImagesSet,
    },
    error::EvalError,
    metric::Metric,
    report::EvalReport,
};

/// Rules to score by: those of annotation files, or those of the Open Images challenge, which has an engine
/// of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scoring {
    /// COCO or LVIS rules.
    Annotations(Protocol),
    /// The challenge's.
    OpenImages,
}

impl Scoring {
    /// The mean that a line of progress shows.
    pub fn headline(self) -> Metric {
        match self {
            Self::Annotations(_) => Metric::AP,
            Self::OpenImages => Metric::CHALLENGE_AP,
        }
    }

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
    type Err = UnknownProtocol;

    fn from_str(name: &str) -> Result<Self, UnknownProtocol> {
        if name == "open-images" { Ok(Self::OpenImages) } else { name.parse().map(Self::Annotations) }
    }
}
