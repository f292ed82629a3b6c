//! A protocol, how strictly it follows its reference, and the plan that follows from both.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{
    ground_truth::GroundTruth,
    iou_type::IouType,
    parameters::{AreaRange, Parameters, Planes},
    protocol::Protocol,
};
use crate::{error::EvalError, metric::Cap};

/// Most detections that take part.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MaxDetections {
    /// The protocol's own: 300 an image for LVIS; 1, 10 and 100 an image and class for COCO.
    #[default]
    Protocol,
    /// LVIS: one cap, an image. COCO: caps an image and class in any order; recall is given at each, and the
    /// largest is that of all other metrics.
    Caps(Vec<usize>),
    /// LVIS: no cap at all.
    Unlimited,
}

impl FromStr for MaxDetections {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::Unlimited);
        }
        let caps: Result<Vec<usize>, _> = text.split(',').map(|cap| cap.trim().parse()).collect();
        match caps {
            Ok(caps) if caps.iter().all(|cap| *cap > 0) => Ok(Self::Caps(caps)),
            _ => Err(format!("`{text}` is not a cap; give numbers above 0, separated by commas, or none")),
        }
    }
}

/// A protocol with everything that can be chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The rules.
    pub protocol: Protocol,
    /// What overlaps are measured of.
    pub iou_type: IouType,
    /// Caps of detections.
    pub max_detections: MaxDetections,
    /// The references store the id of a matched box, so that id 0 reads as "no match". `true` counts such
    /// matches.
    pub corrected_ids: bool,
    /// Thresholds, area ranges and whether classes matter.
    pub parameters: Parameters,
}

/// Detections an image of the LVIS protocol.
const LVIS_PER_IMAGE: usize = 300;
/// Detections a class of fixed and pooled AP.
const FIXED_PER_CLASS: usize = 10_000;
/// Detections an image and class, of COCO's three recalls.
const COCO_CAPS: [usize; 3] = [1, 10, 100];

impl Settings {
    /// A protocol as its reference has it, of boxes.
    pub fn strict(protocol: Protocol) -> Self {
        let (max_detections, parameters) = (MaxDetections::Protocol, Parameters::default());
        Self { protocol, iou_type: IouType::Bbox, max_detections, corrected_ids: false, parameters }
    }

    /// What follows from the settings.
    ///
    /// # Errors
    /// If a value has no meaning, or the protocol cannot honour it.
    pub(crate) fn plan(&self) -> Result<Plan, EvalError> {
        let Parameters { iou_thresholds, recall_thresholds, areas, class_agnostic } = &self.parameters;
        self.parameters.check()?;
        let lvis = self.protocol != Protocol::Coco;
        let fail = |name: &'static str, reason: String| Err(EvalError::Parameter { name, reason });
        if *class_agnostic && lvis {
            let reason = format!(
                "the {} protocol scores each class where it is verified, so that classes cannot be left out; use coco",
                self.protocol
            );
            return fail("class_agnostic", reason);
        }
        if let IouType::Boundary { dilation_ratio } = self.iou_type
            && !(dilation_ratio >= 0.0 && dilation_ratio.is_finite())
        {
            let reason = format!("{dilation_ratio} is not a number from 0 on; the challenge's is 0.02");
            return fail("dilation_ratio", reason);
        }
        let (mut per_image, mut per_class, mut caps) = (None, None, Vec::new());
        match (self.protocol, &self.max_detections) {
            (Protocol::Lvis, MaxDetections::Protocol) => per_image = Some(LVIS_PER_IMAGE),
            (Protocol::Lvis, MaxDetections::Caps(given)) => match given[..] {
                [cap] if cap > 0 => per_image = Some(cap),
                _ => {
                    return fail(
                        "max_detections",
                        "the lvis protocol takes one cap above 0, an image".into(),
                    );
                }
            },
            (Protocol::Lvis, MaxDetections::Unlimited) => {}
            (Protocol::LvisFixed | Protocol::LvisPooled, MaxDetections::Protocol) => {
                per_class = Some(FIXED_PER_CLASS);
            }
            (Protocol::Coco, MaxDetections::Protocol) => caps = COCO_CAPS.to_vec(),
            (Protocol::Coco, MaxDetections::Caps(given)) if !given.is_empty() && !given.contains(&0) => {
                caps = given.clone();
                caps.sort_unstable();
                caps.dedup();
            }
            (protocol, _) => return Err(EvalError::CapHasNoMeaning { protocol }),
        }
        let whole = areas.iter().position(|area| area.name == AreaRange::ALL);
        Ok(Plan {
            rules: Rules { crowds: !lvis, ignore_field: lvis, corrected_ids: self.corrected_ids },
            iou_type: self.iou_type,
            federated: lvis,
            per_image,
            per_class,
            caps,
            planes: Planes { thresholds: iou_thresholds.len(), areas: areas.len() },
            iou_thresholds: iou_thresholds.clone(),
            recall_thresholds: recall_thresholds.clone(),
            areas: areas.clone(),
            whole: whole.expect("checked above"),
            class_agnostic: *class_agnostic,
        })
    }
}

