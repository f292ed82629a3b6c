//! How conventions name the tensors of a detector, and how they lay them out.
//!
//! Ours: background first, linear layers as `[inputs, outputs]`, class-specific regression without background, stem on
//! RGB. Every convention is a function from our path to the names that its tensor can have there and to what has to be
//! done with the numbers; import and export are the two directions of the same table.

mod detectron2;
mod efficientnet_lite;
mod mmdetection;
mod path;
mod torchvision;
mod unread;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use unread::Unread;

/// A naming convention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Naming {
    /// A classification ResNet or ResNeXt of torchvision: a backbone.
    TorchvisionResnet,
    /// torchvision's `fasterrcnn_resnet50_fpn` (v1) and its like.
    Torchvision,
    /// mmdetection 1.x, with the box head beside the backbone.
    Mmdetection1,
    /// mmdetection 2.x and 3.x.
    Mmdetection,
    /// detectron2's R50-FPN zoo.
    Detectron2,
    /// `efficientnet_lite_pytorch`: a backbone.
    EfficientnetLite,
}

/// Where the background column of a classifier lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Background {
    /// Before the classes.
    First,
    /// After the classes.
    Last,
}

/// What has to be done with the numbers of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Keep,
    /// Theirs is `[outputs, inputs]`.
    Transpose,
    /// The first convolution, which may be on blue, green, red.
    Stem,
    /// The last layer's weight or bias.
    Classifier(Background),
    /// Box regression; with four rows for a background that is never decoded, or without.
    Regression {
        /// Whether there are rows for background, first.
        background: bool,
        /// Whether every class has rows of its own there, always: one regression for all is repeated.
        per_class: bool,
    },
}

/// Where one of our tensors lies in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Names that it can have, the current one first.
    pub names: Vec<String>,
    /// Its name in a Cascade R-CNN, where that is another: heads are numbered there.
    pub in_cascade: Option<String>,
    /// What has to be done with its numbers.
    pub change: Change,
}

impl Source {
    fn new(name: String, change: Change) -> Self {
        Self { names: vec![name], in_cascade: None, change }
    }

    /// A tensor of a head that is called one way where there is a single head, and another way, by its number, in a cascade.
    fn of_head(number: usize, single: String, numbered: String, change: Change) -> Self {
        match number {
            0 => Self { names: vec![single], in_cascade: Some(numbered), change },
            _ => Self::new(numbered, change),
        }
    }

    /// All names that it can have.
    pub fn all_names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().chain(&self.in_cascade).map(String::as_str)
    }
}

impl Naming {
    /// All conventions.
    pub const ALL: [Self; 6] = [
        Self::TorchvisionResnet,
        Self::Torchvision,
        Self::Mmdetection1,
        Self::Mmdetection,
        Self::Detectron2,
        Self::EfficientnetLite,
    ];

