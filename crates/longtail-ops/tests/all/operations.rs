//! The operations against slow references written from their definitions, and their gradients against finite
//! differences.

use crate::{assert_close, device, random, tensor, values};
use burn::tensor::{Device, Tensor};
use longtail_ops::{
    Activation, ConvOptions, FixedConv, LEVELS, RoiAlignOptions, affine, batch_norm, conv2d, conv2d_affine,
    depthwise_separable, inverted_residual, kernels::conv_shape::ConvShape, roi_align, statistics,
};

/// Convolution and its three gradients by the definition, in f64.
fn slow_conv(shape: &ConvShape, x: &[f32], w: &[f32], dy: &[f32]) -> [Vec<f32>; 4] {
    let [rows, columns] = shape.output_size();
    let (per_group, out_per_group) = (shape.inputs / shape.groups, shape.outputs / shape.groups);
    let mut y = vec![0.0_f64; shape.batch * shape.outputs * rows * columns];
    let (mut dx, mut dw, mut db) =
        (vec![0.0_f64; x.len()], vec![0.0_f64; w.len()], vec![0.0_f64; shape.outputs]);
    for n in 0..shape.batch {
        for o in 0..shape.outputs {
            for r in 0..rows {
                for c in 0..columns {
                    let place = ((n * shape.outputs + o) * rows + r) * columns + c;
                    let g = f64::from(dy[place]);
                    db[o] += g;
                    for i in 0..per_group {
                        for ky in 0..shape.kernel[0] {
                            for kx in 0..shape.kernel[1] {
                                let iy = (r * shape.stride[0] + ky) as isize - shape.padding[0] as isize;
                                let ix = (c * shape.stride[1] + kx) as isize - shape.padding[1] as isize;
                                if iy < 0
                                    || ix < 0
                                    || iy >= shape.size[0] as isize
                                    || ix >= shape.size[1] as isize
                                {
                                    continue;
                                }
                                let channel = o / out_per_group * per_group + i;
                                let xi = ((n * shape.inputs + channel) * shape.size[0] + iy as usize)
                                    * shape.size[1]
                                    + ix as usize;
                                let wi = ((o * per_group + i) * shape.kernel[0] + ky) * shape.kernel[1] + kx;
                                y[place] += f64::from(x[xi]) * f64::from(w[wi]);
                                dx[xi] += g * f64::from(w[wi]);
                                dw[wi] += g * f64::from(x[xi]);
                            }
                        }
                    }
                }
            }
        }
    }
    [y, dx, dw, db].map(|v| v.into_iter().map(|v| v as f32).collect())
}

