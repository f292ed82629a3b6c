//! ResNet (He et al., CVPR 2016) and ResNeXt (Xie et al., CVPR 2017), of any width.

use burn::{
    module::Module,
    tensor::{Tensor, module::max_pool2d, ops::MaxPoolOptions},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    error::{DetectError, check},
    layers::{ConvNorm, Initializer, NormSettings, Normalization},
};

/// Depth of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// ResNet-18: two-convolution blocks.
    Resnet18,
    /// ResNet-34.
    Resnet34,
    /// ResNet-50: bottleneck blocks.
    Resnet50,
    /// ResNet-101.
    Resnet101,
}

impl Layout {
    fn blocks(self) -> [usize; 4] {
        match self {
            Self::Resnet18 => [2, 2, 2, 2],
            Self::Resnet34 | Self::Resnet50 => [3, 4, 6, 3],
            Self::Resnet101 => [3, 4, 23, 3],
        }
    }

    fn is_bottleneck(self) -> bool {
        matches!(self, Self::Resnet50 | Self::Resnet101)
    }
}

/// First convolution, of stride 2; a max pool of stride 2 follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stem {
    /// 7×7, as published.
    Standard,
    /// 3×3, for small images.
    Compact,
}

/// Which convolution of a bottleneck block has the stride.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// The 3×3, as torchvision.
    Pytorch,
    /// The first 1×1, as published and in detectron2's weights of MSRA.
    Caffe,
}

/// A ResNet or ResNeXt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResNetConfig {
    /// Depth.
    pub layout: Layout,
    /// Channels of the stem and the first stage; 64 as published.
    pub width: usize,
    /// Groups of the 3×3 convolutions of bottleneck blocks; 64 for ResNeXt-101-64x4d.
    pub groups: usize,
    /// Channels of a group at `width` 64; 4 for ResNeXt-101-64x4d, 64 for a ResNet.
    pub width_per_group: usize,
    /// First convolution.
    pub stem: Stem,
    /// Which convolution of a bottleneck block has the stride.
    pub style: Style,
    /// Normalisation.
    pub normalization: Normalization,
    /// Added to the variance in normalisation; torchvision's `fasterrcnn_resnet50_fpn` of COCO was trained
    /// with 0.
    pub norm_epsilon: f32,
    /// Parts that are not trained: 0 none, 1 the stem, 2 the first stage too, up to 5 for all.
    pub frozen_stages: usize,
}

impl Default for ResNetConfig {
    fn default() -> Self {
        Self {
            layout: Layout::Resnet50,
            width: 64,
            groups: 1,
            width_per_group: 64,
            stem: Stem::Standard,
            style: Style::Pytorch,
            normalization: Normalization::Frozen,
            norm_epsilon: 1e-5,
            frozen_stages: 2,
        }
    }
}

impl ResNetConfig {
    /// The backbone of the demo, trained from scratch.
    pub fn small() -> Self {
        Self {
            layout: Layout::Resnet18,
            width: 16,
            stem: Stem::Compact,
            normalization: Normalization::Batch,
            frozen_stages: 0,
            ..Self::default()
        }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), DetectError> {
        check("backbone.width", self.width, self.width > 0, "at least 1")?;
        check("backbone.frozen_stages", self.frozen_stages, self.frozen_stages <= 5, "0 to 5")?;
        let epsilon = self.norm_epsilon.is_finite() && self.norm_epsilon >= 0.0;
        check("backbone.norm_epsilon", self.norm_epsilon, epsilon, "0 or more")?;
        let plain = self.layout.is_bottleneck() || (self.groups == 1 && self.width_per_group == 64);
        check("backbone.groups", self.groups, plain, "1 (with width_per_group 64) for ResNet-18 and 34")?;
        let inner = self.inner_width(0);
        let divides = self.groups > 0 && inner > 0 && inner.is_multiple_of(self.groups);
        check("backbone.groups", self.groups, divides, "a divisor of the width of the 3×3 convolutions")
    }

    /// Channels of C2 to C5.
    pub fn channels(&self) -> [usize; 4] {
        let expansion = if self.layout.is_bottleneck() { 4 } else { 1 };
        std::array::from_fn(|stage| self.width * (1 << stage) * expansion)
    }

