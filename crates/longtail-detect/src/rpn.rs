//! Region proposal network (Ren et al., NeurIPS 2015).

use burn::{
    module::Module,
    tensor::{Int, Tensor, TensorData, activation::relu},
};
use longtail_data::Targets;
use longtail_draw::{DrawKey, Purpose};
use rayon::prelude::*;

use crate::{
    boxes::{BoxCoder, Xyxy, clip},
    config::RpnConfig,
    layers::{Conv, Initializer},
    losses::{binary_cross_entropy, smooth_l1},
    matcher::{match_boxes, sample},
    nms::{descending, suppress},
};

/// Standard deviation of the initial weights, as in the reference implementations.
const DEVIATION: f32 = 0.01;
/// Deltas of anchors are not scaled.
const CODER: BoxCoder = BoxCoder { deviations: [1.0; 4] };

/// The head that runs over every level.
#[derive(Module, Debug)]
pub struct RpnHead {
    hidden: Conv,
    objectness: Conv,
    deltas: Conv,
}

/// Predictions for all anchors of all levels.
pub struct RpnOutput {
    /// Objectness logits, `[N, A]`.
    pub objectness: Tensor<2>,
    /// Box deltas, `[N, A, 4]`.
    pub deltas: Tensor<3>,
}

/// The losses of the head.
pub struct RpnLosses {
    /// Binary cross-entropy over the sampled anchors.
    pub objectness: Tensor<1>,
    /// Smooth L1 over the sampled objects.
    pub boxes: Tensor<1>,
}

impl RpnHead {
    /// A head over `channels` features with `ratios` anchors at each position.
    pub fn new(channels: usize, ratios: usize, initializer: &mut Initializer) -> Self {
        Self {
            hidden: Conv::new(channels, channels, 3, DEVIATION, initializer),
            objectness: Conv::new(channels, ratios, 1, DEVIATION, initializer),
            deltas: Conv::new(channels, 4 * ratios, 1, DEVIATION, initializer),
        }
    }

    /// Predictions over the levels, in the order of the anchors.
    pub fn forward(&self, levels: &[Tensor<4>; 5]) -> RpnOutput {
        let (mut objectness, mut deltas) = (Vec::new(), Vec::new());
        for level in levels {
            let hidden = relu(self.hidden.forward(level.clone()));
            let scores = self.objectness.forward(hidden.clone());
            let [batch, ratios, height, width] = scores.dims();
            let anchors = height * width * ratios;
            objectness.push(scores.permute([0, 2, 3, 1]).reshape([batch, anchors]));
            let boxes = self.deltas.forward(hidden).permute([0, 2, 3, 1]);
            deltas.push(boxes.reshape([batch, anchors, 4]));
        }
        RpnOutput { objectness: Tensor::cat(objectness, 1), deltas: Tensor::cat(deltas, 1) }
    }
}

/// Which of `pre` and `post` NMS limits apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Training.
    Train,
    /// Evaluation.
    Test,
}

/// Proposals of every image, best first: decoded, clipped, the best of each level after NMS.
pub fn proposals(
    config: &RpnConfig,
    output: &RpnOutput,
    anchors: &[Vec<Xyxy>],
    sizes: &[[u32; 2]],
    phase: Phase,
) -> Vec<Vec<Xyxy>> {
    let (pre, post) = match phase {
        Phase::Train => (config.pre_nms_train, config.post_nms_train),
        Phase::Test => (config.pre_nms_test, config.post_nms_test),
    };
    let host = |data: TensorData| data.try_to_vec::<f32>().expect("predictions are f32");
    let inner = |t: &Tensor<2>| if t.is_autodiff() { t.clone().inner() } else { t.clone() };
    let [batch, total] = output.objectness.dims();
    let scores = host(inner(&output.objectness).into_data());
    let deltas = host(inner(&output.deltas.clone().reshape([batch, total * 4])).into_data());
    sizes
        .par_iter()
        .enumerate()
        .map(|(image, size)| {
            let (mut boxes, mut confidences) = (Vec::new(), Vec::new());
            let mut start = image * total;
            for level in anchors {
                let scores = &scores[start..start + level.len()];
                let mut best = descending(scores);
                best.truncate(pre);
                let decoded: Vec<Xyxy> = best
                    .iter()
                    .map(|&index| {
                        let deltas = &deltas[(start + index) * 4..(start + index) * 4 + 4];
                        clip(&CODER.decode(&level[index], deltas), *size)
                    })
                    .collect();
                let order: Vec<usize> = (0..best.len()).filter(|&i| has_area(&decoded[i])).collect();
                for index in suppress(&decoded, &order, |_| 0, config.nms_iou, post) {
                    boxes.push(decoded[index]);
                    confidences.push(scores[best[index]]);
                }
                start += level.len();
            }
            descending(&confidences).into_iter().take(post).map(|index| boxes[index]).collect()
        })
        .collect()
}

