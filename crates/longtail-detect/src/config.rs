//! Every setting of a detector. Defaults are the published recipe's (Faster R-CNN R50-FPN).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    backbone::{BackboneConfig, ResNetConfig},
    error::{DetectError, check},
};

/// Most heads after the first.
const MAX_CASCADE: usize = 8;

/// A Faster R-CNN with a feature pyramid, or a Cascade R-CNN.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FasterRcnnConfig {
    /// Backbone.
    pub backbone: BackboneConfig,
    /// Channels of the feature pyramid.
    pub fpn_channels: usize,
    /// Anchors.
    pub anchors: AnchorConfig,
    /// Region proposal network.
    pub rpn: RpnConfig,
    /// RoI head.
    pub roi_head: RoiHeadConfig,
    /// Heads after it, each on the boxes of the one before: with any, this is a Cascade R-CNN.
    pub cascade: Vec<CascadeHeadConfig>,
}

/// A further head of a Cascade R-CNN (Cai and Vasconcelos, CVPR 2018): what it does not share with
/// `roi_head`. It has layers of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CascadeHeadConfig {
    /// IoU from which a box belongs to an object.
    pub positive_iou: f32,
    /// Standard deviations that box deltas are divided by.
    pub box_deviations: [f32; 4],
    /// Weight of its losses; the first head's is 1.
    pub loss_weight: f32,
}

/// Anchors: one scale, several aspect ratios at each level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AnchorConfig {
    /// Side of the square anchor in strides of its level.
    pub scale: f32,
    /// Heights over widths.
    pub ratios: Vec<f32>,
    /// Round the corners of the base anchors to whole pixels, as torchvision; detectron2 and mmdetection 2.x
    /// do not.
    pub rounded: bool,
    /// Distance of neighbours.
    pub spacing: AnchorSpacing,
}

/// Distance of neighbouring anchors of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AnchorSpacing {
    /// The level's stride: 4, 8, 16, 32, 64.
    Stride,
    /// Side of the padded image over side of the feature map, rounded down, as torchvision: less than 64 on
    /// P6 where the image is not a multiple of 64.
    ImageOverMap,
}

/// Matching, sampling and proposals of the region proposal network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RpnConfig {
    /// IoU from which an anchor is an object.
    pub positive_iou: f32,
    /// IoU below which an anchor is background.
    pub negative_iou: f32,
    /// Anchors sampled an image.
    pub samples: usize,
    /// Largest share of objects among them.
    pub positive_fraction: f32,
    /// β of the smooth L1 loss.
    pub smooth_l1_beta: f32,
    /// Anchors a level that go into NMS in training.
    pub pre_nms_train: usize,
    /// Proposals an image in training.
    pub post_nms_train: usize,
    /// Anchors a level that go into NMS at test time.
    pub pre_nms_test: usize,
    /// Proposals an image at test time.
    pub post_nms_test: usize,
    /// IoU of the NMS.
    pub nms_iou: f32,
}

/// Sampling, pooling and layers of the RoI head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RoiHeadConfig {
    /// IoU from which a proposal belongs to an object.
    pub positive_iou: f32,
    /// RoIs sampled an image.
    pub samples: usize,
    /// Largest share of foreground among them.
    pub positive_fraction: f32,
    /// Bins along each side of RoIAlign.
    pub pooled_size: usize,
    /// Samples along each side of a bin; 0: as many as the bin has feature pixels, as detectron2 and
    /// mmdetection 2.x.
    pub sampling_ratio: usize,
    /// Shift RoIAlign by half a pixel.
    pub aligned: bool,
    /// Side of a region that belongs to P4, in pixels; each halving goes down a level.
    pub canonical_size: f32,
    /// Width of the two hidden layers.
    pub hidden: usize,
    /// One box regression for all classes instead of one a class.
    pub class_agnostic: bool,
    /// A last hidden layer for the box regression alone, so that the classifier's can be trained again
    /// without moving boxes.
    pub separate_regression: bool,
    /// Standard deviations that box deltas are divided by.
    pub box_deviations: [f32; 4],
    /// β of the smooth L1 loss.
    pub smooth_l1_beta: f32,
}

/// Decoding of detections. Evaluation and display are two settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TestConfig {
    /// Detections must score more than this.
    pub score_threshold: f32,
    /// IoU of the class-wise NMS.
    pub nms_iou: f32,
    /// Detections an image.
    pub max_detections: usize,
    /// Detections of a class in an image; 0: no limit.
    pub max_per_class: usize,
    /// Smallest side of a box in pixels of the network's input, at least this or the box is left out.
    /// torchvision: 0.01.
    pub min_side: f32,
    /// Boxes of different classes compete too.
    pub class_agnostic_nms: bool,
    /// What happens to boxes that overlap a better one.
    pub suppression: Suppression,
    /// Test-time augmentation.
    pub views: ViewConfig,
}