    /// Channels of the 3×3 convolutions of a stage.
    fn inner_width(&self, stage: usize) -> usize {
        self.width * (1 << stage) * self.width_per_group / 64 * self.groups
    }

    fn norm(&self) -> NormSettings {
        NormSettings { normalization: self.normalization, epsilon: self.norm_epsilon }
    }

    /// A network with initial weights.
    pub fn init(&self, initializer: &mut Initializer) -> ResNet {
        let kernel = match self.stem {
            Stem::Standard => 7,
            Stem::Compact => 3,
        };
        let stem = ConvNorm::new(3, self.width, kernel, 2, 1, self.norm(), initializer);
        let mut inputs = self.width;
        let stages = (0..4)
            .map(|stage| {
                let outputs = self.channels()[stage];
                let blocks = (0..self.layout.blocks()[stage])
                    .map(|block| {
                        let stride = if block == 0 && stage > 0 { 2 } else { 1 };
                        let block = self.block(stage, inputs, outputs, stride, initializer);
                        inputs = outputs;
                        block
                    })
                    .collect();
                Stage { blocks }
            })
            .collect();
        ResNet { stem, stages, frozen_stages: self.frozen_stages }
    }

    fn block(
        &self,
        stage: usize,
        inputs: usize,
        outputs: usize,
        stride: usize,
        initializer: &mut Initializer,
    ) -> Block {
        let mut conv = |inputs, outputs, kernel, stride, groups| {
            ConvNorm::new(inputs, outputs, kernel, stride, groups, self.norm(), initializer)
        };
        let convolutions = if self.layout.is_bottleneck() {
            let inner = self.inner_width(stage);
            let (first, second) = if self.style == Style::Caffe { (stride, 1) } else { (1, stride) };
            vec![
                conv(inputs, inner, 1, first, 1),
                conv(inner, inner, 3, second, self.groups),
                conv(inner, outputs, 1, 1, 1),
            ]
        } else {
            vec![conv(inputs, outputs, 3, stride, 1), conv(outputs, outputs, 3, 1, 1)]
        };
        let projection = (stride != 1 || inputs != outputs).then(|| conv(inputs, outputs, 1, stride, 1));
        Block { convolutions, projection }
    }
}

/// A residual block.
#[derive(Module, Debug)]
struct Block {
    convolutions: Vec<ConvNorm>,
    projection: Option<ConvNorm>,
}

impl Block {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let residual = match &self.projection {
            Some(projection) => projection.forward(x.clone(), None, false),
            None => x.clone(),
        };
        let (last, first) = self.convolutions.split_last().expect("a block has convolutions");
        let y = first.iter().fold(x, |x, conv| conv.forward(x, None, true));
        last.forward(y, Some(residual), true)
    }
}

/// Blocks at one resolution.
#[derive(Module, Debug)]
struct Stage {
    blocks: Vec<Block>,
}

impl Stage {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.blocks.iter().fold(x, |x, block| block.forward(x))
    }
}

/// The network.
#[derive(Module, Debug)]
pub struct ResNet {
    stem: ConvNorm,
    stages: Vec<Stage>,
    frozen_stages: usize,
}

impl ResNet {
    /// C2 to C5 (strides 4, 8, 16, 32) of images `[N, 3, H, W]`.
    pub fn forward(&self, images: Tensor<4>) -> [Tensor<4>; 4] {
        let frozen = |part: usize| images.is_autodiff() && self.frozen_stages > part;
        let mut x = if frozen(0) {
            Tensor::from_inner(self.stem.valid().forward(images.clone().inner(), None, true))
        } else {
            self.stem.forward(images.clone(), None, true)
        };
        let options = MaxPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]);
        x = max_pool2d(x, options);
        let mut stages = self.stages.iter().enumerate();
        std::array::from_fn(|_| {
            let (index, stage) = stages.next().expect("a ResNet has four stages");
            let y = if frozen(index + 1) {
                Tensor::from_inner(stage.valid().forward(x.clone().inner()))
            } else {
                stage.forward(x.clone())
            };
            x = y.clone();
            y
        })
    }
}
