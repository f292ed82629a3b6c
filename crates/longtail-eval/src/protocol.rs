//! The choice of rules.

use std::{fmt, str::FromStr};

use longtail_data::AnnotationSet;
use serde::{Deserialize, Serialize};

use crate::{coco, detection::Detection, error::EvalError, input::check, lvis, report::EvalReport};

/// Rules to score detections by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// LVIS box AP (PyPI `lvis` 0.5.3): federated, at most 300 detections an image.
    Lvis,
    /// COCO box AP (`pycocotools` 2.0.11): exhaustive, with crowds, 100 detections an image and class.
    Coco,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lvis => "lvis",
            Self::Coco => "coco",
        })
    }
}

impl FromStr for Protocol {
    type Err = EvalError;

    fn from_str(name: &str) -> Result<Self, EvalError> {
        match name {
            "lvis" => Ok(Self::Lvis),
            "coco" => Ok(Self::Coco),
            _ => Err(EvalError::UnknownProtocol { name: name.to_owned() }),
        }
    }
}

/// Scores detections against ground truth.
///
/// # Errors
/// If a detection or a ground-truth box is not finite or has a negative size, a detection is of an unknown image, ids
/// are repeated, or the ground truth lacks fields that the protocol needs. Detections of unknown classes are no error:
/// the references leave them out.
pub fn evaluate(
    protocol: Protocol,
    truth: &AnnotationSet,
    detections: &[Detection],
) -> Result<EvalReport, EvalError> {
    check(truth, detections)?;
    match protocol {
        Protocol::Lvis => lvis::evaluate(truth, detections),
        Protocol::Coco => Ok(coco::evaluate(truth, detections)),
    }
}
