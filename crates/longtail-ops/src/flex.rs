//! The operations on the CPU backend: tensors to slices and back.

use burn::{
    backend::{Flex, TensorMetadata, tensor::FloatTensor},
    tensor::TensorData,
};
use burn_flex::FlexTensor;

use super::{
    Activation, ConvOptions, DetectionBackward, DetectionOps, Epilogue, FixedConvPrimitive, RoiAlignOptions,
    kernels::{
        conv::{self, Then},
        conv_shape::ConvShape,
        inverted_residual::{InvertedResidual, Layer},
        norm::{self, Affine, Planes},
        roi_align::{self, LEVELS, Region},
    },
};

fn shape<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    let shape = tensor.shape();
    std::array::from_fn(|d| shape[d])
}

fn slice(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice::<f32>().expect("detection operations take contiguous f32 tensors")
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

fn planes(x: &FlexTensor) -> Planes {
    let [batch, channels, height, width] = shape(x);
    Planes { batch, channels, positions: height * width }
}

fn conv_shape(x: &FlexTensor, weight: &FlexTensor, options: ConvOptions) -> ConvShape {
    let ([batch, inputs, height, width], [outputs, _, kh, kw]) = (shape(x), shape(weight));
    ConvShape {
        batch,
        inputs,
        size: [height, width],
        outputs,
        kernel: [kh, kw],
        stride: options.stride,
        padding: options.padding,
        end_padding: options.end_padding,
        groups: options.groups,
    }
}

impl FixedConvPrimitive<Flex> {
    fn contiguous(self) -> Self {
        let [weight, scale, shift] = [self.weight, self.scale, self.shift].map(|t| t.to_contiguous());
        Self { weight, scale, shift }
    }

    fn layer<'a>(&'a self, residual: Option<&'a [f32]>, activation: Activation) -> Layer<'a> {
        let then = Affine { scale: slice(&self.scale), shift: slice(&self.shift), residual, activation };
        Layer { weight: slice(&self.weight), then }
    }
}

fn inverted_residual(
    x: FlexTensor,
    expand: Option<FixedConvPrimitive<Flex>>,
    [depthwise, project]: [FixedConvPrimitive<Flex>; 2],
    options: ConvOptions,
    skip: bool,
    activation: Activation,
) -> FlexTensor {
    let x = x.to_contiguous();
    let (depthwise, project) = (depthwise.contiguous(), project.contiguous());
    let expand = expand.map(FixedConvPrimitive::contiguous);
    let ([batch, inputs, ..], [channels, ..], [outputs, ..]) =
        (shape::<4>(&x), shape::<4>(&depthwise.weight), shape::<4>(&project.weight));
    let conv = ConvShape { inputs: channels, ..conv_shape(&x, &depthwise.weight, options) };
    let block = InvertedResidual {
        shape: conv,
        inputs,
        outputs,
        x: slice(&x),
        expand: expand.as_ref().map(|expand| expand.layer(None, activation)),
        depthwise: depthwise.layer(None, activation),
        project: project.layer(skip.then(|| slice(&x)), Activation::None),
    };
    let [height, width] = conv.output_size();
    tensor(block.forward(), [batch, outputs, height, width])
}

impl DetectionOps for Flex {
    fn detection_conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions,
    ) -> FloatTensor<Self> {
        let (x, weight, bias) = (x.to_contiguous(), weight.to_contiguous(), bias.to_contiguous());
        let shape = conv_shape(&x, &weight, options);
        let then = if options.bias { Then::Bias(slice(&bias)) } else { Then::Nothing };
        let y = conv::forward(&shape, slice(&x), slice(&weight), then);
        let [height, width] = shape.output_size();
        tensor(y, [shape.batch, shape.outputs, height, width])
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
        let (x, weight, residual) = (x.to_contiguous(), weight.to_contiguous(), residual.to_contiguous());
        let (scale, shift) = (scale.to_contiguous(), shift.to_contiguous());
        let shape = conv_shape(&x, &weight, options);
        let affine = Affine {
            scale: slice(&scale),
            shift: slice(&shift),
            residual: epilogue.residual.then(|| slice(&residual)),
            activation: epilogue.activation,
        };
        let y = conv::forward(&shape, slice(&x), slice(&weight), Then::Affine(affine));
        let [height, width] = shape.output_size();
        tensor(y, [shape.batch, shape.outputs, height, width])
    }

    fn detection_inverted_residual(
        x: FloatTensor<Self>,
        expand: FixedConvPrimitive<Self>,
        depthwise: FixedConvPrimitive<Self>,
        project: FixedConvPrimitive<Self>,
        options: ConvOptions,
        skip: bool,
        activation: Activation,
    ) -> FloatTensor<Self> {
        inverted_residual(x, Some(expand), [depthwise, project], options, skip, activation)
    }

    fn detection_depthwise_separable(
        x: FloatTensor<Self>,
        depthwise: FixedConvPrimitive<Self>,
        project: FixedConvPrimitive<Self>,
        options: ConvOptions,
        skip: bool,
        activation: Activation,
    ) -> FloatTensor<Self> {
        inverted_residual(x, None, [depthwise, project], options, skip, activation)
    }

    fn detection_statistics(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let x = x.to_contiguous();
        let planes = planes(&x);
        tensor(norm::statistics(planes, slice(&x)), [2, planes.channels])
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
        let (x, residual) = (x.to_contiguous(), residual.to_contiguous());
        let (gamma, beta, statistics) =
            (gamma.to_contiguous(), beta.to_contiguous(), statistics.to_contiguous());
        let planes = planes(&x);
        let (mean, variance) = slice(&statistics).split_at(planes.channels);
        let scale: Vec<f32> =
            slice(&gamma).iter().zip(variance).map(|(gamma, v)| gamma / (v + epsilon).sqrt()).collect();
        let shift: Vec<f32> =
            slice(&beta).iter().zip(mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
        let y = norm::affine(planes, slice(&x), &scale, &shift, slice(&residual), epilogue);
        tensor(y, shape::<4>(&x))
    }

    fn detection_affine(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        epilogue: Epilogue,
    ) -> FloatTensor<Self> {
        let (x, residual) = (x.to_contiguous(), residual.to_contiguous());
        let (scale, shift) = (scale.to_contiguous(), shift.to_contiguous());
        let y = norm::affine(planes(&x), slice(&x), slice(&scale), slice(&shift), slice(&residual), epilogue);
        tensor(y, shape::<4>(&x))
    }

    fn detection_roi_align(
        p2: FloatTensor<Self>,
        p3: FloatTensor<Self>,
        p4: FloatTensor<Self>,
        p5: FloatTensor<Self>,
        regions: FloatTensor<Self>,
        options: RoiAlignOptions,
    ) -> FloatTensor<Self> {
        let levels = [p2, p3, p4, p5].map(|level| level.to_contiguous());
        let shapes: [_; LEVELS] = std::array::from_fn(|level| shape::<4>(&levels[level]));
        let regions = Region::from_rows(slice(&regions.to_contiguous()));
        let slices = std::array::from_fn(|level| slice(&levels[level]));
        let pooled = roi_align::forward(slices, shapes, &regions, &options);
        tensor(pooled, [regions.len(), shapes[0][1], options.output, options.output])
    }
}

impl DetectionBackward for Flex {
    fn conv2d_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        options: ConvOptions,
        wanted: [bool; 3],
    ) -> [Option<FloatTensor<Self>>; 3] {
        let (x, weight, dy) = (x.to_contiguous(), weight.to_contiguous(), dy.to_contiguous());
        let conv = conv_shape(&x, &weight, options);
        [
            wanted[0]
                .then(|| tensor(conv::backward_input(&conv, slice(&weight), slice(&dy)), shape::<4>(&x))),
            wanted[1]
                .then(|| tensor(conv::backward_weight(&conv, slice(&x), slice(&dy)), shape::<4>(&weight))),
            wanted[2].then(|| tensor(conv::backward_bias(&conv, slice(&dy)), [conv.outputs])),
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
        let (x, y, dy) = (x.to_contiguous(), y.to_contiguous(), dy.to_contiguous());
        let (gamma, statistics) = (gamma.to_contiguous(), statistics.to_contiguous());
        let (planes, dims) = (planes(&x), shape::<4>(&x));
        let passed = norm::through_relu(slice(&y), slice(&dy), epilogue);
        let (dx, dgamma, dbeta) =
            norm::batch_norm_backward(planes, slice(&x), slice(&gamma), slice(&statistics), epsilon, &passed);
        let channels = [planes.channels];
        [tensor(dx, dims), tensor(dgamma, channels), tensor(dbeta, channels), tensor(passed, dims)]
    }

    fn affine_backward(
        scale: FloatTensor<Self>,
        y: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        epilogue: Epilogue,
    ) -> [FloatTensor<Self>; 2] {
        let (scale, y, dy) = (scale.to_contiguous(), y.to_contiguous(), dy.to_contiguous());
        let dims = shape::<4>(&y);
        let passed = norm::through_relu(slice(&y), slice(&dy), epilogue);
        let dx = norm::affine_backward(planes(&y), slice(&scale), &passed);
        [tensor(dx, dims), tensor(passed, dims)]
    }

    fn roi_align_backward(
        shapes: [[usize; 4]; LEVELS],
        regions: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        options: RoiAlignOptions,
    ) -> [FloatTensor<Self>; LEVELS] {
        let (regions, dy) = (regions.to_contiguous(), dy.to_contiguous());
        let gradients =
            roi_align::backward(shapes, &Region::from_rows(slice(&regions)), slice(&dy), &options);
        let mut shapes = shapes.into_iter();
        gradients.map(|gradient| tensor(gradient, shapes.next().expect("a shape for each level")))
    }
}
