//! Convolution with its normalisation, and initial weights.

use burn::{
    module::{Module, Param, RunningState},
    tensor::{Device, Tensor, TensorData, module::linear},
};
use longtail_ops::{Activation, ConvOptions, FixedConv};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Weight of the newest batch in the running statistics.
const MOMENTUM: f32 = 0.1;

/// Draws initial weights, the same for the same seed on every machine.
pub struct Initializer {
    generator: ChaCha8Rng,
    device: Device,
}

impl Initializer {
    /// A source of weights on `device`.
    pub fn new(seed: u64, device: &Device) -> Self {
        Self { generator: ChaCha8Rng::seed_from_u64(seed), device: device.clone() }
    }

    /// Normally distributed values around 0.
    pub fn normal<const D: usize>(&mut self, shape: [usize; D], deviation: f32) -> Param<Tensor<D>> {
        let normal = Normal::new(0.0, deviation).expect("a standard deviation is finite");
        let count = shape.iter().product();
        let values: Vec<f32> = normal.sample_iter(&mut self.generator).take(count).collect();
        Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), &self.device))
    }

    /// The same value everywhere.
    pub fn constant(&self, length: usize, value: f32) -> Param<Tensor<1>> {
        Param::from_tensor(Tensor::full([length], value, &self.device))
    }

    /// A linear layer `[inputs, outputs]` with normal weights and zero bias.
    pub fn linear(&mut self, inputs: usize, outputs: usize, deviation: f32) -> Linear {
        Linear { weight: self.normal([inputs, outputs], deviation), bias: self.constant(outputs, 0.0) }
    }
}

/// `y = x W + b`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[inputs, outputs]`, as Burn multiplies; PyTorch stores the transpose.
    pub weight: Param<Tensor<2>>,
    /// `[outputs]`.
    pub bias: Param<Tensor<1>>,
}

impl Linear {
    /// A layer `[inputs, outputs]` of zeros, to be filled from a file.
    pub fn zeros(inputs: usize, outputs: usize, device: &Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::zeros([inputs, outputs], device)),
            bias: Param::from_tensor(Tensor::zeros([outputs], device)),
        }
    }

    /// Outputs `[N, outputs]` of `x [N, inputs]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        linear(x, self.weight.val(), Some(self.bias.val()))
    }
}

/// How a backbone normalises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Normalization {
    /// Batch statistics in training, running statistics otherwise.
    Batch,
    /// Running statistics always, nothing trained: a fixed scale and shift, for pretrained weights.
    Frozen,
}

/// How a backbone normalises, with what is added to the variance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormSettings {
    /// Statistics.
    pub normalization: Normalization,
    /// Added to the variance.
    pub epsilon: f32,
}

/// Batch normalisation with an optional residual and ReLU.
#[derive(Module, Debug)]
pub struct BatchNorm {
    gamma: Param<Tensor<1>>,
    beta: Param<Tensor<1>>,
    running_mean: RunningState<Tensor<1>>,
    running_variance: RunningState<Tensor<1>>,
    frozen: bool,
    epsilon: f32,
}

impl BatchNorm {
    fn new(channels: usize, settings: NormSettings, initializer: &Initializer) -> Self {
        let device = &initializer.device;
        Self {
            gamma: initializer.constant(channels, 1.0),
            beta: initializer.constant(channels, 0.0),
            running_mean: RunningState::new(Tensor::zeros([channels], device)),
            running_variance: RunningState::new(Tensor::ones([channels], device)),
            frozen: settings.normalization == Normalization::Frozen,
            epsilon: settings.epsilon,
        }
    }

    /// The fixed scale and shift of every channel, where it does not depend on the batch.
    fn fixed(&self, training: bool) -> Option<[Tensor<1>; 2]> {
        (self.frozen || !training).then(|| {
            let scale = self.gamma.val() / (self.running_variance.value() + self.epsilon).sqrt();
            let shift = self.beta.val() - self.running_mean.value() * scale.clone();
            [scale, shift]
        })
    }

    /// Normalises by the statistics of the batch, and keeps a running average of them.
    fn forward(&self, x: Tensor<4>, residual: Option<Tensor<4>>, activation: Activation) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let statistics = longtail_ops::statistics(x.clone());
        let count = (batch * height * width) as f32;
        let row =
            |index: usize| statistics.clone().slice([index..index + 1, 0..channels]).reshape([channels]);
        // The running variance is the unbiased one, as in PyTorch.
        blend(&self.running_mean, row(0));
        blend(&self.running_variance, row(1) * (count / (count - 1.0).max(1.0)));
        longtail_ops::batch_norm(
            x,
            self.gamma.val(),
            self.beta.val(),
            residual,
            statistics,
            self.epsilon,
            activation,
        )
    }
}

