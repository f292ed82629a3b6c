//! Two-stage object detectors.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`config`] | every setting of a detector, with defaults and checks |
//! | [`faster_rcnn`] | the detector, detections, features of proposals |
//! | [`training`] | a training step: losses, RoI features |
//! | [`mod@cascade`] | boxes and logits over the heads of a Cascade R-CNN |
//! | [`backbone`], [`fpn`] | features of an image |
//! | [`anchors`], [`rpn`] | proposals |
//! | [`roi_head`] | features and box regression of regions |
//! | [`mod@candidates`] | all that a training step could sample, with features |
//! | [`decode`] | detections from scores and regressed boxes |
//! | [`matcher`], [`boxes`], [`nms`] | geometry on the host |
//! | [`postprocess`] | from scored boxes to detections: threshold, suppression, caps |
//! | [`layers`] | convolution with its normalisation, and initial weights |
//! | [`mod@device`] | processor or GPU |
//! | [`ops`] | fast operations with hand-written backward passes |

pub mod anchors;
pub mod backbone;
pub mod boxes;
pub mod candidates;
pub mod cascade;
pub mod config;
pub mod decode;
pub mod device;
pub mod error;
pub mod faster_rcnn;
pub mod fpn;
pub mod layers;
mod losses;
pub mod matcher;
pub mod nms;
pub mod ops;
pub mod postprocess;
pub mod roi_head;
pub mod rpn;
pub mod training;

pub use candidates::{CandidateFeatures, Candidates};
pub use config::{FasterRcnnConfig, TestConfig};
pub use error::DetectError;
pub use faster_rcnn::{Detections, FasterRcnn, ImageBatch, ImageMeta, ProposalFeatures};
pub use training::{HeadOutput, HeadRois, Losses, RoiFeatures, TrainOutput};