/// Views of an image whose detections compete: every size, each also mirrored if asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ViewConfig {
    /// Short sides in pixels; none: the size of `transform`.
    pub short_sides: Vec<u32>,
    /// Also mirrored.
    pub mirrored: bool,
}

/// What happens to boxes that overlap a better one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Suppression {
    /// Those that overlap by more than `nms_iou` are dropped.
    Hard,
    /// Soft-NMS (Bodla et al., ICCV 2017), Gaussian: scores shrink by `exp(-IoU² / sigma)`.
    SoftGaussian {
        /// Width.
        sigma: f32,
        /// Boxes that score less than this afterwards are dropped.
        least: f32,
    },
    /// Soft-NMS, linear: scores shrink by `1 - IoU` where the overlap is above `nms_iou`.
    SoftLinear {
        /// Boxes that score less than this afterwards are dropped.
        least: f32,
    },
}

impl Default for FasterRcnnConfig {
    fn default() -> Self {
        Self {
            backbone: BackboneConfig::default(),
            fpn_channels: 256,
            anchors: AnchorConfig::default(),
            rpn: RpnConfig::default(),
            roi_head: RoiHeadConfig::default(),
            cascade: Vec::new(),
        }
    }
}

impl CascadeHeadConfig {
    /// The second and third head as published: IoU 0.6 and 0.7, losses weighing 1/2 and 1/4.
    pub fn published() -> Vec<Self> {
        let head = |positive_iou, [centre, side]: [f32; 2], loss_weight| Self {
            positive_iou,
            box_deviations: [centre, centre, side, side],
            loss_weight,
        };
        vec![head(0.6, [0.05, 0.1], 0.5), head(0.7, [0.033, 0.067], 0.25)]
    }
}

impl Default for AnchorConfig {
    fn default() -> Self {
        Self { scale: 8.0, ratios: vec![0.5, 1.0, 2.0], rounded: true, spacing: AnchorSpacing::Stride }
    }
}

impl Default for RpnConfig {
    fn default() -> Self {
        Self {
            positive_iou: 0.7,
            negative_iou: 0.3,
            samples: 256,
            positive_fraction: 0.5,
            smooth_l1_beta: 1.0 / 9.0,
            pre_nms_train: 2000,
            post_nms_train: 2000,
            pre_nms_test: 1000,
            post_nms_test: 1000,
            nms_iou: 0.7,
        }
    }
}

impl Default for RoiHeadConfig {
    fn default() -> Self {
        Self {
            positive_iou: 0.5,
            samples: 512,
            positive_fraction: 0.25,
            pooled_size: 7,
            sampling_ratio: 2,
            aligned: false,
            canonical_size: 224.0,
            hidden: 1024,
            class_agnostic: false,
            separate_regression: false,
            box_deviations: [0.1, 0.1, 0.2, 0.2],
            smooth_l1_beta: 1.0,
        }
    }
}

impl Default for TestConfig {
    fn default() -> Self {
        Self {
            score_threshold: 0.0,
            nms_iou: 0.5,
            max_detections: 300,
            max_per_class: 0,
            min_side: 0.0,
            class_agnostic_nms: false,
            suppression: Suppression::Hard,
            views: ViewConfig::default(),
        }
    }
}

impl FasterRcnnConfig {
    /// A detector for images of about 160 pixels that trains from scratch in minutes on two cores.
    pub fn small() -> Self {
        Self {
            backbone: BackboneConfig::Resnet(ResNetConfig::small()),
            fpn_channels: 64,
            anchors: AnchorConfig { scale: 4.0, ..AnchorConfig::default() },
            rpn: RpnConfig {
                samples: 64,
                pre_nms_train: 300,
                post_nms_train: 200,
                pre_nms_test: 200,
                post_nms_test: 100,
                ..RpnConfig::default()
            },
            roi_head: RoiHeadConfig {
                samples: 64,
                canonical_size: 112.0,
                hidden: 256,
                class_agnostic: true,
                ..RoiHeadConfig::default()
            },
            cascade: Vec::new(),
        }
    }