/// Moves a running statistic towards that of the batch.
fn blend(running: &RunningState<Tensor<1>>, of_batch: Tensor<1>) {
    running.update(running.value() * (1.0 - MOMENTUM) + of_batch * MOMENTUM);
    // An update becomes visible with the next one unless asked for; a checkpoint must not miss it.
    running.value_sync();
}

/// A convolution without bias, followed by batch normalisation.
#[derive(Module, Debug)]
pub struct ConvNorm {
    weight: Param<Tensor<4>>,
    norm: BatchNorm,
    stride: usize,
    groups: usize,
    /// Padding of TensorFlow: at stride 2 the odd zero is at the end.
    same: bool,
}

impl ConvNorm {
    /// A convolution with a square kernel, padded to keep the size at stride 1.
    pub fn new(
        inputs: usize,
        outputs: usize,
        kernel: usize,
        stride: usize,
        groups: usize,
        norm: NormSettings,
        initializer: &mut Initializer,
    ) -> Self {
        // He et al. 2015, fan out, as PyTorch's ResNets.
        let deviation = (2.0 / (outputs / groups * kernel * kernel) as f32).sqrt();
        Self {
            weight: initializer.normal([outputs, inputs / groups, kernel, kernel], deviation),
            norm: BatchNorm::new(outputs, norm, initializer),
            stride,
            groups,
            same: false,
        }
    }

    /// The same with TensorFlow's padding.
    pub fn with_same_padding(self) -> Self {
        Self { same: true, ..self }
    }

    /// `activation(norm(conv(x)) + residual)`.
    pub fn forward(
        &self,
        x: Tensor<4>,
        residual: Option<Tensor<4>>,
        activation: impl Into<Activation>,
    ) -> Tensor<4> {
        let weight = self.weight.val();
        let options = conv_options(&x, &weight, self.stride, self.groups, self.same);
        match self.norm.fixed(x.is_autodiff()) {
            Some([scale, shift]) => {
                longtail_ops::conv2d_affine(x, weight, scale, shift, residual, options, activation)
            }
            None => {
                self.norm.forward(longtail_ops::conv2d(x, weight, None, options), residual, activation.into())
            }
        }
    }
}

/// An inverted residual block, its first and last convolution pointwise: `activation` after all but the last,
/// and `x` added at the end if `skip` says so. In one pass where all normalise by fixed statistics.
pub fn inverted_residual(
    expand: Option<&ConvNorm>,
    depthwise: &ConvNorm,
    project: &ConvNorm,
    x: Tensor<4>,
    skip: bool,
    activation: Activation,
) -> Tensor<4> {
    let fixed = |layer: &ConvNorm| {
        let [scale, shift] = layer.norm.fixed(x.is_autodiff())?;
        Some(FixedConv { weight: layer.weight.val(), scale, shift })
    };
    if let (Some(second), Some(third)) = (fixed(depthwise), fixed(project)) {
        let (stride, groups, same) = (depthwise.stride, depthwise.groups, depthwise.same);
        let options = conv_options(&x, &second.weight, stride, groups, same);
        match expand.map(fixed) {
            None => return longtail_ops::depthwise_separable(x, [second, third], options, skip, activation),
            Some(Some(first)) => {
                return longtail_ops::inverted_residual(x, [first, second, third], options, skip, activation);
            }
            Some(None) => {}
        }
    }
    let residual = skip.then(|| x.clone());
    let wide = expand.map_or(x.clone(), |expand| expand.forward(x, None, activation));
    project.forward(depthwise.forward(wide, None, activation), residual, Activation::None)
}

/// A convolution with bias and stride 1.
#[derive(Module, Debug)]
pub struct Conv {
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
}

impl Conv {
    /// A convolution with a square kernel, padded to keep the size; normal weights, zero bias.
    pub fn new(
        inputs: usize,
        outputs: usize,
        kernel: usize,
        deviation: f32,
        initializer: &mut Initializer,
    ) -> Self {
        Self {
            weight: initializer.normal([outputs, inputs, kernel, kernel], deviation),
            bias: initializer.constant(outputs, 0.0),
        }
    }

    /// `conv(x) + bias`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let weight = self.weight.val();
        let options = conv_options(&x, &weight, 1, 1, false);
        longtail_ops::conv2d(x, weight, Some(self.bias.val()), options)
    }
}

fn conv_options(x: &Tensor<4>, weight: &Tensor<4>, stride: usize, groups: usize, same: bool) -> ConvOptions {
    let [_, _, kernel, _] = weight.dims();
    let [_, _, height, width] = x.dims();
    let (start, end) = if same {
        let total = [height, width].map(|side| {
            let outputs = side.div_ceil(stride);
            ((outputs - 1) * stride + kernel).saturating_sub(side)
        });
        (total.map(|total| total / 2), total.map(|total| total.div_ceil(2)))
    } else {
        ([kernel / 2; 2], [kernel / 2; 2])
    };
    ConvOptions { stride: [stride; 2], padding: start, end_padding: end, groups, bias: false }
}