/// What differs between the protocols.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Crowd regions match any number of detections, by the share of the detection inside.
    pub crowds: bool,
    /// Ground truth can be marked as ignored by its `ignore` field.
    pub ignore_field: bool,
    /// A match of the box with id 0 is a match; the references read it as none.
    pub corrected_ids: bool,
}

/// Settings as the engine reads them: every value is there and has been checked.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub rules: Rules,
    pub iou_type: IouType,
    /// A class is scored only where it is annotated or verified absent, and boxes without area are left out
    /// (LVIS).
    pub federated: bool,
    /// Best detections of an image, over all classes.
    pub per_image: Option<usize>,
    /// Best detections of a class, over all images.
    pub per_class: Option<usize>,
    /// Best detections of an image and class, ascending; the last is that of all metrics but the smaller
    /// recalls. Empty without such a cap.
    pub caps: Vec<usize>,
    pub planes: Planes,
    pub iou_thresholds: Vec<f64>,
    pub recall_thresholds: Vec<f64>,
    pub areas: Vec<AreaRange>,
    /// Index of the area range `all`.
    pub whole: usize,
    /// All classes are one.
    pub class_agnostic: bool,
}

impl Plan {
    /// Refuses ground truth that the protocol cannot score in part, or that lacks masks.
    ///
    /// # Errors
    /// If images were chosen and the protocol caps classes over all images, or boxes are scored and there are
    /// masks, or the other way round.
    pub(crate) fn check(&self, truth: &GroundTruth) -> Result<(), EvalError> {
        if self.per_class.is_some() && truth.has_other_images() {
            let reason = "lvis-fixed and lvis-pooled cap the detections of a class over all images, so that some of \
                          them cannot be chosen; use lvis or coco, or ground truth of these images alone";
            return Err(EvalError::Parameter { name: "images", reason: reason.into() });
        }
        let reason = match (self.iou_type.needs_masks(), truth.masks.is_some()) {
            (true, false) => {
                "masks are scored, and the ground truth was made without; make it of a MaskedSet"
            }
            (false, true) => {
                "boxes are scored, and the ground truth was made with masks; make it of its set alone"
            }
            _ => return Ok(()),
        };
        Err(EvalError::Parameter { name: "iou_type", reason: reason.into() })
    }

    /// The share of the diagonal that a boundary is wide.
    pub(crate) fn dilation_ratio(&self) -> Option<f64> {
        match self.iou_type {
            IouType::Boundary { dilation_ratio } => Some(dilation_ratio),
            IouType::Bbox | IouType::Segm => None,
        }
    }

    /// Best detections of an image and class.
    pub(crate) fn per_cell(&self) -> usize {
        self.caps.last().copied().unwrap_or(usize::MAX)
    }

    /// The cap in the names of recalls, such as 300 in `AR@300`.
    pub(crate) fn cap(&self) -> Cap {
        match (self.per_class, self.per_image.or(self.caps.last().copied())) {
            (Some(cap), _) => Cap::PerClass(cap as u64),
            (None, Some(cap)) => Cap::Detections(cap as u64),
            (None, None) => Cap::Unlimited,
        }
    }

    /// Indices of the IoU thresholds that are exactly this.
    pub(crate) fn at_iou(&self, iou: f64) -> Vec<usize> {
        (0..self.iou_thresholds.len()).filter(|&t| self.iou_thresholds[t] == iou).collect()
    }

    /// Plane and bit of IoU 0.5 over all areas, which analyses of single detections go by.
    ///
    /// # Errors
    /// If 0.5 is not among the thresholds.
    pub(crate) fn half(&self, what: &str) -> Result<(usize, u16), EvalError> {
        let index = self.at_iou(0.5).first().copied().ok_or_else(|| EvalError::Parameter {
            name: "iou_thresholds",
            reason: format!("0.5 is not among them, which {what} goes by"),
        })?;
        Ok(self.planes.at(self.whole, index))
    }
}
