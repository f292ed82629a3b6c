//! Faster R-CNN (Ren et al., NeurIPS 2015) with a feature pyramid.

use std::time::{Duration, Instant};

use burn::{
    module::Module,
    nn::Linear,
    tensor::{Device, Tensor},
};
use longtail_data::{BatchImage, Targets};
use longtail_loss::{ClassificationLoss, DrawKey, LossError, LossState, Reduction, RoiTargets};
use rayon::prelude::*;

use crate::{
    anchors::anchors,
    backbone::Backbone,
    boxes::{BoxCoder, Xyxy},
    config::{FasterRcnnConfig, TestConfig},
    decode::{detections, regress},
    error::DetectError,
    fpn::FeaturePyramid,
    layers::Initializer,
    roi_head::{BoxFeatures, RoiHead, SampledRois, sample_rois},
    rpn::{self, Phase, RpnHead, RpnOutput},
};

/// Images of a batch, padded to one size.
pub struct ImageBatch {
    /// Normalised pixels, `[N, 3, H, W]`.
    pub pixels: Tensor<4>,
    /// Height and width of every image inside the padding.
    pub sizes: Vec<[u32; 2]>,
}

/// How to bring detections back to the original image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImageMeta {
    /// Height and width of the original.
    pub original_size: [u32; 2],
    /// Size in the batch over original size, along x and y.
    pub scale: [f32; 2],
}

impl From<&BatchImage> for ImageMeta {
    fn from(image: &BatchImage) -> Self {
        Self { original_size: [image.original_height, image.original_width], scale: image.scale }
    }
}

/// Detections of an image, best first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Detections {
    /// x1, y1, x2, y2 in pixels of the original image.
    pub boxes: Vec<Xyxy>,
    /// Labels in `0..C`.
    pub labels: Vec<u32>,
    /// Scores in `0..=1`.
    pub scores: Vec<f32>,
}

/// Loss terms of a step.
pub struct Losses {
    terms: [(&'static str, Tensor<1>); 4],
}

impl Losses {
    /// Terms by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Tensor<1>)> {
        self.terms.iter().map(|(name, term)| (*name, term))
    }

    /// Their sum, each with weight 1.
    pub fn total(self) -> Tensor<1> {
        let [(_, a), (_, b), (_, c), (_, d)] = self.terms;
        a + b + c + d
    }
}

/// What a training step gives.
pub struct TrainOutput {
    /// Loss terms.
    pub losses: Losses,
    /// State of the classification loss after the step.
    pub loss_state: LossState,
    /// Logits of the sampled RoIs, `[R, K]`, without autodiff.
    pub logits: Tensor<2>,
    /// What they were trained towards.
    pub roi_targets: RoiTargets,
    /// Time spent outside the network: proposals, NMS, matching, sampling and losses, without their backward pass.
    pub host_time: Duration,
}

/// Features of sampled RoIs, as the classifier sees them in training.
pub struct RoiFeatures {
    /// `[R, D]`.
    pub features: Tensor<2>,
    /// 0 for background, `c + 1` for class c.
    pub labels: Vec<u32>,
    /// RoI and label of what else an object is, for [`RoiTargets::with_other_labels`].
    pub other_labels: Vec<(usize, u32)>,
    /// Time spent on proposals, NMS, matching and sampling.
    pub host_time: Duration,
}

/// Features of all proposals of a batch, from which any classifier makes detections.
pub struct ProposalFeatures {
    /// What the classifier sees, `[R, D]`.
    pub features: Tensor<2>,
    /// What the last hidden layer sees, `[R, H]`.
    pub hidden: Tensor<2>,
    /// Box regression of every proposal, `[R × 4]` or `[R × 4C]`.
    deltas: Vec<f32>,
    /// Image and box of every proposal, image by image.
    rois: Vec<(usize, Xyxy)>,
    /// Height and width of every image inside the padding.
    sizes: Vec<[u32; 2]>,
}

impl ProposalFeatures {
    /// Image and box of every proposal, image by image, best first.
    pub fn rois(&self) -> &[(usize, Xyxy)] {
        &self.rois
    }

    /// Box regression of every proposal, `[R × 4]` or `[R × 4C]`.
    pub fn deltas(&self) -> &[f32] {
        &self.deltas
    }

