//! detectron2's model zoo: Faster R-CNN with a ResNet and a feature pyramid, weights of MSRA on BGR images.

use super::{
    Background, Change, Source,
    path::{Layer, Part, head, number, resnet},
};

/// The detector.
pub(crate) fn source(path: &str) -> Option<Source> {
    if let Some((layer, part)) = resnet(path) {
        let conv = match layer {
            Layer::Stem => "stem.conv1".to_owned(),
            Layer::Block(stage, block, conv) => format!("res{}.{block}.conv{}", stage + 2, conv + 1),
            Layer::Projection(stage, block) => format!("res{}.{block}.shortcut", stage + 2),
        };
        let (part, change) = match part {
            Part::Conv(part) if layer == Layer::Stem => (part.to_owned(), Change::Stem),
            Part::Conv(part) => (part.to_owned(), Change::Keep),
            Part::Norm(part) => (format!("norm.{part}"), Change::Keep),
        };
        return Some(Source::new(format!("backbone.bottom_up.{conv}.{part}"), change));
    }
    if let Some(rest) = path.strip_prefix("pyramid.") {
        let (kind, rest) = rest.split_once('.')?;
        let (level, part) = number(rest)?;
        return Some(Source::new(format!("backbone.fpn_{kind}{}.{part}", level + 2), Change::Keep));
    }
    let (layer, part) = path.rsplit_once('.')?;
    let linear = if part == "weight" { Change::Transpose } else { Change::Keep };
    if let Some((number, layer)) = head(layer) {
        let (group, name, change) = match layer {
            "hidden.0" => ("box_head", "fc1", linear),
            "hidden.1" => ("box_head", "fc2", linear),
            "classifier" => ("box_predictor", "cls_score", Change::Classifier(Background::Last)),
            "regression" => {
                ("box_predictor", "bbox_pred", Change::Regression { background: false, per_class: false })
            }
            _ => return None,
        };
        let single = format!("roi_heads.{group}.{name}.{part}");
        let numbered = format!("roi_heads.{group}.{number}.{name}.{part}");
        return Some(Source::of_head(number, single, numbered, change));
    }
    let name = match layer {
        "rpn.hidden" => "conv",
        "rpn.objectness" => "objectness_logits",
        "rpn.deltas" => "anchor_deltas",
        _ => return None,
    };
    Some(Source::new(format!("proposal_generator.rpn_head.{name}.{part}"), Change::Keep))
}
