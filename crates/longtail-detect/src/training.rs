//! A training step: RoIs drawn for every head, the losses, and what a classifier sees of the RoIs.

use std::time::{Duration, Instant};

use burn::tensor::Tensor;
use longtail_data::Targets;
use longtail_draw::{DrawKey, Purpose, hash};
use longtail_loss::{ClassificationLoss, LossError, LossState, Reduction, RoiTargets};
use longtail_ops::TensorLoss;

use crate::{
    boxes::Xyxy,
    cascade::refine,
    error::DetectError,
    faster_rcnn::{FasterRcnn, ImageBatch},
    roi_head::{BoxFeatures, RoiHead, SampledRois, sample_rois},
    rpn::{self, Phase, RpnOutput},
};

/// Loss terms of a step, under torchvision's names.
pub struct LossTerms {
    terms: Vec<(String, Tensor<1>)>,
}

impl LossTerms {
    /// Terms by name. Those of a cascade's further heads are called `loss_classifier_2`, `loss_box_reg_2` and
    /// so on, and are weighed.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor<1>)> {
        self.terms.iter().map(|(name, term)| (name.as_str(), term))
    }

    /// Their sum.
    pub fn total(self) -> Tensor<1> {
        let terms = self.terms.into_iter().map(|(_, term)| term);
        terms.reduce(|sum, term| sum + term).expect("a step has losses")
    }
}

/// What a training step gives.
pub struct TrainOutput {
    /// Loss terms.
    pub losses: LossTerms,
    /// Every head's classifier.
    pub heads: Vec<HeadOutput>,
    /// Time spent outside the network: proposals, NMS, matching, sampling and losses, without their backward
    /// pass. On a GPU with the wait for what these need of it.
    pub host_time: Duration,
}

/// What a head's classifier did in a training step.
pub struct HeadOutput {
    /// State of its loss after the step.
    pub loss_state: LossState,
    /// Logits of the sampled RoIs, `[R, K]`, without autodiff.
    pub logits: Tensor<2>,
    /// What they were trained towards.
    pub targets: RoiTargets,
}

/// RoIs of a training step as the classifiers see them.
pub struct RoiFeatures {
    /// One for each head.
    pub heads: Vec<HeadRois>,
    /// Time spent on proposals, NMS, matching and sampling.
    pub host_time: Duration,
}

/// RoIs of a training step as one classifier sees them.
pub struct HeadRois {
    /// `[R, D]`.
    pub features: Tensor<2>,
    /// What they are.
    pub targets: RoiTargets,
    /// Weight of the head's losses.
    pub loss_weight: f32,
}

/// RoIs drawn for a head.
struct Drawn {
    rois: SampledRois,
    features: BoxFeatures,
    targets: RoiTargets,
    /// Box regression, where the next head needed it.
    deltas: Option<Tensor<2>>,
}

impl FasterRcnn {
    /// Losses of a batch. `loss_states` are those of every head's classification loss before the step, new
    /// ones where there are none; `draw` decides every random choice.
    ///
    /// # Errors
    /// If the classification loss does not fit the classifier.
    pub fn forward_train(
        &self,
        images: &ImageBatch,
        targets: &[Targets],
        loss: &dyn ClassificationLoss,
        loss_states: &[LossState],
        reduction: Reduction,
        draw: DrawKey,
    ) -> Result<TrainOutput, DetectError> {
        let (levels, anchors, output) = self.features(images);
        let began = Instant::now();
        let samples = rpn::sample_anchors(&self.config().rpn, &anchors, targets, draw);
        let rpn_losses = rpn::losses(&self.config().rpn, &output, &samples);
        let mut host_time = began.elapsed();
        let drawn = self.draw_heads(&levels, &anchors, &output, images, targets, draw, &mut host_time)?;

        let objectness = rpn_losses.objectness.clone();
        let mut terms = vec![
            ("loss_objectness".to_owned(), rpn_losses.objectness),
            ("loss_rpn_box_reg".into(), rpn_losses.boxes),
        ];
        let mut heads = Vec::new();
        for (number, (head, drawn)) in self.heads().zip(drawn).enumerate() {
            let Drawn { rois, features, targets, deltas } = drawn;
            let logits = head.layers.classifier.forward(features.classifier.clone());
            let began = Instant::now();
            let targets = targets.with_reduction(reduction);
            let state = loss_states.get(number).cloned().unwrap_or_default();
            let (classification, loss_state) = match loss.forward(logits.clone(), &targets, &state) {
                // The caller stops at a loss that is not finite, and wants to see all terms.
                Err(LossError::NotFinite { .. }) => (objectness.clone() * f32::NAN, state),
                other => other?,
            };
            host_time += began.elapsed();
            let deltas = deltas.unwrap_or_else(|| head.layers.deltas(&features));
            let boxes = RoiHead::box_loss(&head.config, deltas, &rois);
            for (name, term) in [("loss_classifier", classification), ("loss_box_reg", boxes)] {
                let (name, term) = match number {
                    0 => (name.to_owned(), term),
                    _ => (format!("{name}_{}", number + 1), term * head.loss_weight),
                };
                terms.push((name, term));
            }
            let logits = if logits.is_autodiff() { logits.inner() } else { logits };
            heads.push(HeadOutput { loss_state, logits, targets });
        }
        Ok(TrainOutput { losses: LossTerms { terms }, heads, host_time })
    }

