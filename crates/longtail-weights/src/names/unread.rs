//! Detectors and backbones that are known by their names and are not read.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a file holds that no detector here can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unread {
    /// torchvision's `fasterrcnn_resnet50_fpn_v2`: normalisation in the pyramid, four convolutions in the box head.
    TorchvisionV2,
    /// torchvision's `fasterrcnn_mobilenet_v3_large_fpn` and its like.
    TorchvisionMobilenet,
    /// A one-stage detector of torchvision: RetinaNet, FCOS, SSD.
    TorchvisionOneStage,
    /// A one-stage detector of mmdetection 2 or 3: RetinaNet, FCOS, ATSS, YOLOX, RTMDet.
    MmdetectionOneStage,
    /// detectron2 without a feature pyramid.
    Detectron2C4,
    /// A YOLO of ultralytics.
    Ultralytics,
    /// DETR or one of its relatives.
    Detr,
    /// A vision or Swin transformer.
    VisionTransformer,
    /// An EfficientNet, MobileNet or ConvNeXt, as timm or torchvision name it.
    OtherBackbone,
}

impl Unread {
    /// What the names of a file's tensors tell; `None` where they are of a convention that is read, or of none.
    pub fn detect<'a>(names: impl Iterator<Item = &'a str>) -> Option<Self> {
        let names: Vec<&str> = names.collect();
        let any = |start: &str| names.iter().any(|name| name.starts_with(start));
        let inside = |part: &str| names.iter().any(|name| name.contains(part));
        Some(if any("roi_heads.box_head.0.0.") || any("backbone.fpn.inner_blocks.0.1.") {
            Self::TorchvisionV2
        } else if any("backbone.body.0.0.") && any("rpn.head.") {
            Self::TorchvisionMobilenet
        } else if any("head.classification_head.") || any("head.regression_head.") {
            Self::TorchvisionOneStage
        } else if any("roi_heads.res5.") {
            Self::Detectron2C4
        } else if any("class_embed.") || any("bbox_embed.") || any("transformer.encoder.layers.") {
            Self::Detr
        } else if (any("bbox_head.retina_cls") || any("bbox_head.cls_convs") || any("bbox_head.multi_level"))
            && !any("rpn_head.")
        {
            Self::MmdetectionOneStage
        } else if any("model.0.conv.") && inside(".cv1.conv.") || any("0.conv.") && inside(".cv1.conv.") {
            Self::Ultralytics
        } else if any("patch_embed.proj.") || inside("encoder.layers.encoder_layer_0.") {
            Self::VisionTransformer
        } else if any("features.0.0.") || any("stem.0.weight") || any("conv_stem.") {
            Self::OtherBackbone
        } else {
            return None;
        })
    }

    /// What it is.
    pub fn name(self) -> &'static str {
        match self {
            Self::TorchvisionV2 => "the second torchvision detector (`fasterrcnn_resnet50_fpn_v2`)",
            Self::TorchvisionMobilenet => "a torchvision Faster R-CNN with a MobileNet",
            Self::TorchvisionOneStage => "a one-stage detector of torchvision (RetinaNet, FCOS, SSD)",
            Self::MmdetectionOneStage => "a one-stage detector of mmdetection",
            Self::Detectron2C4 => "a detector of detectron2 without a feature pyramid (C4 or DC5)",
            Self::Ultralytics => "a YOLO of ultralytics",
            Self::Detr => "a DETR",
            Self::VisionTransformer => "a vision transformer",
            Self::OtherBackbone => {
                "a convolutional backbone that is neither a ResNet nor an EfficientNet-Lite"
            }
        }
    }

    /// What is read in its stead.
    pub fn instead(self) -> &'static str {
        match self {
            Self::TorchvisionV2 | Self::TorchvisionMobilenet | Self::TorchvisionOneStage => {
                "only v1 is read (`fasterrcnn_resnet50_fpn`, weights `COCO_V1`)"
            }
            Self::MmdetectionOneStage => "Faster R-CNN and Cascade R-CNN with a ResNet are read",
            Self::Detectron2C4 => "the R50-FPN and R101-FPN models of its zoo are read",
            Self::Ultralytics | Self::Detr => {
                "Faster R-CNN and Cascade R-CNN of torchvision, mmdetection and detectron2 are read"
            }
            Self::VisionTransformer | Self::OtherBackbone => {
                "ResNets of torchvision (`resnet50`) and EfficientNet-Lite0 are read as backbones"
            }
        }
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "this is {}; {}", self.name(), self.instead())
    }
}
