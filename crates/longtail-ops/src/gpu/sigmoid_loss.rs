//! Sigmoid losses as one kernel, value and gradient, without the logits ever leaving the GPU. What a loss
//! does to a cell is its [`Rule`].

use burn::{
    backend::{Backend, Dispatch, DispatchDevice, TensorMetadata, backend_extension, tensor::FloatTensor},
    tensor::{DType, Shape, Tensor, TensorData},
};
use burn_cubecl::{
    CubeBackend, kernel::into_contiguous, ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor,
};
use cubecl::prelude::*;

use longtail_loss::{
    LossError, LossState, RoiTargets, SigmoidLoss, SingleWorker,
    rule::{Focus, Rule, SigmoidHead},
    running::GradientSums,
};

/// Columns of a cube, one a unit.
const UNITS: u32 = 64;

/// RoIs that a unit walks in order.
const ROWS: usize = 16;

/// Numbers of a RoI: its own column or -1, scale, threshold, set of weights, part.
const FACTS: usize = 5;

/// Part of a RoI in the running statistics.
const IGNORED: f32 = 0.0;
const BACKGROUND: f32 = 1.0;
const FOREGROUND: f32 = 2.0;

/// Sums of a column: loss, p of background RoIs, p of all RoIs that are not its own, 1 - p of its own RoIs,
/// logits that are not finite.
const SUMS: usize = 5;

/// A loss on the GPU: its value, its gradient and the state after the step.
pub(crate) struct OnGpu {
    pub value: f64,
    /// `[N, K]`.
    pub gradient: Tensor<2>,
    pub state: LossState,
}