    /// Rows of an image.
    pub fn rows_of(&self, image: usize) -> std::ops::Range<usize> {
        let start = self.rois.partition_point(|(other, _)| *other < image);
        start..self.rois.partition_point(|(other, _)| *other <= image)
    }

    /// Proposals of an image in pixels of the batch.
    pub fn boxes_of(&self, image: usize) -> Vec<Xyxy> {
        self.rois[self.rows_of(image)].iter().map(|(_, b)| *b).collect()
    }
}

/// The detector.
#[derive(Module, Debug)]
pub struct FasterRcnn {
    backbone: Backbone,
    pyramid: FeaturePyramid,
    rpn: RpnHead,
    roi_head: RoiHead,
    #[module(skip)]
    config: FasterRcnnConfig,
    num_classes: usize,
}

impl FasterRcnnConfig {
    /// A detector with initial weights from `seed`. `outputs` is the width of the classifier, as its loss says.
    pub fn init(&self, num_classes: usize, outputs: usize, seed: u64, device: &Device) -> FasterRcnn {
        let mut initializer = Initializer::new(seed, device);
        let initializer = &mut initializer;
        FasterRcnn {
            backbone: self.backbone.init(initializer),
            pyramid: FeaturePyramid::new(self.backbone.channels(), self.fpn_channels, initializer),
            rpn: RpnHead::new(self.fpn_channels, self.anchors.ratios.len(), initializer),
            roi_head: RoiHead::new(&self.roi_head, self.fpn_channels, num_classes, outputs, initializer),
            config: self.clone(),
            num_classes,
        }
    }
}

impl FasterRcnn {
    /// Losses of a batch. `loss_state` is that of the classification loss before the step; `draw` decides every
    /// random choice.
    ///
    /// # Errors
    /// If the classification loss does not fit the classifier.
    pub fn forward_train(
        &self,
        images: &ImageBatch,
        targets: &[Targets],
        loss: &dyn ClassificationLoss,
        loss_state: &LossState,
        reduction: Reduction,
        draw: DrawKey,
    ) -> Result<TrainOutput, DetectError> {
        let (levels, anchors, output) = self.features(images);
        let began = Instant::now();
        let samples = rpn::sample_anchors(&self.config.rpn, &anchors, targets, draw);
        let sampled = self.sample(&output, &anchors, images, targets, draw);
        let rpn_losses = rpn::losses(&self.config.rpn, &output, &samples);
        let mut host_time = began.elapsed();

        let config = &self.config.roi_head;
        let features = self.roi_head.features(config, &levels, &sampled.rois);
        let logits = self.roi_head.classifier.forward(features.classifier.clone());
        let began = Instant::now();
        let roi_targets = RoiTargets::new(&sampled.labels, self.num_classes, draw)?
            .with_other_labels(&sampled.other_labels)?
            .with_reduction(reduction);
        let (classification, loss_state) = match loss.forward(logits.clone(), &roi_targets, loss_state) {
            // The caller stops at a loss that is not finite, and wants to see all terms.
            Err(LossError::NotFinite { .. }) => {
                (rpn_losses.objectness.clone() * f32::NAN, loss_state.clone())
            }
            other => other?,
        };
        host_time += began.elapsed();
        let boxes = self.roi_head.box_loss(config, &features, &sampled);
        let terms = [
            ("rpn_objectness", rpn_losses.objectness),
            ("rpn_boxes", rpn_losses.boxes),
            ("classification", classification),
            ("boxes", boxes),
        ];
        Ok(TrainOutput {
            losses: Losses { terms },
            loss_state,
            logits: if logits.is_autodiff() { logits.inner() } else { logits },
            roi_targets,
            host_time,
        })
    }

    /// Features and labels of the RoIs that a training step would sample.
    pub fn roi_features(&self, images: &ImageBatch, targets: &[Targets], draw: DrawKey) -> RoiFeatures {
        let (levels, anchors, output) = self.features(images);
        let began = Instant::now();
        let sampled = self.sample(&output, &anchors, images, targets, draw);
        let host_time = began.elapsed();
        let features = self.roi_head.features(&self.config.roi_head, &levels, &sampled.rois);
        let SampledRois { labels, other_labels, .. } = sampled;
        RoiFeatures { features: features.classifier, labels, other_labels, host_time }
    }

    /// P2 to P6 of a batch.
    pub fn pyramid_features(&self, images: &ImageBatch) -> [Tensor<4>; 5] {
        self.features(images).0
    }

