//! The operations that detectors need and Burn lacks or runs slowly, as Burn backend extensions: convolution,
//! normalisation with its activation, inverted residual blocks, RoIAlign, and the classification losses of
//! [`longtail_loss`] on tensors. Every one has a backward pass of its own, runs on the CPU backend and, with
//! the feature `gpu`, on every runtime of CubeCL.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`operations`] | the operations on tensors, and the traits that a backend implements |
//! | [`loss`] | classification losses on tensors |
//! | [`mod@device`] | processor or GPU |
//! | [`kernels`] | the arithmetic on plain slices, for the CPU |
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use longtail_ops::{ConvOptions, conv2d};
//!
//! let device = Device::flex();
//! let image = Tensor::<4>::ones([1, 1, 4, 4], &device);
//! let weight = Tensor::<4>::ones([1, 1, 3, 3], &device);
//! let (stride, padding) = ([1, 1], [0, 0]);
//! let options = ConvOptions { stride, padding, end_padding: padding, groups: 1, bias: false };
//! let sums = conv2d(image, weight, None, options);
//! assert_eq!(sums.into_data().try_to_vec::<f32>().unwrap(), [9.0; 4]);
//! ```

mod autodiff;
pub mod device;
mod flex;
#[cfg(feature = "gpu")]
mod gpu;
pub mod kernels;
pub mod loss;
pub mod operations;

pub use kernels::{
    norm::{Activation, Epilogue},
    roi_align::{LEVELS, RoiAlignOptions},
};
pub use loss::TensorLoss;
pub use operations::{
    ConvOptions, DetectionBackward, DetectionOps, FixedConv, FixedConvPrimitive, affine, batch_norm, conv2d,
    conv2d_affine, depthwise_separable, inverted_residual, roi_align, statistics,
};