#[backend_extension(Cube)]
trait SigmoidLossOps: Backend {
    /// Gradient `[N, K]` and sums `[5, K]` of logits `[N, K]`, facts of the RoIs `[N, 5]` and `weights [2 +
    /// S, K]`: those of positives, exponents, and the sets of negatives.
    fn sigmoid_loss(
        logits: FloatTensor<Self>,
        facts: FloatTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// `ln(1 + e)` for e in `0..=1`, exact where e vanishes beside 1.
#[cube]
fn log_one_plus(e: f32) -> f32 {
    select(e < 0.01f32, e - 0.5f32 * e * e + e * e * e / 3.0f32, (1.0f32 + e).ln())
}

#[cube(launch)]
fn gradient_kernel(
    logits: &[f32],
    facts: &[f32],
    weights: &[f32],
    gradient: &mut [f32],
    partial: &mut [f32],
    num_rows: u32,
    num_columns: u32,
    largest: f32,
    #[comptime] rows_at_once: usize,
) {
    let (columns, column) = (num_columns as usize, ABSOLUTE_POS_X as usize);
    let first = CUBE_POS_Y as usize * rows_at_once;
    if column < columns {
        let mut loss = 0.0f32;
        let mut of_background = 0.0f32;
        let mut of_negatives = 0.0f32;
        let mut of_positives = 0.0f32;
        let mut not_finite = 0.0f32;
        let positive = weights[column];
        let gamma = weights[columns + column];
        for index in 0..rows_at_once {
            let row = first + index;
            if row < num_rows as usize {
                let z = logits[row * columns + column];
                let own = facts[row * FACTS] == f32::cast_from(column as u32);
                let scale = facts[row * FACTS + 1];
                let threshold = facts[row * FACTS + 2];
                let set = u32::cast_from(facts[row * FACTS + 3]) as usize;
                let part = facts[row * FACTS + 4];
                let e = (-z.abs()).exp();
                let p = select(z >= 0.0f32, 1.0f32, e) / (1.0f32 + e);
                let softplus = max(z, 0.0f32) + log_one_plus(e);
                // A positive is the negative of -z.
                let negative = select(z >= threshold, weights[(2 + set) * columns + column], 0.0f32);
                let weight = select(own, positive, negative);
                let wrong = select(own, select(z >= 0.0f32, e, 1.0f32) / (1.0f32 + e), p);
                let surprise = select(own, softplus - z, softplus);
                let power = select(gamma == 0.0f32, 1.0f32, wrong.powf(gamma));
                let slope = power * (gamma * (1.0f32 - wrong) * surprise + wrong);
                loss += scale * weight * power * surprise;
                gradient[row * columns + column] = scale * weight * select(own, -slope, slope);
                not_finite += select(z.abs() <= largest, 0.0f32, 1.0f32);
                of_background += select(part == BACKGROUND, p, 0.0f32);
                of_negatives += select(part != IGNORED && !own, p, 0.0f32);
                of_positives += select(part == FOREGROUND && own, 1.0f32 - p, 0.0f32);
            }
        }
        let base = CUBE_POS_Y as usize * SUMS * columns + column;
        partial[base] = loss;
        partial[base + columns] = of_background;
        partial[base + 2 * columns] = of_negatives;
        partial[base + 3 * columns] = of_positives;
        partial[base + 4 * columns] = not_finite;
    }
}

/// Adds the sums of all blocks of RoIs, in order.
#[cube(launch)]
fn add_blocks_kernel(partial: &[f32], sums: &mut [f32], count: u32, blocks: u32) {
    let index = ABSOLUTE_POS;
    if index < count as usize {
        let mut sum = 0.0f32;
        for block in 0..blocks as usize {
            sum += partial[block * count as usize + index];
        }
        sums[index] = sum;
    }
}

impl SigmoidLossOps for CubeBackend {
    fn sigmoid_loss(
        logits: FloatTensor<Self>,
        facts: FloatTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        for tensor in [&logits, &facts, &weights] {
            assert_eq!(tensor.dtype, DType::F32, "losses take f32 tensors");
        }
        let logits = into_contiguous(logits);
        let shape = logits.shape();
        let (rows, columns) = (shape[0], shape[1]);
        let blocks = rows.div_ceil(ROWS);
        let empty = |shape: Vec<usize>| -> CubeTensor {
            let (client, device) = (logits.client.clone(), logits.device.clone());
            empty_device_contiguous_dtype(client, device, Shape::from(shape), DType::F32)
        };
        let (gradient, partial) = (empty(vec![rows, columns]), empty(vec![blocks, SUMS, columns]));
        let sums = empty(vec![SUMS, columns]);
        gradient_kernel::launch(
            &gradient.client,
            CubeCount::Static((columns as u32).div_ceil(UNITS), blocks as u32, 1),
            CubeDim::new_1d(UNITS),
            logits.clone().into_buffer_arg(),
            into_contiguous(facts).into_buffer_arg(),
            into_contiguous(weights).into_buffer_arg(),
            gradient.clone().into_buffer_arg(),
            partial.clone().into_buffer_arg(),
            rows as u32,
            columns as u32,
            f32::MAX,
            ROWS,
        );
        let count = (SUMS * columns) as u32;
        add_blocks_kernel::launch(
            &sums.client,
            CubeCount::Static(count.div_ceil(UNITS), 1, 1),
            CubeDim::new_1d(UNITS),
            partial.into_buffer_arg(),
            sums.clone().into_buffer_arg(),
            count,
            blocks as u32,
        );
        (gradient, sums)
    }
}

/// The loss of plain `logits` on their GPU, or `None` where the host is to do it: on a processor, with
/// nothing to do, with labels that hide columns, or with draws that depend on the logits.
pub(crate) fn evaluate(
    loss: &dyn SigmoidLoss,
    logits: &Tensor<2>,
    targets: &RoiTargets,
    state: &LossState,
) -> Result<Option<OnGpu>, LossError> {
    let device = logits.device();
    let on_gpu = matches!(device.as_dispatch(), DispatchDevice::Cube(_));
    let [rows, outputs] = logits.dims();
    if !on_gpu || rows != targets.len() || rows == 0 || !targets.other_labels().is_empty() {
        return Ok(None);
    }
    let (head, classes) = (loss.head(), targets.num_classes());
    if outputs != head.count(classes) {
        return Ok(None);
    }
    let Some(rule) = loss.rule(targets, state)?.without_draws(head, targets) else {
        return Ok(None);
    };
    let facts = Tensor::<2>::from_data(TensorData::new(facts(&rule, head, targets), [rows, FACTS]), &device);
    let weights = weights(&rule, outputs);
    let sets = weights.len() / outputs;
    let weights = Tensor::<2>::from_data(TensorData::new(weights, [sets, outputs]), &device);
    let (gradient, sums) = Dispatch::sigmoid_loss(
        logits.clone().into_dispatch(),
        facts.into_dispatch(),
        weights.into_dispatch(),
    );
    let sums: Vec<f32> = Tensor::<2>::from_dispatch(sums).into_data().try_to_vec().expect("sums are f32");
    let value = sums[..outputs].iter().map(|&sum| f64::from(sum)).sum();
    let all_finite = sums[4 * outputs..].iter().all(|&count| count == 0.0);
    if !f64::is_finite(value) || !all_finite {
        // The host names the logit that is to blame.
        return Ok(None);
    }
    let of = |which: usize| {
        let column = |class: usize| f64::from(sums[which * outputs + head.of_class(class)]);
        (0..classes).map(column).collect()
    };
    let sums = GradientSums { of_background: of(1), of_negatives: of(2), of_positives: of(3) };
    let state = rule.state_after(sums, head, state, &SingleWorker)?;
    Ok(Some(OnGpu { value, gradient: Tensor::from_dispatch(gradient), state }))
}

/// What the kernel reads of every RoI.
fn facts(rule: &Rule, head: SigmoidHead, targets: &RoiTargets) -> Vec<f32> {
    let scales = targets.scales();
    let mut facts = Vec::with_capacity(targets.len() * FACTS);
    for (row, (of_row, &label)) in rule.rows.iter().zip(targets.labels()).enumerate() {
        let part = match (targets.is_ignored(row), label) {
            (true, _) => IGNORED,
            (false, 0) => BACKGROUND,
            (false, _) => FOREGROUND,
        };
        let own = head.of_label(label).map_or(-1.0, |column| column as f32);
        // Thresholds of 0 and 1 lie at infinity, which not every device has.
        let threshold = of_row.threshold.clamp(f32::MIN, f32::MAX);
        facts.extend([own, scales[row], threshold, of_row.set as f32, part]);
    }
    facts
}

/// What the kernel reads of every column.
fn weights(rule: &Rule, columns: usize) -> Vec<f32> {
    let gammas = match &rule.focus {
        Focus::None => vec![0.0; columns],
        Focus::All(gamma) => vec![*gamma; columns],
        Focus::Each(gammas) => gammas.clone(),
    };
    let negatives = rule.negatives.iter().map(|set| set.to_vec(columns));
    [rule.positives.to_vec(columns), gammas].into_iter().chain(negatives).flatten().collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, DeviceType};

    use longtail_draw::{Purpose, unit};
    use longtail_loss::{
        AcslConfig, Background, ClassContext, ClassificationLoss, DrawKey, DropLossConfig, EqlConfig,
        EqlV2Config, EqualizedFocalConfig, FederatedConfig, FocalConfig, LossMethod, Normalizer, Reduction,
        SigmoidBceConfig,
    };

    use super::*;
    use crate::TensorLoss;

    /// The first GPU that this build and machine have. The detector's tests say when there is none.
    fn gpu() -> Option<Device> {
        #[cfg(feature = "cuda")]
        if let Some(device) = Device::enumerate(DeviceType::Cuda).into_iter().next() {
            return Some(device);
        }
        #[cfg(feature = "vulkan")]
        if let Some(device) = Device::enumerate(DeviceType::Vulkan).into_iter().next() {
            return Some(device);
        }
        #[cfg(feature = "wgpu")]
        if let Some(device) = Device::enumerate(DeviceType::Wgpu).into_iter().next() {
            return Some(device);
        }
        None
    }

    fn draws(seed: u64, count: usize, range: f64) -> Vec<f32> {
        let key = DrawKey { seed, step: 0 };
        (0..count).map(|i| ((unit(key, Purpose::Custom, i as u64) - 0.5) * range) as f32).collect()
    }

    /// Three steps, so that a state is carried, against the loss on slices.
    fn same_as_on_slices(loss: &dyn ClassificationLoss, device: &Device, rows: usize, classes: usize) {
        let outputs = loss.num_outputs(classes);
        let mut state = LossState::default();
        for step in 0..3 {
            let draw = DrawKey { seed: 3, step };
            let labels: Vec<u32> = (0..rows)
                .map(|row| if row % 3 == 0 { 1 + (row as u32 * 7 + step as u32) % classes as u32 } else { 0 })
                .collect();
            let weights: Vec<f32> = (0..rows).map(|row| 0.5 + (row % 4) as f32).collect();
            let ignored: Vec<bool> = (0..rows).map(|row| row % 11 == 5).collect();
            let reduction = Reduction { weight: 2.0, normalizer: Normalizer::Rois };
            let targets = RoiTargets::new(&labels, classes, draw)
                .and_then(|targets| targets.with_weights(&weights)?.ignoring(&ignored))
                .unwrap()
                .with_reduction(reduction);
            let z = draws(step, rows * outputs, 12.0);
            let expected = loss.evaluate(&z, &targets, &state, &SingleWorker).unwrap();
            let logits = Tensor::<2>::from_data(TensorData::new(z, [rows, outputs]), device);
            let found = evaluate(loss.as_sigmoid().unwrap(), &logits, &targets, &state).unwrap().unwrap();
            let relative = (found.value - expected.value).abs() / expected.value;
            assert!(relative < 1e-5, "{} is not {}", found.value, expected.value);
            let gradient: Vec<f32> = found.gradient.into_data().try_to_vec().unwrap();
            for (index, (f, e)) in gradient.iter().zip(&expected.gradient).enumerate() {
                assert!((f - e).abs() < 1e-6 + 1e-5 * e.abs(), "gradient {index}: {f} is not {e}");
            }
            if let (
                LossState::GradientSums { positive: p, negative: n },
                LossState::GradientSums { positive, negative },
            ) = (&found.state, &expected.state)
            {
                for (f, e) in p.iter().chain(n).zip(positive.iter().chain(negative)) {
                    assert!((f - e).abs() < 1e-4 * (1.0 + e), "state {f} is not {e}");
                }
            } else {
                assert_eq!(found.state, expected.state);
            }
            state = expected.state;
        }
    }

    #[test]
    fn losses_are_what_they_are_on_slices() {
        let Some(device) = gpu() else { return };
        let counts: Vec<u64> = (0..70).map(|class| 1 + class * class).collect();
        let context =
            ClassContext { image_counts: Some(&counts), total_images: Some(5000), ..ClassContext::new(70) };
        let same = |method: &dyn LossMethod, rows: usize| {
            same_as_on_slices(method.build(&context).unwrap().as_ref(), &device, rows, 70);
        };
        same(&EqlV2Config::default(), 37);
        for background_logit in [false, true] {
            same(&SigmoidBceConfig { background_logit }, 37);
            same(&EqlConfig { frequency_threshold: 0.1, background_logit }, 37);
            same(&DropLossConfig { frequency_threshold: 0.1, background_logit }, 37);
            same(&FederatedConfig { classes: 20, background_logit, ..FederatedConfig::default() }, 37);
            same(&EqualizedFocalConfig { background_logit, ..EqualizedFocalConfig::default() }, 37);
            for gamma in [0.0, 0.5, 2.0] {
                same(&FocalConfig { gamma, background_logit, ..FocalConfig::default() }, 37);
            }
            for background in [
                Background::Adaptive,
                Background::Dense,
                Background::Threshold(0.3),
                Background::Ramp(2),
                Background::FrequencySampled,
                Background::Balanced,
            ] {
                for threshold in [0.0, 0.7, 1.0] {
                    same(&AcslConfig { threshold, background, background_logit }, 133);
                }
            }
        }
    }

    #[test]
    fn what_a_kernel_cannot_do_is_left_to_the_host() {
        let Some(device) = gpu() else { return };
        let context = ClassContext::new(3);
        let config = AcslConfig { background: Background::ScoreSampled, ..AcslConfig::default() };
        let drawn = config.build(&context).unwrap();
        let bce = SigmoidBceConfig { background_logit: true }.build(&context).unwrap();
        let targets = RoiTargets::new(&[0, 2], 3, DrawKey::default()).unwrap();
        let logits =
            |values: [f32; 8]| Tensor::<2>::from_data(TensorData::new(values.to_vec(), [2, 4]), &device);
        let none = |loss: &dyn ClassificationLoss, logits: &Tensor<2>, targets: &RoiTargets| {
            let loss = loss.as_sigmoid().unwrap();
            evaluate(loss, logits, targets, &LossState::default()).unwrap().is_none()
        };
        assert!(none(drawn.as_ref(), &logits([0.0; 8]), &targets));
        assert!(!none(bce.as_ref(), &logits([0.0; 8]), &targets));
        assert!(none(
            bce.as_ref(),
            &logits([0.0; 8]),
            &targets.clone().with_other_labels(&[(1, 1)]).unwrap()
        ));
        // A logit that is not finite is named as on the processor.
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let wrong = logits([0.0, 1.0, value, 0.0, 0.0, 0.0, 0.0, 0.0]);
            let error = bce.forward(wrong, &targets, &LossState::default()).unwrap_err();
            assert!(matches!(error, LossError::NotFinite { row: 0, column: 2, .. }), "{error}");
        }
    }
}
