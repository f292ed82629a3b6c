//! Convolution, normalisation with its activation, and RoIAlign on tensors. Each is a Burn backend extension
//! with a backward pass of its own: [`DetectionOps`] and [`DetectionBackward`].

use burn::{
    backend::{Backend, Dispatch, ExtensionType, backend_extension, tensor::FloatTensor},
    tensor::Tensor,
};

use crate::kernels::{
    norm::{Activation, Epilogue},
    roi_align::{LEVELS, RoiAlignOptions},
};

/// Stride, padding and groups of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvOptions {
    /// Along height and width.
    pub stride: [usize; 2],
    /// Zeros above and left of the input.
    pub padding: [usize; 2],
    /// Zeros below and right of it.
    pub end_padding: [usize; 2],
    /// Groups of channels.
    pub groups: usize,
    /// Whether the bias is added; without, it may be any tensor.
    pub bias: bool,
}

/// Forward operations.
#[backend_extension(Flex, Cube: cfg(feature = "gpu"), Autodiff)]
pub trait DetectionOps: Backend {
    /// Convolution of `x [N, Cin, H, W]` with `weight [Cout, Cin / groups, kh, kw]`.
    fn detection_conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions,
    ) -> FloatTensor<Self>;

    /// [`Self::detection_conv2d`] without bias and [`Self::detection_affine`] in one pass.
    fn detection_conv2d_affine(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        options: ConvOptions,
        epilogue: Epilogue,
    ) -> FloatTensor<Self>;

    /// An inverted residual block: a pointwise convolution, a depthwise one of `options`, each with
    /// `activation`, and a pointwise one without; `x` is added at the end if `skip` says so.
    fn detection_inverted_residual(
        x: FloatTensor<Self>,
        #[extension_type] expand: FixedConvPrimitive<Self>,
        #[extension_type] depthwise: FixedConvPrimitive<Self>,
        #[extension_type] project: FixedConvPrimitive<Self>,
        options: ConvOptions,
        skip: bool,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let apply = |wide, conv: FixedConvPrimitive<Self>, options, epilogue| {
            let FixedConvPrimitive { weight, scale, shift } = conv;
            Self::detection_conv2d_affine(wide, weight, scale, shift, x.clone(), options, epilogue)
        };
        let inner = Epilogue { residual: false, activation };
        let wide = apply(x.clone(), expand, POINTWISE, inner);
        let wide = apply(wide, depthwise, options, inner);
        apply(wide, project, POINTWISE, Epilogue { residual: skip, activation: Activation::None })
    }

    /// [`Self::detection_inverted_residual`] without the first convolution.
    fn detection_depthwise_separable(
        x: FloatTensor<Self>,
        #[extension_type] depthwise: FixedConvPrimitive<Self>,
        #[extension_type] project: FixedConvPrimitive<Self>,
        options: ConvOptions,
        skip: bool,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let FixedConvPrimitive { weight, scale, shift } = depthwise;
        let inner = Epilogue { residual: false, activation };
        let wide = Self::detection_conv2d_affine(x.clone(), weight, scale, shift, x.clone(), options, inner);
        let FixedConvPrimitive { weight, scale, shift } = project;
        let last = Epilogue { residual: skip, activation: Activation::None };
        Self::detection_conv2d_affine(wide, weight, scale, shift, x, POINTWISE, last)
    }

    /// Mean and variance of each channel, `[2, C]`. Not differentiated: [`Self::detection_batch_norm`] is,
    /// through them.
    fn detection_statistics(x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Batch normalisation by `statistics` of the same `x`, a residual and an activation.
    fn detection_batch_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        epsilon: f32,
        epilogue: Epilogue,
    ) -> FloatTensor<Self>;

    /// Fixed scale and shift per channel, a residual and an activation. `scale` and `shift` get no gradient.
    fn detection_affine(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        epilogue: Epilogue,
    ) -> FloatTensor<Self>;

    /// Features of regions `[R, 6]` (level, image, x1, y1, x2, y2) as `[R, C, output, output]`.
    fn detection_roi_align(
        p2: FloatTensor<Self>,
        p3: FloatTensor<Self>,
        p4: FloatTensor<Self>,
        p5: FloatTensor<Self>,
        regions: FloatTensor<Self>,
        options: RoiAlignOptions,
    ) -> FloatTensor<Self>;
}

/// The gradients of [`DetectionOps`], on plain backends. `dy` is the gradient of the output, `y` the output.
pub trait DetectionBackward: Backend {
    /// Which gradients are wanted decides which are computed: of x, weight, bias.
    fn conv2d_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        options: ConvOptions,
        wanted: [bool; 3],
    ) -> [Option<FloatTensor<Self>>; 3];

    /// Of x, gamma, beta, residual.
    fn batch_norm_backward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        y: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        epsilon: f32,
        epilogue: Epilogue,
    ) -> [FloatTensor<Self>; 4];

    /// Of x and residual.
    fn affine_backward(
        scale: FloatTensor<Self>,
        y: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        epilogue: Epilogue,
    ) -> [FloatTensor<Self>; 2];

    /// Of the four levels, whose shapes are given.
    fn roi_align_backward(
        shapes: [[usize; 4]; LEVELS],
        regions: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        options: RoiAlignOptions,
    ) -> [FloatTensor<Self>; LEVELS];
}

/// Convolution of `x [N, Cin, H, W]` with `weight [Cout, Cin / groups, kh, kw]` and an optional bias
/// `[Cout]`; the bias flag of `options` is set here.
pub fn conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, options: ConvOptions) -> Tensor<4> {
    let options = ConvOptions { bias: bias.is_some(), ..options };
    let bias = bias.unwrap_or_else(|| Tensor::zeros([1], &x.device()));
    Tensor::from_dispatch(Dispatch::detection_conv2d(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        options,
    ))
}

