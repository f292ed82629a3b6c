//! Our paths, taken apart.

/// A convolution's weight, or a part of the normalisation after it, by torch's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// Of the convolution: `weight` or `bias`.
    Conv(&'a str),
    /// Of the normalisation: `weight`, `bias`, `running_mean`, `running_var`.
    Norm(&'static str),
}

impl<'a> Part<'a> {
    pub(crate) fn parse(part: &'a str) -> Option<Self> {
        Some(match part {
            "weight" | "bias" => Self::Conv(part),
            "norm.gamma" => Self::Norm("weight"),
            "norm.beta" => Self::Norm("bias"),
            "norm.running_mean" => Self::Norm("running_mean"),
            "norm.running_variance" => Self::Norm("running_var"),
            _ => return None,
        })
    }
}

/// A convolution of a ResNet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    /// The first convolution.
    Stem,
    /// Stage, block, convolution, all from 0.
    Block(usize, usize, usize),
    /// Stage and block of a projection.
    Projection(usize, usize),
}

/// Layer and part of a ResNet's tensor `backbone.…`.
pub(crate) fn resnet(path: &str) -> Option<(Layer, Part<'_>)> {
    let path = path.strip_prefix("backbone.")?;
    if let Some(part) = path.strip_prefix("stem.") {
        return Some((Layer::Stem, Part::parse(part)?));
    }
    let (stage, rest) = number(path.strip_prefix("stages.")?)?;
    let (block, rest) = number(rest.strip_prefix("blocks.")?)?;
    if let Some(part) = rest.strip_prefix("projection.") {
        return Some((Layer::Projection(stage, block), Part::parse(part)?));
    }
    let (conv, part) = number(rest.strip_prefix("convolutions.")?)?;
    Some((Layer::Block(stage, block, conv), Part::parse(part)?))
}

/// A number and what follows its dot.
pub(crate) fn number(path: &str) -> Option<(usize, &str)> {
    let (number, rest) = path.split_once('.')?;
    Some((number.parse().ok()?, rest))
}

/// The number of the head that a path belongs to and the path inside it: `roi_head` is the first, `cascade.0` the second.
pub(crate) fn head(path: &str) -> Option<(usize, &str)> {
    if let Some(inside) = path.strip_prefix("roi_head.") {
        return Some((0, inside));
    }
    number(path.strip_prefix("cascade.")?).map(|(further, inside)| (further + 1, inside))
}