#[test]
fn convolution_equals_its_definition() {
    let device = device().autodiff();
    // batch, inputs, size, outputs, kernel, stride, padding, groups
    let cases = [
        (2, 3, [9, 7], 4, [3, 3], [1, 1], [1, 1], 1),
        (1, 4, [8, 8], 6, [1, 1], [1, 1], [0, 0], 1),
        (3, 5, [11, 6], 2, [1, 1], [2, 2], [0, 0], 1),
        (2, 3, [13, 17], 8, [7, 7], [2, 2], [3, 3], 1),
        (2, 8, [6, 5], 12, [3, 3], [2, 1], [1, 0], 4),
        (1, 40, [30, 41], 33, [3, 3], [1, 1], [1, 1], 1),
        (1, 2, [1, 1], 3, [3, 3], [2, 2], [1, 1], 1),
        (9, 6, [5, 5], 6, [3, 3], [1, 1], [1, 1], 6),
        (2, 6, [8, 10], 6, [5, 5], [2, 2], [1, 1], 6),
        (1, 7, [9, 34], 7, [3, 3], [2, 2], [1, 1], 7),
        (2, 3, [6, 21], 3, [5, 5], [1, 1], [2, 2], 3),
    ];
    for (case, (batch, inputs, size, outputs, kernel, stride, padding, groups)) in
        cases.into_iter().enumerate()
    {
        // One case more on the end, as TensorFlow pads.
        let end_padding = if case == 8 { [padding[0] + 1, padding[1] + 1] } else { padding };
        let shape = ConvShape { batch, inputs, size, outputs, kernel, stride, padding, end_padding, groups };
        let seed = case as u64;
        let x = random(seed, batch * inputs * size[0] * size[1]);
        let w = random(seed + 100, outputs * inputs / groups * kernel[0] * kernel[1]);
        let b = random(seed + 200, outputs);
        let [rows, columns] = shape.output_size();
        let dy = random(seed + 300, batch * outputs * rows * columns);
        let [y, dx, dw, db] = slow_conv(&shape, &x, &w, &dy);
        let biased: Vec<f32> = y
            .chunks(rows * columns)
            .enumerate()
            .flat_map(|(plane, y)| {
                let b = b[plane % outputs];
                y.iter().map(move |y| y + b)
            })
            .collect();

        let xt = tensor(&x, [batch, inputs, size[0], size[1]], &device).require_grad();
        let wt = tensor(&w, [outputs, inputs / groups, kernel[0], kernel[1]], &device).require_grad();
        let bt = tensor(&b, [outputs], &device).require_grad();
        let options = ConvOptions { stride, padding, end_padding, groups, bias: false };
        let out = conv2d(xt.clone(), wt.clone(), Some(bt.clone()), options);
        assert_close(&values(out.clone().inner()), &biased, 1e-4);
        let weight = tensor(&dy, out.dims(), &device);
        let gradients = (out * weight).sum().backward();
        assert_close(&values(xt.grad(&gradients).unwrap()), &dx, 1e-4);
        assert_close(&values(wt.grad(&gradients).unwrap()), &dw, 1e-4);
        assert_close(&values(bt.grad(&gradients).unwrap()), &db, 1e-4);
        let unbiased = conv2d(xt.inner(), wt.inner(), None, options);
        assert_close(&values(unbiased), &y, 1e-4);
    }
}

/// In one pass and in two, depthwise and not, with a residual and without; and the gradients, which are those
/// of the two.
#[test]
fn convolution_with_what_follows_equals_the_two_apart() {
    let device = device().autodiff();
    for (inputs, outputs, kernel, stride, groups) in
        [(8, 40, 1, 1, 1), (5, 6, 3, 2, 1), (6, 6, 3, 1, 6), (6, 6, 5, 2, 6), (8, 12, 3, 1, 4)]
    {
        let x = tensor(&random(1, 2 * inputs * 9 * 11), [2, inputs, 9, 11], &device).require_grad();
        let shape = [outputs, inputs / groups, kernel, kernel];
        let weight = tensor(&random(2, shape.iter().product()), shape, &device).require_grad();
        // As those that a trained normalisation gives: they are told to want gradients, and get none.
        let scale = tensor(&random(3, outputs), [outputs], &device).require_grad();
        let shift = tensor(&random(4, outputs), [outputs], &device).require_grad() * 1.0;
        let padding = [kernel / 2; 2];
        let options = ConvOptions { stride: [stride; 2], padding, end_padding: padding, groups, bias: false };
        let plain = conv2d(x.clone().inner(), weight.clone().inner(), None, options);
        let dims = plain.dims();
        let residual = tensor(&random(5, dims.iter().product()), dims, &device);
        for residual in [None, Some(residual)] {
            let (scale, shift) = (scale.clone(), shift.clone());
            let inner_residual = residual.clone().map(|r| r.inner());
            let apart = affine(
                plain.clone(),
                scale.clone().inner(),
                shift.clone().inner(),
                inner_residual,
                Activation::Relu6,
            );
            let fused = |x: Tensor<4>, weight: Tensor<4>, on: &dyn Fn(Tensor<1>) -> Tensor<1>| {
                let residual = residual.clone().map(|r| if x.is_autodiff() { r } else { r.inner() });
                let (scale, shift) = (on(scale.clone()), on(shift.clone()));
                conv2d_affine(x, weight, scale, shift, residual, options, Activation::Relu6)
            };
            let inner = fused(x.clone().inner(), weight.clone().inner(), &|t| t.inner());
            assert_eq!(values(inner), values(apart));
            let differentiated = fused(x.clone(), weight.clone(), &|t| t);
            let apart = affine(
                conv2d(x.clone(), weight.clone(), None, options),
                scale.clone(),
                shift.clone(),
                residual.clone(),
                Activation::Relu6,
            );
            let gradients = [apart, differentiated].map(|y| y.sum().backward());
            let of = |tensor: &Tensor<4>| gradients.each_ref().map(|g| values(tensor.grad(g).unwrap()));
            for [apart, fused] in [of(&x), of(&weight)] {
                assert_eq!(apart, fused);
            }
        }
    }
}

