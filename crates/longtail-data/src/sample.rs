//! Decoded pixels with their training targets.

/// 8-bit RGB pixels, row by row, three bytes a pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbImage {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `height * width * 3` bytes.
    pub pixels: Vec<u8>,
}

/// What is known about classes that have no box in an image (LVIS).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Federated {
    /// Labels verified absent.
    pub verified_absent: Vec<u32>,
    /// Labels present whose boxes may be incomplete.
    pub not_exhaustive: Vec<u32>,
}

/// Training targets of one image.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Targets {
    /// Boxes as x1, y1, x2, y2 in absolute pixels of the image they come with.
    pub boxes: Vec<[f32; 4]>,
    /// Contiguous labels from 0, one a box.
    pub labels: Vec<u32>,
    /// Crowd regions (COCO): neither objects nor background.
    pub crowd_boxes: Vec<[f32; 4]>,
    /// What the annotators verified beyond the boxes.
    pub federated: Federated,
}

/// An image with its targets.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The file's image id.
    pub image_id: i64,
    /// The pixels.
    pub image: RgbImage,
    /// The targets, in pixels of `image`.
    pub targets: Targets,
}
