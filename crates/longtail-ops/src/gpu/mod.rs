//! The operations on GPUs, for every runtime of CubeCL: convolutions are Burn's, the rest are kernels of our
//! own.

mod channels;
mod memory;
mod norm;
mod roi_align;
pub(crate) mod sigmoid_loss;

use burn::backend::{
    ops::{ConvOptions as BurnConvOptions, ModuleOps},
    tensor::FloatTensor,
};
use burn_cubecl::CubeBackend;

use super::{ConvOptions, DetectionBackward, DetectionOps, Epilogue, LEVELS, RoiAlignOptions};

fn burn_options(options: ConvOptions) -> BurnConvOptions<2> {
    let padding = std::array::from_fn(|d| (options.padding[d], options.end_padding[d]));
    BurnConvOptions { stride: options.stride, padding, dilation: [1, 1], groups: options.groups }
}

impl DetectionOps for CubeBackend {
    fn detection_conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions,
    ) -> FloatTensor<Self> {
        Self::conv2d(x, weight, options.bias.then_some(bias), burn_options(options))
    }

    fn detection_conv2d_affine(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        options: ConvOptions,
        epilogue: Epilogue,
    ) -> FloatTensor<Self> {
        let y = Self::conv2d(x, weight, None, burn_options(options));
        norm::affine(y, scale, shift, residual, epilogue)
    }

    fn detection_statistics(x: FloatTensor<Self>) -> FloatTensor<Self> {
        channels::statistics(x)
    }

    fn detection_batch_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        epsilon: f32,
        epilogue: Epilogue,
    ) -> FloatTensor<Self> {
        norm::batch_norm(x, gamma, beta, residual, statistics, epsilon, epilogue)
    }

    fn detection_affine(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        epilogue: Epilogue,
    ) -> FloatTensor<Self> {
        norm::affine(x, scale, shift, residual, epilogue)
    }

    fn detection_roi_align(
        p2: FloatTensor<Self>,
        p3: FloatTensor<Self>,
        p4: FloatTensor<Self>,
        p5: FloatTensor<Self>,
        regions: FloatTensor<Self>,
        options: RoiAlignOptions,
    ) -> FloatTensor<Self> {
        roi_align::forward([p2, p3, p4, p5], regions, options)
    }
}

impl DetectionBackward for CubeBackend {
    fn conv2d_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        options: ConvOptions,
        wanted: [bool; 3],
    ) -> [Option<FloatTensor<Self>>; 3] {
        let burn = || burn_options(options);
        [
            wanted[0].then(|| Self::conv2d_x_backward(x.clone(), weight.clone(), dy.clone(), burn())),
            wanted[1].then(|| Self::conv2d_weight_backward(x.clone(), weight.clone(), dy.clone(), burn())),
            wanted[2].then(|| channels::sums(dy.clone())),
        ]
    }

    fn batch_norm_backward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        y: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        epsilon: f32,
        epilogue: Epilogue,
    ) -> [FloatTensor<Self>; 4] {
        norm::batch_norm_backward(x, gamma, statistics, y, dy, epsilon, epilogue)
    }

    fn affine_backward(
        scale: FloatTensor<Self>,
        y: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        epilogue: Epilogue,
    ) -> [FloatTensor<Self>; 2] {
        norm::affine_backward(scale, y, dy, epilogue)
    }

    fn roi_align_backward(
        shapes: [[usize; 4]; LEVELS],
        regions: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        options: RoiAlignOptions,
    ) -> [FloatTensor<Self>; LEVELS] {
        roi_align::backward(shapes, regions, dy, options)
    }
}