    /// Features and labels of the RoIs that a training step would sample.
    ///
    /// # Errors
    /// If a label is none of the detector's classes.
    pub fn roi_features(
        &self,
        images: &ImageBatch,
        targets: &[Targets],
        draw: DrawKey,
    ) -> Result<RoiFeatures, DetectError> {
        let (levels, anchors, output) = self.features(images);
        let mut host_time = Duration::ZERO;
        let drawn = self.draw_heads(&levels, &anchors, &output, images, targets, draw, &mut host_time)?;
        let heads = self.heads().zip(drawn).map(|(head, drawn)| HeadRois {
            features: drawn.features.classifier,
            targets: drawn.targets,
            loss_weight: head.loss_weight,
        });
        Ok(RoiFeatures { heads: heads.collect(), host_time })
    }

    /// Draws the RoIs of every head: the first among the proposals, the others among the boxes that the head
    /// before made of its own. No gradient goes through boxes.
    fn draw_heads(
        &self,
        levels: &[Tensor<4>; 5],
        anchors: &[Vec<Xyxy>],
        output: &RpnOutput,
        images: &ImageBatch,
        targets: &[Targets],
        draw: DrawKey,
        host_time: &mut Duration,
    ) -> Result<Vec<Drawn>, DetectError> {
        let began = Instant::now();
        let mut proposals = rpn::proposals(&self.config().rpn, output, anchors, &images.sizes, Phase::Train);
        *host_time += began.elapsed();
        let count = 1 + self.config().cascade.len();
        let mut all = Vec::with_capacity(count);
        for (number, head) in self.heads().enumerate() {
            let began = Instant::now();
            let draw = match number {
                0 => draw,
                _ => DrawKey { seed: hash(draw, Purpose::CascadeHead.at(number as u64), 0), step: draw.step },
            };
            let rois = sample_rois(&head.config, &proposals, targets, draw);
            let roi_targets = RoiTargets::new(&rois.labels, self.num_classes(), draw)?
                .with_other_labels(&rois.other_labels)?;
            *host_time += began.elapsed();
            let features = head.layers.features(&head.config, levels, &rois.rois);
            let deltas = (number + 1 < count).then(|| head.layers.deltas(&features));
            if let Some(deltas) = &deltas {
                let deltas = if deltas.is_autodiff() { deltas.clone().inner() } else { deltas.clone() };
                let deltas = deltas.into_data().try_to_vec::<f32>().expect("deltas are f32");
                let began = Instant::now();
                let refined = refine(head.coder(), &rois.rois, &deltas, &images.sizes);
                proposals.iter_mut().for_each(Vec::clear);
                // The ground truth comes along again by itself.
                for ((image, refined), _) in refined
                    .into_iter()
                    .zip(&rois.is_ground_truth)
                    .filter(|(_, is_ground_truth)| !**is_ground_truth)
                {
                    proposals[image].push(refined);
                }
                *host_time += began.elapsed();
            }
            all.push(Drawn { rois, features, targets: roi_targets, deltas });
        }
        Ok(all)
    }
}
