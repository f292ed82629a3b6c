//! torchvision: ResNets, and `fasterrcnn_resnet50_fpn` (v1).

use super::{
    Background, Change, Source,
    path::{Layer, Part, number, resnet},
};

/// A classification ResNet: no prefix.
pub(crate) fn backbone(path: &str) -> Option<Source> {
    resnet_source("", path)
}

/// The name of a ResNet's tensor after `prefix`, as torchvision and mmdetection have it.
pub(crate) fn resnet_source(prefix: &str, path: &str) -> Option<Source> {
    let (layer, part) = resnet(path)?;
    let name = match (layer, part) {
        (Layer::Stem, Part::Conv(part)) => {
            return Some(Source::new(format!("{prefix}conv1.{part}"), Change::Stem));
        }
        (Layer::Stem, Part::Norm(part)) => format!("bn1.{part}"),
        (Layer::Block(stage, block, conv), Part::Conv(part)) => {
            format!("layer{}.{block}.conv{}.{part}", stage + 1, conv + 1)
        }
        (Layer::Block(stage, block, conv), Part::Norm(part)) => {
            format!("layer{}.{block}.bn{}.{part}", stage + 1, conv + 1)
        }
        (Layer::Projection(stage, block), Part::Conv(part)) => {
            format!("layer{}.{block}.downsample.0.{part}", stage + 1)
        }
        (Layer::Projection(stage, block), Part::Norm(part)) => {
            format!("layer{}.{block}.downsample.1.{part}", stage + 1)
        }
    };
    Some(Source::new(format!("{prefix}{name}"), Change::Keep))
}

/// The detector.
pub(crate) fn source(path: &str) -> Option<Source> {
    if let Some(source) = resnet_source("backbone.body.", path) {
        return Some(source);
    }
    // Until 0.13 these convolutions were not wrapped.
    let both = |new: String, old: String| {
        Some(Source { names: vec![new, old], in_cascade: None, change: Change::Keep })
    };
    if let Some(rest) = path.strip_prefix("pyramid.") {
        let (kind, rest) = rest.split_once('.')?;
        let (level, part) = number(rest)?;
        let block = if kind == "lateral" { "inner_blocks" } else { "layer_blocks" };
        return both(
            format!("backbone.fpn.{block}.{level}.0.{part}"),
            format!("backbone.fpn.{block}.{level}.{part}"),
        );
    }
    if let Some(part) = path.strip_prefix("rpn.hidden.") {
        return both(format!("rpn.head.conv.0.0.{part}"), format!("rpn.head.conv.{part}"));
    }
    let (layer, part) = path.rsplit_once('.')?;
    let linear = if part == "weight" { Change::Transpose } else { Change::Keep };
    let (name, change) = match layer {
        "rpn.objectness" => ("rpn.head.cls_logits", Change::Keep),
        "rpn.deltas" => ("rpn.head.bbox_pred", Change::Keep),
        "roi_head.hidden.0" => ("roi_heads.box_head.fc6", linear),
        "roi_head.hidden.1" => ("roi_heads.box_head.fc7", linear),
        "roi_head.classifier" => ("roi_heads.box_predictor.cls_score", Change::Classifier(Background::First)),
        "roi_head.regression" => {
            ("roi_heads.box_predictor.bbox_pred", Change::Regression { background: true, per_class: true })
        }
        _ => return None,
    };
    Some(Source::new(format!("{name}.{part}"), change))
}
