//! Backbones: from images to features of strides 4, 8, 16 and 32.

pub mod efficientnet_lite;
pub mod resnet;

use burn::{module::Module, tensor::Tensor};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

pub use efficientnet_lite::{EfficientNetLite, EfficientNetLiteConfig};
pub use resnet::{Layout, ResNet, ResNetConfig, Stem, Style};

use crate::{
    error::DetectError,
    layers::{Initializer, Normalization},
};

/// A backbone by name, `kind = "resnet"` in a recipe; without `kind` a ResNet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", try_from = "Fields")]
#[schemars(!try_from, transform = kind_may_be_left_out)]
pub enum BackboneConfig {
    /// [`ResNet`].
    Resnet(ResNetConfig),
    /// [`EfficientNetLite`].
    EfficientnetLite(EfficientNetLiteConfig),
}

/// The schema of [`Kind::default`].
fn kind_may_be_left_out(schema: &mut Schema) {
    if let Some(required) = schema.pointer_mut("/oneOf/0/required").and_then(|list| list.as_array_mut()) {
        required.retain(|key| key != "kind");
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    #[default]
    Resnet,
    EfficientnetLite,
}

/// The keys of every backbone, so that recipes from before there were several are read too.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default)]
    kind: Kind,
    layout: Option<Layout>,
    width: Option<usize>,
    groups: Option<usize>,
    width_per_group: Option<usize>,
    stem: Option<Stem>,
    style: Option<Style>,
    normalization: Option<Normalization>,
    norm_epsilon: Option<f32>,
    frozen_stages: Option<usize>,
}

impl TryFrom<Fields> for BackboneConfig {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        match fields.kind {
            Kind::Resnet => {
                let default = ResNetConfig::default();
                Ok(Self::Resnet(ResNetConfig {
                    layout: fields.layout.unwrap_or(default.layout),
                    width: fields.width.unwrap_or(default.width),
                    groups: fields.groups.unwrap_or(default.groups),
                    width_per_group: fields.width_per_group.unwrap_or(default.width_per_group),
                    stem: fields.stem.unwrap_or(default.stem),
                    style: fields.style.unwrap_or(default.style),
                    normalization: fields.normalization.unwrap_or(default.normalization),
                    norm_epsilon: fields.norm_epsilon.unwrap_or(default.norm_epsilon),
                    frozen_stages: fields.frozen_stages.unwrap_or(default.frozen_stages),
                }))
            }
            Kind::EfficientnetLite => {
                let of_resnet = [
                    ("layout", fields.layout.is_some()),
                    ("width", fields.width.is_some()),
                    ("groups", fields.groups.is_some()),
                    ("width_per_group", fields.width_per_group.is_some()),
                    ("stem", fields.stem.is_some()),
                    ("style", fields.style.is_some()),
                ];
                if let Some((key, _)) = of_resnet.iter().find(|(_, given)| *given) {
                    return Err(format!(
                        "`backbone.{key}` is a setting of kind `resnet`, not of `efficientnet-lite`"
                    ));
                }
                let default = EfficientNetLiteConfig::default();
                Ok(Self::EfficientnetLite(EfficientNetLiteConfig {
                    normalization: fields.normalization.unwrap_or(default.normalization),
                    norm_epsilon: fields.norm_epsilon.unwrap_or(default.norm_epsilon),
                    frozen_stages: fields.frozen_stages.unwrap_or(default.frozen_stages),
                }))
            }
        }
    }
}

impl Default for BackboneConfig {
    fn default() -> Self {
        Self::Resnet(ResNetConfig::default())
    }
}

impl BackboneConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), DetectError> {
        match self {
            Self::Resnet(config) => config.validate(),
            Self::EfficientnetLite(config) => config.validate(),
        }
    }

    /// Channels of C2 to C5.
    pub fn channels(&self) -> [usize; 4] {
        match self {
            Self::Resnet(config) => config.channels(),
            Self::EfficientnetLite(config) => config.channels(),
        }
    }

    /// A network with initial weights.
    pub fn init(&self, initializer: &mut Initializer) -> Backbone {
        match self {
            Self::Resnet(config) => Backbone::Resnet(config.init(initializer)),
            Self::EfficientnetLite(config) => Backbone::EfficientnetLite(config.init(initializer)),
        }
    }
}

/// A backbone. Paths of its parameters do not name the variant: see `longtail-train`'s `parameters`.
// Both hold a few handles of tensors; there is one backbone a detector.
#[allow(clippy::large_enum_variant)]
#[derive(Module, Debug)]
pub enum Backbone {
    /// ResNet or ResNeXt.
    Resnet(ResNet),
    /// EfficientNet-Lite0.
    EfficientnetLite(EfficientNetLite),
}

impl Backbone {
    /// C2 to C5 (strides 4, 8, 16, 32) of images `[N, 3, H, W]`.
    pub fn forward(&self, images: Tensor<4>) -> [Tensor<4>; 4] {
        match self {
            Self::Resnet(network) => network.forward(images),
            Self::EfficientnetLite(network) => network.forward(images),
        }
    }
}
