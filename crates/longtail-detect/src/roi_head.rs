//! The box head: two hidden layers over RoIAlign features, a classifier and a box regression. The regression
//! reads the classifier's last hidden layer, or one of its own.

use burn::{
    module::Module,
    tensor::{Int, Tensor, TensorData, activation::relu},
};
use longtail_data::Targets;
use longtail_draw::{DrawKey, Purpose, hash};
use longtail_ops::{LEVELS, RoiAlignOptions, roi_align};
use rayon::prelude::*;

use crate::{
    boxes::{BoxCoder, Xyxy, area},
    config::RoiHeadConfig,
    fpn::STRIDES,
    layers::{Initializer, Linear},
    losses::smooth_l1,
    matcher::{match_boxes, sample},
};

/// Level of a region of the canonical size, counted from P2 (Lin et al., CVPR 2017: P4).
const CANONICAL_LEVEL: f32 = 2.0;

/// The layers.
#[derive(Module, Debug)]
pub struct RoiHead {
    hidden: Vec<Linear>,
    pub(crate) classifier: Linear,
    regression: Linear,
    /// The regression's last hidden layer, if it has its own.
    regression_hidden: Option<Linear>,
}

/// What layers of the head see of regions.
#[derive(Debug, Clone)]
pub struct BoxFeatures {
    /// The last hidden layer, `[R, hidden]`.
    pub hidden: Tensor<2>,
    /// The classifier, `[R, hidden]`.
    pub classifier: Tensor<2>,
}

/// RoIs of a batch, drawn for the losses.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SampledRois {
    /// Box and image of every RoI.
    pub rois: Vec<(usize, Xyxy)>,
    /// 0 for background, `c + 1` for class c.
    pub labels: Vec<u32>,
    /// RoI and label of what else an object is: the labels of the other boxes with the same corners.
    pub other_labels: Vec<(usize, u32)>,
    /// Indices of the foreground RoIs.
    pub foreground: Vec<usize>,
    /// Their target deltas, `[foreground × 4]`.
    pub deltas: Vec<f32>,
    /// Which RoIs are boxes of the ground truth and not proposals.
    pub is_ground_truth: Vec<bool>,
}

impl RoiHead {
    /// A head over `channels` features with a classifier of `outputs` columns.
    pub fn new(
        config: &RoiHeadConfig,
        channels: usize,
        num_classes: usize,
        outputs: usize,
        initializer: &mut Initializer,
    ) -> Self {
        let inputs = channels * config.pooled_size * config.pooled_size;
        // He et al. 2015 for the hidden layers; the standard deviations of Fast R-CNN for the outputs.
        let mut hidden =
            |inputs: usize| initializer.linear(inputs, config.hidden, (2.0 / inputs as f32).sqrt());
        let hidden = vec![hidden(inputs), hidden(config.hidden)];
        let regressions = if config.class_agnostic { 4 } else { 4 * num_classes };
        let classifier = initializer.linear(config.hidden, outputs, 0.01);
        let regression = initializer.linear(config.hidden, regressions, 0.001);
        // Drawn last: without it every other layer begins with the same weights.
        let own = |initializer: &mut Initializer| {
            initializer.linear(config.hidden, config.hidden, (2.0 / config.hidden as f32).sqrt())
        };
        let regression_hidden = config.separate_regression.then(|| own(initializer));
        Self { hidden, classifier, regression, regression_hidden }
    }

    /// The last hidden layer of the classifier.
    pub fn last_hidden(&self) -> &Linear {
        self.hidden.last().expect("a head has hidden layers")
    }

    /// Features of regions.
    pub fn features(
        &self,
        config: &RoiHeadConfig,
        levels: &[Tensor<4>; 5],
        rois: &[(usize, Xyxy)],
    ) -> BoxFeatures {
        let device = levels[0].device();
        let mut rows = Vec::with_capacity(rois.len() * 6);
        for (image, roi) in rois {
            rows.extend([assign_level(roi, config.canonical_size) as f32, *image as f32]);
            rows.extend(roi);
        }
        let regions = Tensor::from_data(TensorData::new(rows, [rois.len(), 6]), &device);
        let options = RoiAlignOptions {
            output: config.pooled_size,
            sampling: config.sampling_ratio,
            aligned: config.aligned,
            scales: std::array::from_fn(|level| 1.0 / STRIDES[level] as f32),
        };
        let pyramid: [Tensor<4>; LEVELS] = std::array::from_fn(|level| levels[level].clone());
        let pooled = roi_align(pyramid, regions, options).flatten::<2>(1, 3);
        let below = &self.hidden[..self.hidden.len() - 1];
        let hidden = below.iter().fold(pooled, |x, layer| relu(layer.forward(x)));
        BoxFeatures { classifier: relu(self.last_hidden().forward(hidden.clone())), hidden }
    }

