//! Everything that a training step could sample: candidates matched to the ground truth, with their features.

use burn::tensor::Tensor;
use longtail_data::Targets;
use rayon::prelude::*;

use crate::{
    boxes::{Xyxy, iou},
    config::RoiHeadConfig,
    faster_rcnn::{FasterRcnn, ImageBatch},
    matcher::{Match, match_boxes},
    roi_head::{BoxFeatures, add_ground_truth_to_proposals},
    rpn::{self, Phase},
};

/// Candidates of an image, foreground first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Candidates {
    /// Boxes in pixels of the batch.
    pub boxes: Vec<Xyxy>,
    /// 0 for background, `c + 1` for class c.
    pub labels: Vec<u32>,
    /// IoU with the best box of the ground truth.
    pub ious: Vec<f32>,
    /// Background candidates there were; some of them are kept.
    pub background: usize,
}

/// Candidates of a batch with their features.
pub struct CandidateFeatures {
    /// What the classifier sees, `[R, D]`, image by image.
    pub features: Tensor<2>,
    /// What the last hidden layer sees, `[R, H]`.
    pub hidden: Tensor<2>,
    /// Candidates of every image.
    pub images: Vec<Candidates>,
}

/// All foreground candidates of an image, and the background ones whose indices `keep` chooses among so many.
/// Of boxes with the same corners the first gives the label.
pub(crate) fn candidates(
    config: &RoiHeadConfig,
    proposals: &[Xyxy],
    targets: &Targets,
    keep: impl Fn(usize) -> Vec<usize>,
) -> Candidates {
    // As in training: the ground truth comes along.
    let boxes = add_ground_truth_to_proposals(proposals, targets);
    let matches = match_boxes(&boxes, targets, config.positive_iou, config.positive_iou, false);
    let background: Vec<usize> =
        (0..boxes.len()).filter(|&index| matches[index] == Match::Background).collect();
    let mut found = Candidates { background: background.len(), ..Candidates::default() };
    let mut add = |index: usize, label: u32| {
        let overlaps = targets.boxes.iter().map(|truth| iou(&boxes[index], truth));
        found.boxes.push(boxes[index]);
        found.labels.push(label);
        found.ious.push(overlaps.fold(0.0, f32::max));
    };
    for (index, matched) in matches.iter().enumerate() {
        if let Match::Object(truth) = matched {
            add(index, targets.labels[*truth] + 1);
        }
    }
    for index in keep(background.len()) {
        add(background[index], 0);
    }
    found
}

impl FasterRcnn {
    /// All foreground candidates of a training step on these images, and the background ones that
    /// `keep(image, number)` chooses, with their features.
    pub fn candidate_features(
        &self,
        images: &ImageBatch,
        targets: &[Targets],
        keep: impl Fn(usize, usize) -> Vec<usize> + Sync,
    ) -> CandidateFeatures {
        let (levels, anchors, output) = self.features(images);
        let proposals = rpn::proposals(&self.config().rpn, &output, &anchors, &images.sizes, Phase::Train);
        let config = &self.config().roi_head;
        let found: Vec<Candidates> = proposals
            .par_iter()
            .zip(targets)
            .enumerate()
            .map(|(image, (proposals, targets))| {
                candidates(config, proposals, targets, |background| keep(image, background))
            })
            .collect();
        let rois: Vec<(usize, Xyxy)> = found
            .iter()
            .enumerate()
            .flat_map(|(image, candidates)| candidates.boxes.iter().map(move |b| (image, *b)))
            .collect();
        let BoxFeatures { hidden, classifier } = self.roi_features_of(&levels, &rois);
        CandidateFeatures { features: classifier, hidden, images: found }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_foreground_is_kept_and_background_as_chosen() {
        let targets =
            Targets { boxes: vec![[10.0, 10.0, 30.0, 30.0]], labels: vec![6], ..Targets::default() };
        let far = [50.0, 50.0, 60.0, 60.0];
        let proposals = [far, [11.0, 10.0, 31.0, 30.0], [70.0, 70.0, 80.0, 80.0], [0.0, 0.0, 20.0, 20.0]];
        let config = RoiHeadConfig::default();
        let found = candidates(&config, &proposals, &targets, |count| {
            assert_eq!(count, 3);
            vec![0, 2]
        });
        assert_eq!((found.labels, found.background), (vec![7, 7, 0, 0], 3));
        assert_eq!(found.boxes[1], targets.boxes[0]);
        assert_eq!(found.boxes[2], far);
        assert!((found.ious[0] - 19.0 / 21.0).abs() < 1e-6 && found.ious[1] == 1.0 && found.ious[2] == 0.0);
        assert!((found.ious[3] - 100.0 / 700.0).abs() < 1e-6);
    }
}
