//! EfficientNet-Lite0 (Tan and Le, ICML 2019, in the form for small machines): inverted residual blocks with
//! depthwise convolutions, without squeeze-and-excitation, with ReLU6. Convolutions are padded as TensorFlow
//! does it, so that the published weights give what they gave.

use burn::{module::Module, tensor::Tensor};
use longtail_ops::Activation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    error::{DetectError, check},
    layers::{ConvNorm, Initializer, NormSettings, Normalization, inverted_residual},
};

/// Blocks of a stage: repeats, kernel, stride of the first, expansion, outputs.
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
];
/// Channels of the first convolution.
const STEM: usize = 32;
/// Stages whose outputs are C2 to C5.
const TAPS: [usize; 4] = [1, 2, 4, 6];

/// An EfficientNet-Lite0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EfficientNetLiteConfig {
    /// Normalisation.
    pub normalization: Normalization,
    /// Added to the variance in normalisation.
    pub norm_epsilon: f32,
    /// Parts that are not trained: 0 none, 1 the first convolution, 2 the first stage too, up to 8 for all.
    pub frozen_stages: usize,
}

impl Default for EfficientNetLiteConfig {
    fn default() -> Self {
        Self { normalization: Normalization::Frozen, norm_epsilon: 1e-3, frozen_stages: 3 }
    }
}

impl EfficientNetLiteConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), DetectError> {
        let epsilon = self.norm_epsilon.is_finite() && self.norm_epsilon >= 0.0;
        check("backbone.norm_epsilon", self.norm_epsilon, epsilon, "0 or more")?;
        check("backbone.frozen_stages", self.frozen_stages, self.frozen_stages <= 8, "0 to 8")
    }

    /// Channels of C2 to C5.
    pub fn channels(&self) -> [usize; 4] {
        TAPS.map(|stage| STAGES[stage].4)
    }

    /// A network with initial weights.
    pub fn init(&self, initializer: &mut Initializer) -> EfficientNetLite {
        let norm = NormSettings { normalization: self.normalization, epsilon: self.norm_epsilon };
        let stem = ConvNorm::new(3, STEM, 3, 2, 1, norm, initializer).with_same_padding();
        let mut inputs = STEM;
        let mut blocks = Vec::new();
        for (repeats, kernel, stride, expansion, outputs) in STAGES {
            for repeat in 0..repeats {
                let (stride, inner) = (if repeat == 0 { stride } else { 1 }, inputs * expansion);
                let expand =
                    (expansion != 1).then(|| ConvNorm::new(inputs, inner, 1, 1, 1, norm, initializer));
                let depthwise =
                    ConvNorm::new(inner, inner, kernel, stride, inner, norm, initializer).with_same_padding();
                let project = ConvNorm::new(inner, outputs, 1, 1, 1, norm, initializer);
                blocks.push(Block { expand, depthwise, project, skip: stride == 1 && inputs == outputs });
                inputs = outputs;
            }
        }
        EfficientNetLite { stem, blocks, frozen_stages: self.frozen_stages }
    }
}

/// An inverted residual block.
#[derive(Module, Debug)]
struct Block {
    expand: Option<ConvNorm>,
    depthwise: ConvNorm,
    project: ConvNorm,
    skip: bool,
}

impl Block {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (expand, activation) = (self.expand.as_ref(), Activation::Relu6);
        inverted_residual(expand, &self.depthwise, &self.project, x, self.skip, activation)
    }
}

/// The network.
#[derive(Module, Debug)]
pub struct EfficientNetLite {
    stem: ConvNorm,
    blocks: Vec<Block>,
    frozen_stages: usize,
}

impl EfficientNetLite {
    /// C2 to C5 (strides 4, 8, 16, 32) of images `[N, 3, H, W]`.
    pub fn forward(&self, images: Tensor<4>) -> [Tensor<4>; 4] {
        let frozen = |part: usize| images.is_autodiff() && self.frozen_stages > part;
        let mut x = if frozen(0) {
            Tensor::from_inner(self.stem.valid().forward(images.clone().inner(), None, Activation::Relu6))
        } else {
            self.stem.forward(images.clone(), None, Activation::Relu6)
        };
        let mut blocks = self.blocks.iter();
        let mut features = Vec::with_capacity(TAPS.len());
        for (stage, (repeats, ..)) in STAGES.into_iter().enumerate() {
            for block in blocks.by_ref().take(repeats) {
                x = if frozen(stage + 1) {
                    Tensor::from_inner(block.valid().forward(x.inner()))
                } else {
                    block.forward(x)
                };
            }
            if TAPS.contains(&stage) {
                features.push(x.clone());
            }
        }
        features.try_into().expect("four stages are tapped")
    }
}
