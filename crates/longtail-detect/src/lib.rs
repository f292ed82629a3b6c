//! Two-stage object detectors: Faster R-CNN with a feature pyramid, and Cascade R-CNN.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`config`] | every setting of a detector, with defaults and checks |
//! | `faster_rcnn` | the detector, features of proposals |
//! | `training` | a training step: losses, RoI features |
//! | [`mod@cascade`] | boxes and logits over the heads of a Cascade R-CNN |
//! | [`backbone`], [`fpn`] | features of an image |
//! | `anchors`, [`rpn`] | proposals |
//! | [`roi_head`] | features and box regression of regions |
//! | `candidates` | all that a training step could sample, with features |
//! | [`decode`] | detections from scores and regressed boxes |
//! | `matcher`, [`boxes`], [`nms`] | geometry on the host |
//! | [`postprocess`] | from scored boxes to detections: threshold, suppression, caps; views of an image |
//! | [`layers`] | linear layers, convolution with its normalisation, and initial weights |
//!
//! Five ways lead through a [`FasterRcnn`]. All begin with the same features and the same outputs of the RPN:
//!
//! ```text
//! ImageBatch ─ backbone ─ FPN ─┬─────────────────────────────── pyramid_features
//!                              └ RPN ─ proposals ┬ sampled ──── forward_train: LossTerms
//!                                                ├ sampled ──── roi_features: what classifiers train on
//!                                                ├ matched ──── candidate_features: what could be sampled
//!                                                └ best ─────── propose_features ─ scores ─ detect
//! ```
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use longtail_detect::{FasterRcnnConfig, ImageBatch};
//! use longtail_detect::backbone::{BackboneConfig, Layout, ResNetConfig};
//!
//! let backbone = ResNetConfig { layout: Layout::Resnet18, width: 4, ..ResNetConfig::default() };
//! let config = FasterRcnnConfig {
//!     backbone: BackboneConfig::Resnet(backbone),
//!     fpn_channels: 8,
//!     ..FasterRcnnConfig::default()
//! };
//! let device = Device::flex();
//! let detector = config.init(3, 4, 0, &device);
//! let images = ImageBatch { pixels: Tensor::zeros([1, 3, 64, 96], &device), sizes: vec![[64, 96]] };
//! let [p2, ..] = detector.pyramid_features(&images);
//! assert_eq!(p2.dims(), [1, 8, 16, 24]);
//! ```

mod anchors;
pub mod backbone;
pub mod boxes;
mod candidates;
pub mod cascade;
pub mod config;
pub mod decode;
mod error;
mod faster_rcnn;
pub mod fpn;
pub mod layers;
mod losses;
mod matcher;
pub mod nms;
pub mod postprocess;
pub mod roi_head;
pub mod rpn;
mod training;

pub use candidates::{CandidateFeatures, Candidates};
pub use config::{FasterRcnnConfig, TestConfig};
pub use decode::ImageMeta;
pub use error::DetectError;
pub use faster_rcnn::{FasterRcnn, ImageBatch, ProposalFeatures};
pub use postprocess::Detections;
pub use training::{HeadOutput, HeadRois, LossTerms, RoiFeatures, TrainOutput};