#[test]
fn convolution_gives_the_same_bits_on_any_number_of_threads() {
    let device = Device::flex();
    let shape = [3, 20, 33, 29];
    let x = tensor(&random(1, shape.iter().product()), shape, &device);
    let w = tensor(&random(2, 24 * 20 * 9), [24, 20, 3, 3], &device);
    let options =
        ConvOptions { stride: [1, 1], padding: [1, 1], end_padding: [1, 1], groups: 1, bias: false };
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let autodiff = device.clone().autodiff();
            let x = Tensor::<4>::from_data(x.to_data(), &autodiff).require_grad();
            let w = Tensor::<4>::from_data(w.to_data(), &autodiff).require_grad();
            let gradients = conv2d(x.clone(), w.clone(), None, options).powi_scalar(2).sum().backward();
            (values(x.grad(&gradients).unwrap()), values(w.grad(&gradients).unwrap()))
        })
    };
    assert_eq!(run(1), run(5));
}

/// Central differences of `f` at `x`, along every coordinate.
fn finite_differences(x: &[f32], step: f32, f: impl Fn(&[f32]) -> f64) -> Vec<f32> {
    (0..x.len())
        .map(|i| {
            let mut moved = x.to_vec();
            moved[i] = x[i] + step;
            let above = f(&moved);
            moved[i] = x[i] - step;
            ((above - f(&moved)) / (2.0 * f64::from(step))) as f32
        })
        .collect()
}

fn weighted(values: Vec<f32>, weights: &[f32]) -> f64 {
    values.iter().zip(weights).map(|(v, w)| f64::from(*v) * f64::from(*w)).sum()
}

#[test]
fn batch_norm_normalises_and_its_gradients_are_finite_differences() {
    let device = device().autodiff();
    let shape = [2, 3, 4, 5];
    let count = shape.iter().product();
    for (relu, with_residual) in [(false, false), (true, false), (true, true)] {
        let (x, residual, weights) = (random(1, count), random(2, count), random(3, count));
        let (gamma, beta) = (vec![0.5, 1.5, -0.7], vec![0.1, -0.2, 0.3]);
        let apply = |x: &[f32], gamma: &[f32], beta: &[f32], residual: &[f32]| {
            let device = device.clone().inner();
            let x = tensor(x, shape, &device);
            let residual = with_residual.then(|| tensor(residual, shape, &device));
            let (gamma, beta) = (tensor(gamma, [3], &device), tensor(beta, [3], &device));
            values(batch_norm(x.clone(), gamma, beta, residual, statistics(x), 1e-5, relu))
        };
        let [xt, rt] = [&x, &residual].map(|v| tensor(v, shape, &device).require_grad());
        let [gt, bt] = [&gamma, &beta].map(|v| tensor(v, [3], &device).require_grad());
        let given = with_residual.then(|| rt.clone());
        let y = batch_norm(xt.clone(), gt.clone(), bt.clone(), given, statistics(xt.clone()), 1e-5, relu);
        if !relu {
            // Each channel has mean beta and standard deviation |gamma|.
            let channels = statistics(y.clone().inner());
            let mut expected = beta.clone();
            expected.extend(gamma.iter().map(|g| g * g));
            assert_close(&values(channels), &expected, 1e-3);
        }
        let gradients = (y * tensor(&weights, shape, &device)).sum().backward();
        let check = |found: Option<Vec<f32>>, at: &[f32], f: &dyn Fn(&[f32]) -> Vec<f32>| {
            assert_close(&found.unwrap(), &finite_differences(at, 3e-4, |v| weighted(f(v), &weights)), 2e-2);
        };
        check(xt.grad(&gradients).map(values), &x, &|v| apply(v, &gamma, &beta, &residual));
        check(gt.grad(&gradients).map(values), &gamma, &|v| apply(&x, v, &beta, &residual));
        check(bt.grad(&gradients).map(values), &beta, &|v| apply(&x, &gamma, v, &residual));
        if with_residual {
            check(rt.grad(&gradients).map(values), &residual, &|v| apply(&x, &gamma, &beta, v));
        }
    }
}