    /// Box regression of regions, `[R, 4]` or `[R, 4C]`.
    pub fn deltas(&self, features: &BoxFeatures) -> Tensor<2> {
        self.regression.forward(match &self.regression_hidden {
            Some(own) => relu(own.forward(features.hidden.clone())),
            None => features.classifier.clone(),
        })
    }

    /// Smooth L1 of the `predicted` deltas over the foreground RoIs, divided by the number of all RoIs.
    pub fn box_loss(config: &RoiHeadConfig, predicted: Tensor<2>, sampled: &SampledRois) -> Tensor<1> {
        if sampled.foreground.is_empty() {
            return predicted.sum() * 0.0;
        }
        let device = predicted.device();
        let [rois, columns] = predicted.dims();
        let indices: Vec<i32> = sampled
            .foreground
            .iter()
            .map(|&roi| {
                let class = if config.class_agnostic { 0 } else { sampled.labels[roi] as usize - 1 };
                (roi * columns / 4 + class) as i32
            })
            .collect();
        let indices = Tensor::<1, Int>::from_data(TensorData::from(indices.as_slice()), &device);
        let predicted = predicted.reshape([rois * columns / 4, 4]).select(0, indices);
        let target = TensorData::new(sampled.deltas.clone(), [sampled.foreground.len(), 4]);
        smooth_l1(predicted, Tensor::from_data(target, &device), config.smooth_l1_beta) / rois as f32
    }
}

/// Draws RoIs among the proposals and the ground truth boxes of every image.
///
/// Boxes with the same corners are one object with several labels, as those that a hierarchy implies: each
/// RoI of it draws one of them, all equally likely, and the others hold for it too.
pub fn sample_rois(
    config: &RoiHeadConfig,
    proposals: &[Vec<Xyxy>],
    targets: &[Targets],
    draw: DrawKey,
) -> SampledRois {
    let coder = BoxCoder { deviations: config.box_deviations };
    let per_image: Vec<_> = proposals
        .par_iter()
        .zip(targets)
        .enumerate()
        .map(|(image, (proposals, targets))| {
            let candidates = add_ground_truth_to_proposals(proposals, targets);
            let iou = config.positive_iou;
            let matches = match_boxes(&candidates, targets, iou, iou, false);
            let streams = [Purpose::RoiObjects, Purpose::RoiBackground].map(|p| p.at(image as u64));
            let sampled = sample(&matches, config.samples, config.positive_fraction, draw, streams);
            (candidates, sampled)
        })
        .collect();
    let mut all = SampledRois::default();
    for (image, (candidates, sampled)) in per_image.iter().enumerate() {
        for &(index, truth) in &sampled.objects {
            let roi = all.rois.len();
            all.foreground.push(roi);
            all.rois.push((image, candidates[index]));
            all.is_ground_truth.push(index >= proposals[image].len());
            let mut labels = labels_at(&targets[image], truth);
            let drawn = hash(draw, Purpose::RoiLabel.at(image as u64), index as u64) % labels.len() as u64;
            all.labels.push(labels.swap_remove(drawn as usize) + 1);
            all.other_labels.extend(labels.into_iter().map(|label| (roi, label + 1)));
            all.deltas.extend(coder.encode(&candidates[index], &targets[image].boxes[truth]));
        }
        for &index in &sampled.background {
            all.rois.push((image, candidates[index]));
            all.is_ground_truth.push(index >= proposals[image].len());
            all.labels.push(0);
        }
    }
    all
}

/// Proposals with the ground truth of the image, each box once: early in training nothing else would match.
pub(crate) fn add_ground_truth_to_proposals(proposals: &[Xyxy], targets: &Targets) -> Vec<Xyxy> {
    let mut candidates = proposals.to_vec();
    for (index, truth) in targets.boxes.iter().enumerate() {
        if !targets.boxes[..index].contains(truth) {
            candidates.push(*truth);
        }
    }
    candidates
}

