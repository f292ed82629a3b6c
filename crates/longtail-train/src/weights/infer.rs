//! What detector a file of weights belongs to, from the shapes of its tensors and the conventions of its framework.

use std::collections::BTreeMap;

use longtail_data::Transform;
use longtail_detect::{
    FasterRcnnConfig, TestConfig,
    backbone::{BackboneConfig, EfficientNetLiteConfig, Layout, ResNetConfig, Stem, Style},
    config::{AnchorConfig, AnchorSpacing, CascadeHeadConfig, RoiHeadConfig, RpnConfig},
};
use longtail_weights::{Naming, Tensor};

/// Settings, and the number of classes; none for a backbone.
pub(super) struct Inferred {
    pub detector: FasterRcnnConfig,
    pub transform: Transform,
    pub test: TestConfig,
    pub classes: Option<usize>,
    /// Whether the first convolution is on blue, green, red.
    pub bgr: bool,
}

/// Reads the settings off the shapes.
///
/// # Errors
/// Which tensor is missing or has a shape that no detector here has.
pub(super) fn infer(weights: &BTreeMap<&str, &Tensor>, naming: Naming) -> Result<Inferred, String> {
    let shapes = Shapes { weights, naming };
    let mut transform = Transform::default();
    if naming == Naming::EfficientnetLite {
        // As TensorFlow trained it.
        (transform.mean, transform.std) = ([127.0; 3], [128.0; 3]);
        let backbone = BackboneConfig::EfficientnetLite(EfficientNetLiteConfig::default());
        let detector = FasterRcnnConfig { backbone, ..FasterRcnnConfig::default() };
        return Ok(Inferred { detector, transform, test: TestConfig::default(), classes: None, bgr: false });
    }
    let mut resnet = shapes.resnet()?;
    let backbone_only = naming == Naming::TorchvisionResnet;
    if naming == Naming::Detectron2 {
        resnet.style = Style::Caffe;
        transform.std = [1.0; 3];
    }
    let bgr = naming == Naming::Detectron2;
    let (shared_names, torchvision) =
        (matches!(naming, Naming::Detectron2 | Naming::Mmdetection), naming == Naming::Torchvision);
    // COCO's file of torchvision 0.3 to 0.12, whose names are the old ones, was trained without an epsilon.
    if weights.contains_key("rpn.head.conv.weight") {
        resnet.norm_epsilon = 0.0;
    }
    let mut detector =
        FasterRcnnConfig { backbone: BackboneConfig::Resnet(resnet), ..FasterRcnnConfig::default() };
    detector.anchors = AnchorConfig {
        rounded: !shared_names,
        spacing: if torchvision { AnchorSpacing::ImageOverMap } else { AnchorSpacing::Stride },
        ..AnchorConfig::default()
    };
    if backbone_only {
        return Ok(Inferred { detector, transform, test: TestConfig::default(), classes: None, bgr });
    }
    detector.fpn_channels = shapes.of("pyramid.lateral.0.weight")?[0];
    let anchors = shapes.of("rpn.objectness.weight")?[0];
    if anchors != detector.anchors.ratios.len() {
        return Err(format!("has {anchors} anchors at a location; those with three aspect ratios are read"));
    }
    let &[hidden, inputs] = shapes.of("roi_head.hidden.0.weight")? else {
        return Err("has a box head whose first layer is not a matrix".into());
    };
    let pooled_size = (inputs / detector.fpn_channels.max(1)).isqrt();
    if pooled_size * pooled_size * detector.fpn_channels != inputs {
        return Err(format!("has a box head over {inputs} features, which is not a square of bins"));
    }
    let outputs = shapes.of("roi_head.classifier.bias")?[0];
    let regressions = shapes.of("roi_head.regression.bias")?[0];
    let default = RoiHeadConfig::default();
    detector.roi_head = RoiHeadConfig {
        pooled_size,
        hidden,
        class_agnostic: regressions == 4,
        aligned: shared_names,
        sampling_ratio: if shared_names { 0 } else { default.sampling_ratio },
        smooth_l1_beta: if torchvision { 1.0 / 9.0 } else { default.smooth_l1_beta },
        ..default
    };
    let further =
        (0..).take_while(|n| shapes.find(&format!("cascade.{n}.classifier.bias")).is_some()).count();
    detector.cascade = match further {
        0 => Vec::new(),
        2 => CascadeHeadConfig::published(),
        _ => return Err(format!("has {} heads; one, or a cascade of three, is read", further + 1)),
    };
    if naming == Naming::Detectron2 {
        let deviations = [[1.0 / 20.0, 1.0 / 10.0], [1.0 / 30.0, 1.0 / 15.0]];
        for (head, [centre, side]) in detector.cascade.iter_mut().zip(deviations) {
            head.box_deviations = [centre, centre, side, side];
        }
    }
    detector.rpn = RpnConfig::default();
    let min_side = if torchvision { 0.01 } else { 0.0 };
    let test = TestConfig { score_threshold: 0.05, max_detections: 100, min_side, ..TestConfig::default() };
    Ok(Inferred { detector, transform, test, classes: Some(outputs.saturating_sub(1)), bgr })
}

struct Shapes<'a> {
    weights: &'a BTreeMap<&'a str, &'a Tensor>,
    naming: Naming,
}

impl Shapes<'_> {
    fn find(&self, path: &str) -> Option<&[usize]> {
        let source = self.naming.source(path)?;
        source.all_names().find_map(|name| self.weights.get(name)).map(|tensor| tensor.shape())
    }

    fn of(&self, path: &str) -> Result<&[usize], String> {
        let names =
            || self.naming.source(path).map_or_else(|| path.to_owned(), |source| source.names[0].clone());
        let shape = self.find(path).filter(|shape| !shape.is_empty());
        shape.ok_or_else(|| format!("lacks `{}`", names()))
    }

    fn resnet(&self) -> Result<ResNetConfig, String> {
        let conv = |stage: usize, block: usize, conv: usize| {
            format!("backbone.stages.{stage}.blocks.{block}.convolutions.{conv}.weight")
        };
        let blocks: [usize; 4] = std::array::from_fn(|stage| {
            (0..64).take_while(|&block| self.find(&conv(stage, block, 0)).is_some()).count()
        });
        let bottleneck = self.find(&conv(0, 0, 2)).is_some();
        let layout = match (bottleneck, blocks) {
            (false, [2, 2, 2, 2]) => Layout::Resnet18,
            (false, [3, 4, 6, 3]) => Layout::Resnet34,
            (true, [3, 4, 6, 3]) => Layout::Resnet50,
            (true, [3, 4, 23, 3]) => Layout::Resnet101,
            _ => {
                return Err(format!("has a ResNet of {blocks:?} blocks; 18, 34, 50 and 101 layers are read"));
            }
        };
        let stem = self.of("backbone.stem.weight")?;
        let width = stem[0];
        let stem = match stem.last() {
            Some(7) => Stem::Standard,
            Some(3) => Stem::Compact,
            _ => return Err("has a first convolution that is neither 7×7 nor 3×3".into()),
        };
        let mut config = ResNetConfig { layout, width, stem, ..ResNetConfig::default() };
        if bottleneck {
            let inner = self.of(&conv(0, 0, 1))?;
            let &[inner, of_group, ..] = inner else { return Err("has no 3×3 convolution".into()) };
            config.groups = inner.checked_div(of_group).unwrap_or(1).max(1);
            config.width_per_group = (inner * 64).checked_div(width * config.groups).unwrap_or(64);
        }
        Ok(config)
    }
}
