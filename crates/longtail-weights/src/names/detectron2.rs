//! detectron2's model zoo: Faster R-CNN with a ResNet and a feature pyramid, weights of MSRA on BGR images.

use super::{
    Background, Change, Source,
    path::{Part, Place, number, resnet},
};

/// The detector.
pub fn source(path: &str) -> Option<Source> {
    if let Some((place, part)) = resnet(path) {
        let conv = match place {
            Place::Stem => "stem.conv1".to_owned(),
            Place::Block(stage, block, conv) => format!("res{}.{block}.conv{}", stage + 2, conv + 1),
            Place::Projection(stage, block) => format!("res{}.{block}.shortcut", stage + 2),
        };
        let (part, change) = match part {
            Part::Conv(part) if place == Place::Stem => (part.to_owned(), Change::Stem),
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
    let (name, change) = match layer {
        "rpn.hidden" => ("proposal_generator.rpn_head.conv", Change::Keep),
        "rpn.objectness" => ("proposal_generator.rpn_head.objectness_logits", Change::Keep),
        "rpn.deltas" => ("proposal_generator.rpn_head.anchor_deltas", Change::Keep),
        "roi_head.hidden.0" => ("roi_heads.box_head.fc1", linear),
        "roi_head.hidden.1" => ("roi_heads.box_head.fc2", linear),
        "roi_head.classifier" => ("roi_heads.box_predictor.cls_score", Change::Classifier(Background::Last)),
        "roi_head.regression" => {
            ("roi_heads.box_predictor.bbox_pred", Change::Regression { background: false })
        }
        _ => return None,
    };
    Some(Source::new(format!("{name}.{part}"), change))
}