    /// The convention of a file's names; `None` if it is none of these.
    pub fn detect<'a>(names: impl Iterator<Item = &'a str>) -> Option<Self> {
        let names: BTreeSet<&str> = names.collect();
        let has = |name: &str| names.contains(name);
        let any = |start: &str| names.iter().any(|name| name.starts_with(start));
        if has("backbone.bottom_up.stem.conv1.weight") {
            Some(Self::Detectron2)
        } else if has("backbone.body.conv1.weight") {
            Some(Self::Torchvision)
        } else if has("backbone.conv1.weight") && any("bbox_head.") {
            Some(Self::Mmdetection1)
        } else if has("backbone.conv1.weight") {
            Some(Self::Mmdetection)
        } else if has("conv1.weight") && any("layer1.0.") {
            Some(Self::TorchvisionResnet)
        } else if has("_conv_stem.weight") && any("_blocks.0.") {
            Some(Self::EfficientnetLite)
        } else {
            None
        }
    }

    /// Where our tensor `path` lies, if the convention has it.
    pub fn source(self, path: &str) -> Option<Source> {
        match self {
            Self::TorchvisionResnet => torchvision::backbone(path),
            Self::Torchvision => torchvision::source(path),
            Self::Mmdetection1 => mmdetection::source(path, mmdetection::Version::One),
            Self::Mmdetection => mmdetection::source(path, mmdetection::Version::Two),
            Self::Detectron2 => detectron2::source(path),
            Self::EfficientnetLite => efficientnet_lite::source(path),
        }
    }

    /// Why a tensor that nothing of ours asks for is not needed.
    pub fn reason_unused(self, name: &str) -> &'static str {
        if name.ends_with("num_batches_tracked") {
            "counts training batches; not used"
        } else if name.contains("cell_anchors") {
            "anchors are computed"
        } else if matches!(self, Self::TorchvisionResnet | Self::EfficientnetLite) {
            "belongs to the ImageNet classifier"
        } else if name.contains("mask") {
            "belongs to the mask branch; boxes only"
        } else {
            "has no counterpart in this detector"
        }
    }

    /// As printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::TorchvisionResnet => "torchvision ResNet",
            Self::Torchvision => "torchvision Faster R-CNN",
            Self::Mmdetection1 => "mmdetection 1.x",
            Self::Mmdetection => "mmdetection 2.x/3.x",
            Self::Detectron2 => "detectron2",
            Self::EfficientnetLite => "efficientnet_lite_pytorch",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(naming: Naming, path: &str) -> Vec<String> {
        naming.source(path).unwrap_or_else(|| panic!("{naming:?} has no {path}")).names
    }

    #[test]
    fn every_convention_names_the_parts_of_a_detector() {
        use Naming::{Detectron2, Mmdetection, Mmdetection1, Torchvision, TorchvisionResnet};
        for (path, expected) in [
            (
                "backbone.stem.weight",
                [
                    "backbone.body.conv1.weight",
                    "backbone.conv1.weight",
                    "backbone.conv1.weight",
                    "backbone.bottom_up.stem.conv1.weight",
                ],
            ),
            (
                "backbone.stem.norm.running_variance",
                [
                    "backbone.body.bn1.running_var",
                    "backbone.bn1.running_var",
                    "backbone.bn1.running_var",
                    "backbone.bottom_up.stem.conv1.norm.running_var",
                ],
            ),
            (
                "backbone.stages.2.blocks.5.convolutions.1.weight",
                [
                    "backbone.body.layer3.5.conv2.weight",
                    "backbone.layer3.5.conv2.weight",
                    "backbone.layer3.5.conv2.weight",
                    "backbone.bottom_up.res4.5.conv2.weight",
                ],
            ),
            (
                "backbone.stages.0.blocks.0.projection.norm.gamma",
                [
                    "backbone.body.layer1.0.downsample.1.weight",
                    "backbone.layer1.0.downsample.1.weight",
                    "backbone.layer1.0.downsample.1.weight",
                    "backbone.bottom_up.res2.0.shortcut.norm.weight",
                ],
            ),
            (
                "pyramid.lateral.1.bias",
                [
                    "backbone.fpn.inner_blocks.1.0.bias",
                    "neck.lateral_convs.1.conv.bias",
                    "neck.lateral_convs.1.conv.bias",
                    "backbone.fpn_lateral3.bias",
                ],
            ),
            (
                "pyramid.output.3.weight",
                [
                    "backbone.fpn.layer_blocks.3.0.weight",
                    "neck.fpn_convs.3.conv.weight",
                    "neck.fpn_convs.3.conv.weight",
                    "backbone.fpn_output5.weight",
                ],
            ),
            (
                "rpn.hidden.weight",
                [
                    "rpn.head.conv.0.0.weight",
                    "rpn_head.rpn_conv.weight",
                    "rpn_head.rpn_conv.weight",
                    "proposal_generator.rpn_head.conv.weight",
                ],
            ),
            (
                "rpn.objectness.bias",
                [
                    "rpn.head.cls_logits.bias",
                    "rpn_head.rpn_cls.bias",
                    "rpn_head.rpn_cls.bias",
                    "proposal_generator.rpn_head.objectness_logits.bias",
                ],
            ),
            (
                "rpn.deltas.weight",
                [
                    "rpn.head.bbox_pred.weight",
                    "rpn_head.rpn_reg.weight",
                    "rpn_head.rpn_reg.weight",
                    "proposal_generator.rpn_head.anchor_deltas.weight",
                ],
            ),
            (
                "roi_head.hidden.1.weight",
                [
                    "roi_heads.box_head.fc7.weight",
                    "bbox_head.shared_fcs.1.weight",
                    "roi_head.bbox_head.shared_fcs.1.weight",
                    "roi_heads.box_head.fc2.weight",
                ],
            ),
            (
                "roi_head.classifier.weight",
                [
                    "roi_heads.box_predictor.cls_score.weight",
                    "bbox_head.fc_cls.weight",
                    "roi_head.bbox_head.fc_cls.weight",
                    "roi_heads.box_predictor.cls_score.weight",
                ],
            ),
            (
                "roi_head.regression.bias",
                [
                    "roi_heads.box_predictor.bbox_pred.bias",
                    "bbox_head.fc_reg.bias",
                    "roi_head.bbox_head.fc_reg.bias",
                    "roi_heads.box_predictor.bbox_pred.bias",
                ],
            ),
        ] {
            let namings = [Torchvision, Mmdetection1, Mmdetection, Detectron2];
            for (naming, expected) in namings.into_iter().zip(expected) {
                assert_eq!(names(naming, path)[0], expected, "{naming:?}");
            }
        }
        assert_eq!(names(TorchvisionResnet, "backbone.stem.norm.beta"), ["bn1.bias"]);
        assert_eq!(TorchvisionResnet.source("rpn.hidden.weight"), None);
        // Files before torchvision 0.14.
        assert_eq!(names(Torchvision, "rpn.hidden.bias")[1], "rpn.head.conv.bias");
        assert_eq!(names(Torchvision, "pyramid.lateral.0.bias")[1], "backbone.fpn.inner_blocks.0.bias");
    }

    #[test]
    fn the_heads_of_a_cascade_are_numbered() {
        use Naming::{Detectron2, Mmdetection, Mmdetection1};
        for (naming, single, first, third) in [
            (Mmdetection1, "bbox_head.fc_cls.bias", "bbox_head.0.fc_cls.bias", "bbox_head.2.fc_cls.bias"),
            (
                Mmdetection,
                "roi_head.bbox_head.fc_cls.bias",
                "roi_head.bbox_head.0.fc_cls.bias",
                "roi_head.bbox_head.2.fc_cls.bias",
            ),
            (
                Detectron2,
                "roi_heads.box_predictor.cls_score.bias",
                "roi_heads.box_predictor.0.cls_score.bias",
                "roi_heads.box_predictor.2.cls_score.bias",
            ),
        ] {
            let source = naming.source("roi_head.classifier.bias").unwrap();
            assert_eq!(source.all_names().collect::<Vec<_>>(), [single, first]);
            let further = naming.source("cascade.1.classifier.bias").unwrap();
            assert_eq!(further.all_names().collect::<Vec<_>>(), [third]);
            assert_eq!(further.change, source.change);
        }
        let hidden = Detectron2.source("cascade.0.hidden.1.weight").unwrap();
        assert_eq!(hidden.names, ["roi_heads.box_head.1.fc2.weight"]);
        assert_eq!(Naming::Torchvision.source("cascade.0.hidden.1.weight"), None);
    }

    #[test]
    fn background_is_where_each_convention_has_it() {
        let change =
            |naming: Naming, part: &str| naming.source(&format!("roi_head.{part}.weight")).unwrap().change;
        for (naming, background, rows, per_class) in [
            (Naming::Torchvision, Background::First, true, true),
            (Naming::Mmdetection1, Background::First, true, false),
            (Naming::Mmdetection, Background::Last, false, false),
            (Naming::Detectron2, Background::Last, false, false),
        ] {
            assert_eq!(change(naming, "classifier"), Change::Classifier(background));
            assert_eq!(change(naming, "regression"), Change::Regression { background: rows, per_class });
        }
    }

    #[test]
    fn efficientnet_lite_names() {
        for (path, expected) in [
            ("backbone.stem.weight", "_conv_stem.weight"),
            ("backbone.stem.norm.gamma", "_bn0.weight"),
            ("backbone.blocks.3.expand.weight", "_blocks.3._expand_conv.weight"),
            ("backbone.blocks.3.expand.norm.beta", "_blocks.3._bn0.bias"),
            ("backbone.blocks.0.depthwise.weight", "_blocks.0._depthwise_conv.weight"),
            ("backbone.blocks.0.depthwise.norm.running_mean", "_blocks.0._bn1.running_mean"),
            ("backbone.blocks.15.project.norm.running_variance", "_blocks.15._bn2.running_var"),
        ] {
            assert_eq!(names(Naming::EfficientnetLite, path), [expected]);
        }
    }
}
