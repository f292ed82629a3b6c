//! Feature pyramid network (Lin et al., CVPR 2017).

use burn::{
    module::Module,
    tensor::{
        Tensor,
        module::{interpolate, max_pool2d},
        ops::{InterpolateMode, InterpolateOptions, MaxPoolOptions},
    },
};

use crate::layers::{Conv, Initializer};

/// Strides of P2 to P6.
pub const STRIDES: [usize; 5] = [4, 8, 16, 32, 64];

/// Lateral and output convolutions of P2 to P5; P6 is every second pixel of P5.
#[derive(Module, Debug)]
pub struct FeaturePyramid {
    lateral: Vec<Conv>,
    output: Vec<Conv>,
}

impl FeaturePyramid {
    /// A pyramid of `channels` over features of `inputs` channels.
    pub fn new(inputs: [usize; 4], channels: usize, initializer: &mut Initializer) -> Self {
        // Xavier, as the reference implementations.
        let deviation =
            |inputs: usize, kernel: usize| (2.0 / ((inputs + channels) * kernel * kernel) as f32).sqrt();
        let mut conv =
            |inputs, kernel| Conv::new(inputs, channels, kernel, deviation(inputs, kernel), initializer);
        Self {
            lateral: inputs.iter().map(|&inputs| conv(inputs, 1)).collect(),
            output: inputs.iter().map(|_| conv(channels, 3)).collect(),
        }
    }

    /// P2 to P6 of C2 to C5.
    pub fn forward(&self, features: [Tensor<4>; 4]) -> [Tensor<4>; 5] {
        let mut merged: Vec<Tensor<4>> =
            self.lateral.iter().zip(features).map(|(lateral, x)| lateral.forward(x)).collect();
        for level in (0..3).rev() {
            let [_, _, height, width] = merged[level].dims();
            let options = InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([height, width]);
            merged[level] = merged[level].clone() + interpolate(merged[level + 1].clone(), options);
        }
        let mut outputs: Vec<Tensor<4>> =
            self.output.iter().zip(merged).map(|(output, x)| output.forward(x)).collect();
        let last = outputs[3].clone();
        outputs.push(max_pool2d(last, MaxPoolOptions::new([1, 1]).with_stride([2, 2])));
        outputs.try_into().expect("five levels were made")
    }
}
