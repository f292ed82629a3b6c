//! Test-time augmentation: an image seen at several sizes, mirrored or not. The detections of all views, each decoded as
//! without augmentation, compete in one more class-wise NMS (`longtail_detect::postprocess::merge`).

use longtail_data::{Batch, Resize, Transform};
use longtail_detect::{Detections, TestConfig};

/// Long over short side of the published recipe, for recipes that resize otherwise.
const LONG_OVER_SHORT: (u32, u32) = (1333, 800);

/// The transform at each size.
pub(crate) fn transforms(transform: &Transform, test: &TestConfig) -> Vec<Transform> {
    let base = Transform { horizontal_flip: 0.0, ..transform.clone() };
    let (long, of_short) = match base.resize {
        Resize::ShortSide { short, max } => (max, short),
        Resize::Keep => LONG_OVER_SHORT,
    };
    let sized = |&short: &u32| {
        let max = (u64::from(long) * u64::from(short) / u64::from(of_short)) as u32;
        Transform { resize: Resize::ShortSide { short, max: max.max(short) }, ..base.clone() }
    };
    if test.views.short_sides.is_empty() {
        return vec![base];
    }
    test.views.short_sides.iter().map(sized).collect()
}

/// The batch with every image mirrored inside its padding.
pub(crate) fn mirrored(batch: &Batch) -> Batch {
    let mut mirrored = batch.clone();
    let [_, channels, height, width] = batch.shape;
    for (image, block) in
        batch.images.iter().zip(mirrored.pixels.as_mut_slice().chunks_exact_mut(channels * height * width))
    {
        for row in block.chunks_exact_mut(width) {
            row[..image.width as usize].reverse();
        }
    }
    mirrored
}

/// Detections of a mirrored image of `width` pixels as those of the image.
pub(crate) fn unmirrored(mut detections: Detections, width: u32) -> Detections {
    for b in &mut detections.boxes {
        *b = [width as f32 - b[2], b[1], width as f32 - b[0], b[3]];
    }
    detections
}

#[cfg(test)]
mod tests {
    use longtail_data::{RgbImage, Sample, Targets};
    use longtail_detect::config::ViewConfig;

    use super::*;

    #[test]
    fn sizes_keep_the_recipes_proportion() {
        let views = ViewConfig { short_sides: vec![400, 1200], mirrored: false };
        let test = TestConfig { views, ..TestConfig::default() };
        let resizes: Vec<Resize> =
            transforms(&Transform::default(), &test).into_iter().map(|t| t.resize).collect();
        assert_eq!(
            resizes,
            [Resize::ShortSide { short: 400, max: 666 }, Resize::ShortSide { short: 1200, max: 1999 }]
        );
        let plain = transforms(&Transform::default(), &TestConfig::default());
        assert_eq!((plain.len(), plain[0].resize), (1, Transform::default().resize));
    }

    #[test]
    fn mirroring_stays_inside_the_image() {
        let image = RgbImage { width: 3, height: 1, pixels: vec![9, 0, 0, 5, 0, 0, 1, 0, 0] };
        let transform =
            Transform { resize: Resize::Keep, mean: [0.0; 3], std: [1.0; 3], ..Transform::default() };
        let batch = Batch::single(Sample { image_id: 1, image, targets: Targets::default() }, &transform);
        let flipped = mirrored(&batch);
        assert_eq!(flipped.pixels[..4], [1.0, 5.0, 9.0, 0.0]);
        assert_eq!(mirrored(&flipped), batch);
        let detections =
            Detections { boxes: vec![[0.0, 2.0, 10.0, 4.0]], labels: vec![0], scores: vec![0.5] };
        assert_eq!(unmirrored(detections, 100).boxes, [[90.0, 2.0, 100.0, 4.0]]);
    }
}