#[test]
fn affine_scales_shifts_adds_and_clips() {
    let device = device().autodiff();
    let x = tensor(&[1.0, -2.0, 3.0, 4.0], [1, 2, 1, 2], &device).require_grad();
    let residual = tensor(&[0.0, 10.0, 0.0, 0.0], [1, 2, 1, 2], &device).require_grad();
    let (scale, shift) = (tensor(&[2.0, -1.0], [2], &device), tensor(&[0.5, 3.5], [2], &device));
    let y = affine(x.clone(), scale, shift, Some(residual.clone()), true);
    assert_eq!(values(y.clone().inner()), [2.5, 6.5, 0.5, 0.0]);
    let gradients = y.sum().backward();
    assert_eq!(values(x.grad(&gradients).unwrap()), [2.0, 2.0, -1.0, 0.0]);
    assert_eq!(values(residual.grad(&gradients).unwrap()), [1.0, 1.0, 1.0, 0.0]);
}

/// On the processor; shaders may not tell it from other numbers.
#[test]
fn activations_keep_what_is_no_number() {
    let device = Device::flex();
    let x = tensor(&[f32::NAN, -1.0, 9.0, 3.0], [1, 1, 2, 2], &device);
    let (scale, shift) = (tensor(&[1.0], [1], &device), tensor(&[0.0], [1], &device));
    let y = values(affine(x, scale, shift, None, Activation::Relu6));
    assert!(y[0].is_nan());
    assert_eq!(y[1..], [0.0, 6.0, 3.0]);
}

#[test]
fn roi_align_gradient_is_its_transpose() {
    // RoIAlign is linear in the features: ⟨RoIAlign(x), g⟩ = ⟨x, backward(g)⟩, and one-hot features give its
    // matrix.
    let device = device().autodiff();
    let shapes = [[2, 3, 8, 10], [2, 3, 4, 5], [2, 3, 2, 3], [2, 3, 1, 2]];
    let options =
        RoiAlignOptions { output: 3, sampling: 2, aligned: false, scales: [0.25, 0.125, 0.0625, 0.03125] };
    let regions = [
        0.0, 1.0, 3.0, 2.0, 20.0, 17.0, //
        1.0, 0.0, -4.0, 1.0, 39.0, 31.0, //
        2.0, 1.0, 10.0, 10.0, 60.0, 50.0, //
        3.0, 0.0, 0.0, 0.0, 40.0, 32.0, //
        0.0, 0.0, 35.0, 25.0, 36.0, 26.0,
    ];
    let levels: [Vec<f32>; LEVELS] = std::array::from_fn(|l| random(l as u64, shapes[l].iter().product()));
    let tensors: [Tensor<4>; LEVELS] =
        std::array::from_fn(|l| tensor(&levels[l], shapes[l], &device).require_grad());
    let rows = tensor(&regions, [5, 6], &device);
    let pooled = roi_align(tensors.clone(), rows, options);
    assert_eq!(pooled.dims(), [5, 3, 3, 3]);
    let g = random(9, 5 * 27);
    let expected = weighted(values(pooled.clone().inner()), &g);
    let gradients = (pooled * tensor(&g, [5, 3, 3, 3], &device)).sum().backward();
    let found: f64 =
        (0..LEVELS).map(|l| weighted(values(tensors[l].grad(&gradients).unwrap()), &levels[l])).sum();
    assert!((found - expected).abs() < 1e-4, "{found} is not {expected}");
}