    /// Features of the proposals of a batch.
    pub fn propose_features(&self, images: &ImageBatch) -> ProposalFeatures {
        let (levels, anchors, output) = self.features(images);
        let proposals = rpn::proposals(&self.config.rpn, &output, &anchors, &images.sizes, Phase::Test);
        let rois: Vec<(usize, Xyxy)> = proposals
            .into_iter()
            .enumerate()
            .flat_map(|(image, boxes)| boxes.into_iter().map(move |b| (image, b)))
            .collect();
        let features = self.roi_head.features(&self.config.roi_head, &levels, &rois);
        let deltas = self.roi_head.deltas(&features).into_data();
        let deltas = deltas.try_to_vec::<f32>().expect("deltas are f32");
        let BoxFeatures { hidden, classifier } = features;
        ProposalFeatures { features: classifier, hidden, deltas, rois, sizes: images.sizes.clone() }
    }

    /// Detections of every image from class scores `[R × C]` of its proposals.
    pub fn detect(
        &self,
        proposals: &ProposalFeatures,
        scores: &[f32],
        meta: &[ImageMeta],
        test: &TestConfig,
    ) -> Vec<Detections> {
        (0..meta.len())
            .into_par_iter()
            .map(|image| self.detect_image(proposals, scores, image, &meta[image], test))
            .collect()
    }

    fn detect_image(
        &self,
        proposals: &ProposalFeatures,
        scores: &[f32],
        image: usize,
        meta: &ImageMeta,
        test: &TestConfig,
    ) -> Detections {
        let boxes = self.regressed_boxes(proposals, image, meta, test);
        let mine = proposals.rows_of(image);
        let scores = &scores[mine.start * self.num_classes..mine.end * self.num_classes];
        detections(&boxes, scores, self.num_classes, test)
    }

    /// Regressed boxes of an image's proposals in pixels of the original image: one a proposal, or one a class.
    pub fn regressed_boxes(
        &self,
        proposals: &ProposalFeatures,
        image: usize,
        meta: &ImageMeta,
        test: &TestConfig,
    ) -> Vec<Xyxy> {
        let head = &self.config.roi_head;
        let coder = BoxCoder { deviations: head.box_deviations };
        let width = 4 * if head.class_agnostic { 1 } else { self.num_classes };
        let mine = proposals.rows_of(image);
        let deltas = &proposals.deltas[mine.start * width..mine.end * width];
        regress(coder, &proposals.boxes_of(image), deltas, proposals.sizes[image], meta, test)
    }

    /// Features of regions.
    pub(crate) fn roi_features_of(&self, levels: &[Tensor<4>; 5], rois: &[(usize, Xyxy)]) -> BoxFeatures {
        self.roi_head.features(&self.config.roi_head, levels, rois)
    }

    /// Number of foreground classes C.
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// The last classification layer, `[D, K]`.
    pub fn classifier(&self) -> &Linear {
        &self.roi_head.classifier
    }

    /// The last hidden layer below the classifier, `[H, D]`.
    pub fn last_hidden(&self) -> &Linear {
        self.roi_head.last_hidden()
    }

    /// The same detector with another last classification layer.
    pub fn with_classifier(mut self, classifier: Linear) -> Self {
        self.roi_head.classifier = classifier;
        self
    }

    /// Settings of the detector.
    pub fn config(&self) -> &FasterRcnnConfig {
        &self.config
    }

    pub(crate) fn features(&self, images: &ImageBatch) -> ([Tensor<4>; 5], Vec<Vec<Xyxy>>, RpnOutput) {
        let levels = self.pyramid.forward(self.backbone.forward(images.pixels.clone()));
        let sizes = std::array::from_fn(|level| {
            let [_, _, height, width] = levels[level].dims();
            [height, width]
        });
        let output = self.rpn.forward(&levels);
        let [_, _, height, width] = images.pixels.dims();
        (levels, anchors(&self.config.anchors, &sizes, [height, width]), output)
    }

    fn sample(
        &self,
        output: &RpnOutput,
        anchors: &[Vec<Xyxy>],
        images: &ImageBatch,
        targets: &[Targets],
        draw: DrawKey,
    ) -> SampledRois {
        let proposals = rpn::proposals(&self.config.rpn, output, anchors, &images.sizes, Phase::Train);
        sample_rois(&self.config.roi_head, &proposals, targets, draw)
    }
}
