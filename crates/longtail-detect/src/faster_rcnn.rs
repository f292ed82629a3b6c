//! Faster R-CNN (Ren et al., NeurIPS 2015) with a feature pyramid, and Cascade R-CNN (Cai and Vasconcelos,
//! CVPR 2018).

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use rayon::prelude::*;

use crate::{
    anchors::anchors,
    backbone::Backbone,
    boxes::{BoxCoder, Xyxy},
    cascade::refine,
    config::{FasterRcnnConfig, RoiHeadConfig, TestConfig},
    decode::{ImageMeta, detections, regress},
    fpn::FeaturePyramid,
    layers::{Initializer, Linear},
    postprocess::Detections,
    roi_head::{BoxFeatures, RoiHead},
    rpn::{self, Phase, RpnHead, RpnOutput},
};

/// Images of a batch, padded to one size.
pub struct ImageBatch {
    /// Normalised pixels, `[N, 3, H, W]`.
    pub pixels: Tensor<4>,
    /// Height and width of every image inside the padding.
    pub sizes: Vec<[u32; 2]>,
}

/// Features of all proposals of a batch, from which any classifier makes detections.
pub struct ProposalFeatures {
    /// What the classifier sees, `[R, D]`; in a cascade that of every head, side by side, `[R, heads × D]`,
    /// for [`averaged`](crate::cascade::averaged).
    pub features: Tensor<2>,
    /// What the last hidden layer of the first head sees, `[R, H]`.
    pub hidden: Tensor<2>,
    /// Box regression of every proposal by the last head, `[R × 4]` or `[R × 4C]`.
    deltas: Vec<f32>,
    /// Image and box of every proposal, image by image; in a cascade as the last head saw them.
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
    cascade: Vec<RoiHead>,
    #[module(skip)]
    config: FasterRcnnConfig,
    num_classes: usize,
}

/// A head with its settings.
pub(crate) struct Head<'a> {
    pub layers: &'a RoiHead,
    pub config: RoiHeadConfig,
    /// Weight of its losses.
    pub loss_weight: f32,
}

impl Head<'_> {
    pub fn coder(&self) -> BoxCoder {
        BoxCoder { deviations: self.config.box_deviations }
    }
}

impl FasterRcnnConfig {
    /// A detector with initial weights from `seed`. `outputs` is the width of every head's classifier, as its
    /// loss says.
    pub fn init(&self, num_classes: usize, outputs: usize, seed: u64, device: &Device) -> FasterRcnn {
        let mut initializer = Initializer::new(seed, device);
        let initializer = &mut initializer;
        let head = |initializer: &mut Initializer| {
            RoiHead::new(&self.roi_head, self.fpn_channels, num_classes, outputs, initializer)
        };
        FasterRcnn {
            backbone: self.backbone.init(initializer),
            pyramid: FeaturePyramid::new(self.backbone.channels(), self.fpn_channels, initializer),
            rpn: RpnHead::new(self.fpn_channels, self.anchors.ratios.len(), initializer),
            roi_head: head(initializer),
            cascade: self.cascade.iter().map(|_| head(initializer)).collect(),
            config: self.clone(),
            num_classes,
        }
    }
}

impl FasterRcnn {
    /// P2 to P6 of a batch.
    pub fn pyramid_features(&self, images: &ImageBatch) -> [Tensor<4>; 5] {
        self.features(images).0
    }

    /// Features of the proposals of a batch.
    pub fn propose_features(&self, images: &ImageBatch) -> ProposalFeatures {
        let (levels, anchors, output) = self.features(images);
        let proposals = rpn::proposals(&self.config.rpn, &output, &anchors, &images.sizes, Phase::Test);
        let mut rois: Vec<(usize, Xyxy)> = proposals
            .into_iter()
            .enumerate()
            .flat_map(|(image, boxes)| boxes.into_iter().map(move |b| (image, b)))
            .collect();
        let sizes = images.sizes.clone();
        let (mut classifiers, mut first, mut deltas, mut before) = (Vec::new(), None, Vec::new(), None);
        for head in self.heads() {
            if let Some(coder) = before.replace(head.coder()) {
                rois = refine(coder, &rois, &deltas, &sizes);
            }
            let features = head.layers.features(&head.config, &levels, &rois);
            let found = head.layers.deltas(&features).into_data();
            deltas = found.try_to_vec::<f32>().expect("deltas are f32");
            classifiers.push(features.classifier);
            first.get_or_insert(features.hidden);
        }
        let features =
            if classifiers.len() == 1 { classifiers.remove(0) } else { Tensor::cat(classifiers, 1) };
        let hidden = first.expect("a detector has a head");
        ProposalFeatures { features, hidden, deltas, rois, sizes }
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

    /// Regressed boxes of an image's proposals in pixels of the original image: one a proposal, or one a
    /// class.
    pub fn regressed_boxes(
        &self,
        proposals: &ProposalFeatures,
        image: usize,
        meta: &ImageMeta,
        test: &TestConfig,
    ) -> Vec<Xyxy> {
        let deviations = self.config.cascade.last().map(|head| head.box_deviations);
        let coder = BoxCoder { deviations: deviations.unwrap_or(self.config.roi_head.box_deviations) };
        let width = 4 * if self.config.roi_head.class_agnostic { 1 } else { self.num_classes };
        let mine = proposals.rows_of(image);
        let deltas = &proposals.deltas[mine.start * width..mine.end * width];
        regress(coder, &proposals.boxes_of(image), deltas, proposals.sizes[image], meta, test)
    }

    /// Features of regions under the first head.
    pub(crate) fn roi_features_of(&self, levels: &[Tensor<4>; 5], rois: &[(usize, Xyxy)]) -> BoxFeatures {
        self.roi_head.features(&self.config.roi_head, levels, rois)
    }

    /// Number of foreground classes C.
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// The last classification layer of every head, `[D, K]`.
    pub fn classifiers(&self) -> Vec<&Linear> {
        self.heads().map(|head| &head.layers.classifier).collect()
    }

    /// The last hidden layer below the first head's classifier, `[H, D]`.
    pub fn last_hidden(&self) -> &Linear {
        self.roi_head.last_hidden()
    }

    /// The same detector with other last classification layers, one for each head.
    pub fn with_classifiers(mut self, classifiers: impl IntoIterator<Item = Linear>) -> Self {
        let heads = std::iter::once(&mut self.roi_head).chain(&mut self.cascade);
        heads.zip(classifiers).for_each(|(head, classifier)| head.classifier = classifier);
        self
    }

    /// The heads in the order in which they see boxes.
    pub(crate) fn heads(&self) -> impl Iterator<Item = Head<'_>> {
        let layers = std::iter::once(&self.roi_head).chain(&self.cascade);
        let with_settings = layers.zip(self.config.heads());
        with_settings.map(|(layers, (config, loss_weight))| Head { layers, config, loss_weight })
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
}
