//! mmdetection: the 1.x names of the authors' release, and those of 2.x and 3.x.
//!
//! What 1.x computes otherwise and is not imitated: boxes there are inclusive (a side is `x2 - x1 + 1`) in anchors,
//! coding and NMS, and anchors are rounded around half a pixel. Since 2.0 boxes are as here, anchors are not rounded,
//! RoIAlign shifts by half a pixel and takes as many samples as a bin has pixels, and decoding clamps both signs of the
//! log-ratio of sides. The settings `anchors.rounded`, `roi_head.aligned` and `roi_head.sampling_ratio = 0` follow it.

use super::{
    Background, Change, Source,
    path::{head, number},
    torchvision::resnet_source,
};

/// Major version, as far as names are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// 1.x: background first, the box head at the top.
    One,
    /// 2.x and 3.x: background last, the box head inside the RoI head.
    Two,
}

/// The detector.
pub(crate) fn source(path: &str, version: Version) -> Option<Source> {
    if let Some(source) = resnet_source("backbone.", path) {
        return Some(source);
    }
    if let Some(rest) = path.strip_prefix("pyramid.") {
        let (kind, rest) = rest.split_once('.')?;
        let (level, part) = number(rest)?;
        let block = if kind == "lateral" { "lateral_convs" } else { "fpn_convs" };
        return Some(Source::new(format!("neck.{block}.{level}.conv.{part}"), Change::Keep));
    }
    let (layer, part) = path.rsplit_once('.')?;
    let linear = if part == "weight" { Change::Transpose } else { Change::Keep };
    if let Some((number, layer)) = head(layer) {
        let (head, background) = match version {
            Version::One => ("bbox_head", Background::First),
            Version::Two => ("roi_head.bbox_head", Background::Last),
        };
        let (name, change) = match layer {
            "hidden.0" => ("shared_fcs.0", linear),
            "hidden.1" => ("shared_fcs.1", linear),
            "classifier" => ("fc_cls", Change::Classifier(background)),
            "regression" => {
                ("fc_reg", Change::Regression { background: version == Version::One, per_class: false })
            }
            _ => return None,
        };
        let (single, numbered) = (format!("{head}.{name}.{part}"), format!("{head}.{number}.{name}.{part}"));
        return Some(Source::of_head(number, single, numbered, change));
    }
    let name = match layer {
        "rpn.hidden" => "rpn_conv",
        "rpn.objectness" => "rpn_cls",
        "rpn.deltas" => "rpn_reg",
        _ => return None,
    };
    Some(Source::new(format!("rpn_head.{name}.{part}"), Change::Keep))
}
