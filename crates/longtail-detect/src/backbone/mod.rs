//! Backbones: from images to features of strides 4, 8, 16 and 32.

pub mod efficientnet_lite;
pub mod resnet;

use burn::{module::Module, tensor::Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use efficientnet_lite::{EfficientNetLite, EfficientNetLiteConfig};
pub use resnet::{Layout, ResNet, ResNetConfig, Stem, Style};

use crate::{error::DetectError, layers::Initializer};

/// A backbone by name, `kind = "resnet"` in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum BackboneConfig {
    /// [`ResNet`].
    Resnet(ResNetConfig),
    /// [`EfficientNetLite`].
    EfficientnetLite(EfficientNetLiteConfig),
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