    /// Every head's settings with the weight of its losses, the first one first.
    pub(crate) fn heads(&self) -> impl Iterator<Item = (RoiHeadConfig, f32)> {
        let further = self.cascade.iter().map(|head| {
            let CascadeHeadConfig { positive_iou, box_deviations, loss_weight } = *head;
            (RoiHeadConfig { positive_iou, box_deviations, ..self.roi_head.clone() }, loss_weight)
        });
        std::iter::once((self.roi_head.clone(), 1.0)).chain(further)
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// Names the first setting that is out of range and what is accepted.
    pub fn validate(&self) -> Result<(), DetectError> {
        self.backbone.validate()?;
        let fraction =
            |field, value: f32| check(field, value, (0.0..=1.0).contains(&value), "between 0 and 1");
        let count = |field, value: usize| check(field, value, value > 0, "at least 1");
        let above_zero = |field, value: f32| check(field, value, value > 0.0 && value.is_finite(), "above 0");
        count("fpn_channels", self.fpn_channels)?;
        above_zero("anchors.scale", self.anchors.scale)?;
        count("anchors.ratios (length)", self.anchors.ratios.len())?;
        for &ratio in &self.anchors.ratios {
            above_zero("anchors.ratios", ratio)?;
        }
        fraction("rpn.positive_iou", self.rpn.positive_iou)?;
        let below = self.rpn.negative_iou <= self.rpn.positive_iou && self.rpn.negative_iou >= 0.0;
        check("rpn.negative_iou", self.rpn.negative_iou, below, "between 0 and rpn.positive_iou")?;
        count("rpn.samples", self.rpn.samples)?;
        fraction("rpn.positive_fraction", self.rpn.positive_fraction)?;
        above_zero("rpn.smooth_l1_beta", self.rpn.smooth_l1_beta)?;
        count("rpn.pre_nms_train", self.rpn.pre_nms_train)?;
        count("rpn.post_nms_train", self.rpn.post_nms_train)?;
        count("rpn.pre_nms_test", self.rpn.pre_nms_test)?;
        count("rpn.post_nms_test", self.rpn.post_nms_test)?;
        fraction("rpn.nms_iou", self.rpn.nms_iou)?;
        fraction("roi_head.positive_iou", self.roi_head.positive_iou)?;
        count("roi_head.samples", self.roi_head.samples)?;
        fraction("roi_head.positive_fraction", self.roi_head.positive_fraction)?;
        count("roi_head.pooled_size", self.roi_head.pooled_size)?;
        above_zero("roi_head.canonical_size", self.roi_head.canonical_size)?;
        count("roi_head.hidden", self.roi_head.hidden)?;
        for &deviation in &self.roi_head.box_deviations {
            above_zero("roi_head.box_deviations", deviation)?;
        }
        above_zero("roi_head.smooth_l1_beta", self.roi_head.smooth_l1_beta)?;
        check("cascade (length)", self.cascade.len(), self.cascade.len() <= MAX_CASCADE, "at most 8")?;
        for head in &self.cascade {
            // One box a RoI goes on to the next head.
            let agnostic = self.roi_head.class_agnostic;
            check("roi_head.class_agnostic", agnostic, agnostic, "true for a cascade")?;
            fraction("cascade.positive_iou", head.positive_iou)?;
            for &deviation in &head.box_deviations {
                above_zero("cascade.box_deviations", deviation)?;
            }
            above_zero("cascade.loss_weight", head.loss_weight)?;
        }
        Ok(())
    }
}

impl TestConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Names the first setting that is out of range and what is accepted.
    pub fn validate(&self) -> Result<(), DetectError> {
        let fraction =
            |field, value: f32| check(field, value, (0.0..=1.0).contains(&value), "between 0 and 1");
        fraction("test.score_threshold", self.score_threshold)?;
        fraction("test.nms_iou", self.nms_iou)?;
        check("test.max_detections", self.max_detections, self.max_detections > 0, "at least 1")?;
        let finite = self.min_side.is_finite() && self.min_side >= 0.0;
        check("test.min_side", self.min_side, finite, "0 or more")?;
        let count = self.views.short_sides.len();
        check("test.views.short_sides (length)", count, count <= 16, "at most 16")?;
        for &side in &self.views.short_sides {
            check("test.views.short_sides", side, (1..=8192).contains(&side), "1 to 8192 pixels")?;
        }
        match self.suppression {
            Suppression::Hard => Ok(()),
            Suppression::SoftLinear { least } => fraction("test.suppression.least", least),
            Suppression::SoftGaussian { sigma, least } => {
                fraction("test.suppression.least", least)?;
                check("test.suppression.sigma", sigma, sigma > 0.0 && sigma.is_finite(), "above 0")
            }
        }
    }
}