fn has_area(b: &Xyxy) -> bool {
    b[2] - b[0] >= 1e-3 && b[3] - b[1] >= 1e-3
}

/// Anchors drawn for the losses of a batch.
pub struct RpnSamples {
    /// Flat indices of all sampled anchors in `[N × A]`, objects first within each image.
    indices: Vec<i32>,
    /// 1 for an object, 0 for background, one an index.
    labels: Vec<f32>,
    /// Flat indices of the objects.
    objects: Vec<i32>,
    /// Their target deltas, `[objects × 4]`.
    deltas: Vec<f32>,
}

/// Matches and samples anchors of every image.
pub fn sample_anchors(
    config: &RpnConfig,
    anchors: &[Vec<Xyxy>],
    targets: &[Targets],
    draw: DrawKey,
) -> RpnSamples {
    let anchors: Vec<Xyxy> = anchors.concat();
    let per_image: Vec<_> = targets
        .par_iter()
        .enumerate()
        .map(|(image, targets)| {
            let matches = match_boxes(&anchors, targets, config.positive_iou, config.negative_iou, true);
            let streams = [Purpose::AnchorObjects, Purpose::AnchorBackground].map(|p| p.at(image as u64));
            sample(&matches, config.samples, config.positive_fraction, draw, streams)
        })
        .collect();
    let mut samples =
        RpnSamples { indices: Vec::new(), labels: Vec::new(), objects: Vec::new(), deltas: Vec::new() };
    for (image, sampled) in per_image.iter().enumerate() {
        let flat = |index: usize| (image * anchors.len() + index) as i32;
        for &(index, truth) in &sampled.objects {
            samples.objects.push(flat(index));
            samples.deltas.extend(CODER.encode(&anchors[index], &targets[image].boxes[truth]));
        }
        samples.indices.extend(sampled.objects.iter().map(|&(index, _)| flat(index)));
        samples.indices.extend(sampled.background.iter().map(|&index| flat(index)));
        samples.labels.extend(sampled.objects.iter().map(|_| 1.0));
        samples.labels.extend(sampled.background.iter().map(|_| 0.0));
    }
    samples
}

/// The losses over the sampled anchors, each divided by their number.
pub fn losses(config: &RpnConfig, output: &RpnOutput, samples: &RpnSamples) -> RpnLosses {
    let [batch, total] = output.objectness.dims();
    let device = output.objectness.device();
    let count = samples.indices.len().max(1) as f32;
    let indices = |indices: &[i32]| Tensor::<1, Int>::from_data(TensorData::from(indices), &device);
    let objectness = if samples.indices.is_empty() {
        output.objectness.clone().sum() * 0.0
    } else {
        // As a column: the gradient of a selection of single values crashes Mesa's software Vulkan.
        let column = output.objectness.clone().reshape([batch * total, 1]);
        let logits = column.select(0, indices(&samples.indices)).reshape([samples.indices.len()]);
        let labels = Tensor::from_data(TensorData::from(samples.labels.as_slice()), &device);
        binary_cross_entropy(logits, labels) / count
    };
    let boxes = if samples.objects.is_empty() {
        output.deltas.clone().sum() * 0.0
    } else {
        let predicted =
            output.deltas.clone().reshape([batch * total, 4]).select(0, indices(&samples.objects));
        let target = TensorData::new(samples.deltas.clone(), [samples.objects.len(), 4]);
        smooth_l1(predicted, Tensor::from_data(target, &device), config.smooth_l1_beta) / count
    };
    RpnLosses { objectness, boxes }
}