#[test]
fn roi_align_of_a_ramp_is_the_centre_of_each_bin() {
    let device = device();
    // Feature value = x + 10 y: bilinear sampling reproduces it exactly, and a bin's mean is its centre's
    // value.
    let ramp: Vec<f32> = (0..16 * 16).map(|i| (i % 16) as f32 + 10.0 * (i / 16) as f32).collect();
    let level = tensor(&ramp, [1, 1, 16, 16], &device);
    let levels = [level.clone(), level.clone(), level.clone(), level];
    let options = RoiAlignOptions { output: 2, sampling: 2, aligned: false, scales: [0.5; LEVELS] };
    let rows = tensor(&[0.0, 0.0, 4.0, 8.0, 12.0, 24.0], [1, 6], &device);
    // The box spans x 2..6, y 4..12 on the map; bin centres x 3, 5 and y 6, 10.
    assert_close(&values(roi_align(levels, rows, options)), &[63.0, 65.0, 103.0, 105.0], 1e-6);
}

/// In one pass and in three: strips and slabs of every height and width, strides, kernels and paddings of
/// both conventions.
#[test]
fn an_inverted_residual_block_equals_its_convolutions() {
    let device = device();
    // batch, inputs, channels, outputs, size, kernel, stride, padding, padding at the end
    for (batch, inputs, channels, outputs, size, kernel, stride, padding, end) in [
        (2, 3, 8, 5, [9, 11], 3, 1, 1, 1),
        (1, 4, 100, 70, [20, 17], 5, 1, 2, 2),
        (1, 5, 49, 5, [30, 31], 3, 2, 0, 1),
        (2, 2, 7, 2, [8, 9], 5, 2, 1, 2),
        (1, 3, 50, 21, [150, 140], 3, 2, 0, 1),
        (1, 3, 150, 16, [160, 150], 5, 1, 2, 2),
        (8, 6, 200, 6, [12, 13], 3, 1, 1, 1),
        (1, 17, 144, 130, [10, 10], 5, 1, 2, 2),
        (3, 2, 3, 1, [1, 1], 3, 1, 1, 1),
        (1, 2, 3, 2, [2, 3], 5, 1, 2, 2),
    ] {
        let fixed = |seed: u64, shape: [usize; 4]| FixedConv {
            weight: tensor(&random(seed, shape.iter().product()), shape, &device),
            scale: tensor(&random(seed + 1, shape[0]), [shape[0]], &device),
            shift: tensor(&random(seed + 2, shape[0]), [shape[0]], &device),
        };
        let [height, width] = size;
        let shape = [batch, inputs, height, width];
        let x = tensor(&random(1, shape.iter().product()), shape, &device);
        let expand = fixed(2, [channels, inputs, 1, 1]);
        let depthwise = fixed(5, [channels, 1, kernel, kernel]);
        let project = fixed(8, [outputs, channels, 1, 1]);
        let options = ConvOptions {
            stride: [stride; 2],
            padding: [padding; 2],
            end_padding: [end; 2],
            groups: channels,
            bias: false,
        };
        let pointwise =
            ConvOptions { stride: [1, 1], padding: [0, 0], end_padding: [0, 0], groups: 1, bias: false };
        let skip = stride == 1 && inputs == outputs;
        let apply = |x, conv: &FixedConv, residual, options, activation| {
            let FixedConv { weight, scale, shift } = conv.clone();
            conv2d_affine(x, weight, scale, shift, residual, options, activation)
        };
        let expanded = apply(x.clone(), &expand, None, pointwise, Activation::Relu6);
        let wide = apply(expanded.clone(), &depthwise, None, options, Activation::Relu6);
        let narrow = apply(wide.clone(), &project, None, pointwise, Activation::None);
        let separable = [depthwise.clone(), project.clone()];
        let separable = depthwise_separable(expanded, separable, options, false, Activation::Relu6);
        assert_close(&values(separable), &values(narrow), 1e-5);
        let apart = apply(wide, &project, skip.then(|| x.clone()), pointwise, Activation::None);
        let fused = inverted_residual(x, [expand, depthwise, project], options, skip, Activation::Relu6);
        assert_eq!(fused.dims(), apart.dims());
        assert_close(&values(fused), &values(apart), 1e-5);
    }
}