/// Labels of the boxes with the corners of a box, ascending, each once.
fn labels_at(targets: &Targets, index: usize) -> Vec<u32> {
    let here = targets.boxes.iter().zip(&targets.labels).filter(|(b, _)| **b == targets.boxes[index]);
    let mut labels: Vec<u32> = here.map(|(_, label)| *label).collect();
    labels.sort_unstable();
    labels.dedup();
    labels
}

/// Level that a region is read from, 0 for P2: equation 1 of Lin et al., CVPR 2017.
fn assign_level(roi: &Xyxy, canonical_size: f32) -> usize {
    let level = (CANONICAL_LEVEL + (area(roi).sqrt() / canonical_size).log2() + 1e-6).floor();
    level.clamp(0.0, (LEVELS - 1) as f32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_regions_are_read_from_coarse_levels() {
        let square = |side: f32| [0.0, 0.0, side, side];
        let levels: Vec<usize> = [20.0, 111.0, 112.0, 223.0, 224.0, 448.0, 2000.0]
            .iter()
            .map(|&s| assign_level(&square(s), 224.0))
            .collect();
        assert_eq!(levels, [0, 0, 1, 1, 2, 3, 3]);
        assert_eq!(assign_level(&[0.0; 4], 224.0), 0);
    }

    #[test]
    fn sampled_rois_carry_labels_and_deltas() {
        let targets =
            Targets { boxes: vec![[10.0, 10.0, 30.0, 30.0]], labels: vec![6], ..Targets::default() };
        let proposals =
            vec![vec![[11.0, 10.0, 31.0, 30.0], [50.0, 50.0, 60.0, 60.0]], vec![[0.0, 0.0, 9.0, 9.0]]];
        let config = RoiHeadConfig { samples: 8, positive_fraction: 0.5, ..RoiHeadConfig::default() };
        let sampled = sample_rois(&config, &proposals, &[targets, Targets::default()], DrawKey::default());
        assert_eq!(sampled.labels, [7, 7, 0, 0]);
        assert_eq!(sampled.foreground, [0, 1]);
        assert_eq!(sampled.is_ground_truth, [false, true, false, false]);
        assert_eq!(sampled.rois[1], (0, [10.0, 10.0, 30.0, 30.0]));
        assert_eq!(sampled.rois[3], (1, [0.0, 0.0, 9.0, 9.0]));
        // Half a twentieth of the side, in standard deviations of 0.1.
        assert!((sampled.deltas[0] + 0.5).abs() < 1e-5 && sampled.deltas[4] == 0.0);
    }

    #[test]
    fn boxes_with_the_same_corners_are_one_object_that_draws_its_label() {
        let (object, other) = ([10.0, 10.0, 30.0, 30.0], [50.0, 50.0, 60.0, 60.0]);
        let targets = Targets {
            boxes: vec![object, object, other, object],
            labels: vec![6, 2, 3, 4],
            ..Targets::default()
        };
        let config = RoiHeadConfig { samples: 8, positive_fraction: 0.5, ..RoiHeadConfig::default() };
        let mut counts = [0; 7];
        for step in 0..3000 {
            let key = DrawKey { seed: 1, step };
            let sampled =
                sample_rois(&config, &[vec![[11.0, 10.0, 31.0, 30.0]]], std::slice::from_ref(&targets), key);
            // The proposal and two boxes of the ground truth, not four.
            assert_eq!(sampled.rois.len(), 3);
            for (roi, &label) in sampled.labels.iter().enumerate() {
                let others = || sampled.other_labels.iter().filter(|(of, _)| *of == roi).map(|(_, l)| *l);
                let mut all: Vec<u32> = others().chain([label]).collect();
                all.sort_unstable();
                let expected = if sampled.rois[roi].1 == other { vec![4] } else { vec![3, 5, 7] };
                assert_eq!(all, expected);
                counts[label as usize - 1] += 1;
            }
        }
        // Each RoI of the object draws for itself: a third of 6,000, give or take five deviations.
        assert_eq!(counts[3], 3000);
        for label in [2, 4, 6] {
            assert!((1817..=2183).contains(&counts[label]), "{counts:?}");
        }
    }
}
