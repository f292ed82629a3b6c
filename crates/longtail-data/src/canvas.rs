//! A sample on its way through the augmentations: each step moves pixels, boxes and the map from the original
//! alike.

use crate::{
    boxes::{BoxPolicy, refit},
    geometry::PixelMap,
    resample::{resize, window},
    sample::{RgbImage, Sample, Targets},
};

/// A sample that is being augmented.
#[derive(Debug, Clone, PartialEq)]
pub struct Canvas {
    /// Pixels and targets so far.
    pub sample: Sample,
    /// From pixels of the original to those of `sample`.
    pub map: PixelMap,
    /// Whether the image's classes are known only as far as its federated lists say (LVIS).
    pub federated: bool,
    /// Width and height of the original.
    original: [u32; 2],
    /// What width and height were divided by when the image was read.
    divisor: u32,
}

/// An image ready to join a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// Index in the data set.
    pub index: usize,
    /// Width and height of the original.
    pub original: [u32; 2],
    /// Pixels and targets.
    pub sample: Sample,
    /// From pixels of the original to those of `sample`.
    pub map: PixelMap,
    /// Whether `transform.horizontal_flip` mirrored it.
    pub flipped: bool,
}

impl Canvas {
    /// A sample as it was read.
    pub fn new(sample: Sample, federated: bool) -> Self {
        Self::reduced(sample, 1, federated)
    }

    /// A sample whose image was read with width and height divided by a power of two.
    pub fn reduced(sample: Sample, divisor: u32, federated: bool) -> Self {
        let scale = [1.0 / f64::from(divisor); 2];
        let original = [sample.image.width, sample.image.height].map(|side| side * divisor);
        Self { sample, map: PixelMap { scale, ..PixelMap::IDENTITY }, federated, original, divisor }
    }

    /// Width and height of the original, whatever was done since.
    pub fn original_size(&self) -> [u32; 2] {
        self.original
    }

    /// Width and height so far, were the image not read in fewer pixels.
    pub(crate) fn full_size(&self) -> [u32; 2] {
        self.size().map(|side| side * self.divisor)
    }

    /// Width and height so far.
    pub fn size(&self) -> [u32; 2] {
        [self.sample.image.width, self.sample.image.height]
    }

    /// Mirrors left and right.
    pub fn flip(&mut self) {
        let width = self.sample.image.width as f32;
        self.sample.image.flip_horizontally();
        each_box(&mut self.sample.targets, |b| [width - b[2], b[1], width - b[0], b[3]]);
        self.map = self.map.then([-1.0, 1.0], [f64::from(width), 0.0]);
    }

    /// Scales to a size.
    pub fn resize(&mut self, [width, height]: [u32; 2]) {
        self.scale_and_crop([width, height], [0; 2], [width, height], &BoxPolicy::default());
    }

    /// Scales to `scaled` and cuts out the window `size` with its corner at `corner`, without making the
    /// pixels outside.
    pub fn scale_and_crop(&mut self, scaled: [u32; 2], corner: [u32; 2], size: [u32; 2], policy: &BoxPolicy) {
        let before = self.size();
        let scale = [0, 1].map(|i| f64::from(scaled[i]) / f64::from(before[i]));
        let whole = corner == [0, 0] && size == scaled;
        let image = &mut self.sample.image;
        let source = std::mem::replace(image, RgbImage { width: 0, height: 0, pixels: Vec::new() });
        *image =
            if whole { resize(source, scaled[0], scaled[1]) } else { window(&source, scale, corner, size) };
        let (s, o) = (scale.map(|v| v as f32), corner.map(|v| v as f32));
        each_box(&mut self.sample.targets, |b| {
            [b[0] * s[0] - o[0], b[1] * s[1] - o[1], b[2] * s[0] - o[0], b[3] * s[1] - o[1]]
        });
        self.map = self.map.then(scale, corner.map(|v| -f64::from(v)));
        if !whole {
            let [width, height] = size.map(|v| v as f32);
            let crowd = BoxPolicy { min_visible: 0.0, ..BoxPolicy::default() };
            refit(
                &mut self.sample.targets,
                self.federated,
                |_, b| policy.fate(b, width, height),
                |b| crowd.fate(b, width, height),
            );
        }
    }
}

fn each_box(targets: &mut Targets, change: impl Fn([f32; 4]) -> [f32; 4]) {
    for b in targets.boxes.iter_mut().chain(&mut targets.crowd_boxes) {
        *b = change(*b);
    }
}