/// `activation(conv(x) · scale + shift + residual)` with fixed `scale` and `shift` of `[Cout]`.
pub fn conv2d_affine(
    x: Tensor<4>,
    weight: Tensor<4>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    residual: Option<Tensor<4>>,
    options: ConvOptions,
    activation: impl Into<Activation>,
) -> Tensor<4> {
    let epilogue = Epilogue { residual: residual.is_some(), activation: activation.into() };
    let residual = residual.unwrap_or_else(|| Tensor::zeros([1, 1, 1, 1], &x.device()));
    Tensor::from_dispatch(Dispatch::detection_conv2d_affine(
        x.into_dispatch(),
        weight.into_dispatch(),
        scale.into_dispatch(),
        shift.into_dispatch(),
        residual.into_dispatch(),
        ConvOptions { bias: false, ..options },
        epilogue,
    ))
}

/// A convolution with its fixed scale and shift of every channel.
#[derive(Debug, Clone)]
pub struct FixedConv {
    /// `[Cout, Cin / groups, kh, kw]`.
    pub weight: Tensor<4>,
    /// `[Cout]`.
    pub scale: Tensor<1>,
    /// `[Cout]`.
    pub shift: Tensor<1>,
}

/// A [`FixedConv`] as a backend has it.
#[derive(Debug, Clone, ExtensionType)]
pub struct FixedConvPrimitive<B: Backend> {
    /// `[Cout, Cin / groups, kh, kw]`.
    pub weight: FloatTensor<B>,
    /// `[Cout]`.
    pub scale: FloatTensor<B>,
    /// `[Cout]`.
    pub shift: FloatTensor<B>,
}

impl FixedConv {
    fn into_dispatch(self) -> FixedConvPrimitive<Dispatch> {
        FixedConvPrimitive {
            weight: self.weight.into_dispatch(),
            scale: self.scale.into_dispatch(),
            shift: self.shift.into_dispatch(),
        }
    }
}

/// An inverted residual block: a pointwise convolution, a depthwise one of `options`, each with what
/// [`conv2d_affine`] does, and a pointwise one without an activation; `x` is added at the end if `skip` says
/// so. In one pass on the CPU where nothing is differentiated.
pub fn inverted_residual(
    x: Tensor<4>,
    [expand, depthwise, project]: [FixedConv; 3],
    options: ConvOptions,
    skip: bool,
    activation: Activation,
) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::detection_inverted_residual(
        x.into_dispatch(),
        expand.into_dispatch(),
        depthwise.into_dispatch(),
        project.into_dispatch(),
        options,
        skip,
        activation,
    ))
}

/// A depthwise convolution of `options` with `activation`, and a pointwise one without: [`inverted_residual`]
/// without its first convolution.
pub fn depthwise_separable(
    x: Tensor<4>,
    [depthwise, project]: [FixedConv; 2],
    options: ConvOptions,
    skip: bool,
    activation: Activation,
) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::detection_depthwise_separable(
        x.into_dispatch(),
        depthwise.into_dispatch(),
        project.into_dispatch(),
        options,
        skip,
        activation,
    ))
}

/// How a pointwise convolution is called.
const POINTWISE: ConvOptions =
    ConvOptions { stride: [1, 1], padding: [0, 0], end_padding: [0, 0], groups: 1, bias: false };

/// Mean and biased variance of each channel of `x [N, C, H, W]` as `[2, C]`, without a gradient.
pub fn statistics(x: Tensor<4>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::detection_statistics(x.into_dispatch()))
}

/// `activation((x - mean) / sqrt(variance + epsilon) · gamma + beta + residual)`, differentiated through the
/// statistics, which must be those of `x`.
pub fn batch_norm(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    residual: Option<Tensor<4>>,
    statistics: Tensor<2>,
    epsilon: f32,
    activation: impl Into<Activation>,
) -> Tensor<4> {
    let epilogue = Epilogue { residual: residual.is_some(), activation: activation.into() };
    let residual = residual.unwrap_or_else(|| Tensor::zeros([1, 1, 1, 1], &x.device()));
    Tensor::from_dispatch(Dispatch::detection_batch_norm(
        x.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        residual.into_dispatch(),
        statistics.into_dispatch(),
        epsilon,
        epilogue,
    ))
}

/// `activation(x · scale + shift + residual)` with fixed `scale` and `shift` of `[C]`.
pub fn affine(
    x: Tensor<4>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    residual: Option<Tensor<4>>,
    activation: impl Into<Activation>,
) -> Tensor<4> {
    let epilogue = Epilogue { residual: residual.is_some(), activation: activation.into() };
    let residual = residual.unwrap_or_else(|| Tensor::zeros([1, 1, 1, 1], &x.device()));
    Tensor::from_dispatch(Dispatch::detection_affine(
        x.into_dispatch(),
        scale.into_dispatch(),
        shift.into_dispatch(),
        residual.into_dispatch(),
        epilogue,
    ))
}

/// RoIAlign over levels P2 to P5. `regions [R, 6]` holds level (0 to 3), image of the batch, x1, y1, x2, y2
/// in image pixels and gets no gradient; levels and images that are not there are the caller's mistake.
/// Returns `[R, C, output, output]`.
pub fn roi_align(levels: [Tensor<4>; LEVELS], regions: Tensor<2>, options: RoiAlignOptions) -> Tensor<4> {
    let [p2, p3, p4, p5] = levels.map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::detection_roi_align(p2, p3, p4, p5, regions.into_dispatch(), options))
}
