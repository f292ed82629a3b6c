//! From scores and regressed boxes to detections: on slices, so that stored proposals give what the detector
//! gives.

use longtail_data::BatchImage;

use crate::{
    boxes::{BoxCoder, Xyxy, clip},
    config::TestConfig,
    postprocess::{Detections, ScoredBoxes},
};

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
        Self { original_size: [image.original_height, image.original_width], scale: image.scale() }
    }
}

/// Regressed boxes of an image's proposals in pixels of the original image, `[R × columns]`; `deltas [R ×
/// columns × 4]`. `size` is height and width of the image inside its batch. A box below `test.min_side` has
/// no area.
pub fn regress(
    coder: BoxCoder,
    proposals: &[Xyxy],
    deltas: &[f32],
    size: [u32; 2],
    meta: &ImageMeta,
    test: &TestConfig,
) -> Vec<Xyxy> {
    let [scale_x, scale_y] = meta.scale;
    let columns = deltas.len() / 4 / proposals.len().max(1);
    let pairs = proposals.iter().zip(deltas.chunks_exact((4 * columns).max(1)));
    pairs
        .flat_map(|(reference, deltas)| {
            deltas.chunks_exact(4).map(move |deltas| {
                let [x1, y1, x2, y2] = clip(&coder.decode(reference, deltas), size);
                if x2 - x1 < test.min_side || y2 - y1 < test.min_side {
                    return [0.0; 4];
                }
                let original = [x1 / scale_x, y1 / scale_y, x2 / scale_x, y2 / scale_y];
                clip(&original, meta.original_size)
            })
        })
        .collect()
}

/// Detections of an image from `boxes`, one or C a proposal, and class scores `[R × C]`.
pub fn detections(boxes: &[Xyxy], scores: &[f32], classes: usize, test: &TestConfig) -> Detections {
    let scored = ScoredBoxes { boxes, scores, classes };
    let kept = scored.select(test);
    Detections {
        boxes: kept.iter().map(|&(index, _)| scored.box_of(index)).collect(),
        labels: kept.iter().map(|&(index, _)| scored.class_of(index) as u32).collect(),
        scores: kept.iter().map(|&(_, score)| score).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOXES: [Xyxy; 2] = [[0.0, 0.0, 10.0, 10.0], [1.0, 0.0, 11.0, 10.0]];

    #[test]
    fn boxes_may_be_shared_by_the_classes_or_not() {
        let test = TestConfig { score_threshold: 0.1, max_detections: 10, ..TestConfig::default() };
        // Two proposals, two classes: the second proposal loses to the first in class 0.
        let scores = [0.9, 0.2, 0.8, 0.05];
        let shared = detections(&BOXES, &scores, 2, &test);
        assert_eq!((shared.labels, shared.scores), (vec![0, 1], vec![0.9, 0.2]));
        assert_eq!(shared.boxes, [BOXES[0], BOXES[0]]);
        let apart = [[0.0, 0.0, 10.0, 10.0], [5.0; 4], [20.0, 0.0, 30.0, 10.0], [0.0, 0.0, 9.0, 9.0]];
        let own = detections(&apart, &scores, 2, &test);
        // The box without area is left out.
        assert_eq!((own.labels, own.boxes), (vec![0, 0], vec![apart[0], apart[2]]));
    }

    #[test]
    fn boxes_come_back_to_the_original_image() {
        let coder = BoxCoder { deviations: [0.1, 0.1, 0.2, 0.2] };
        let meta = ImageMeta { original_size: [50, 40], scale: [2.0, 2.0] };
        let test = TestConfig::default();
        let found = regress(coder, &[[10.0, 10.0, 90.0, 120.0]], &[0.0; 8], [100, 80], &meta, &test);
        assert_eq!(found, [[5.0, 5.0, 40.0, 50.0]; 2]);
        assert!(regress(coder, &[], &[], [100, 80], &meta, &test).is_empty());
        let large = TestConfig { min_side: 200.0, ..test };
        let none = regress(coder, &[[10.0, 10.0, 90.0, 120.0]], &[0.0; 4], [100, 80], &meta, &large);
        assert_eq!(none, [[0.0; 4]]);
    }
}
