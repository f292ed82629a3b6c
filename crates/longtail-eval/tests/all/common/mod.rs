//! Small sets made in memory.

pub mod open_images;

use longtail_annotations::{Annotation, AnnotationSet, Category, FrequencyGroup, ImageRecord, Layout};
use longtail_eval::{Detection, Metric};

/// Precision of only right detections: the references add 2^-52 to the denominator.
pub const ONE: f64 = 1.0 / (1.0 + f64::EPSILON);

/// An image without any verified absent or incomplete class.
pub fn image(id: i64) -> ImageRecord {
    federated_image(id, &[], &[])
}

/// An image with verified absent and not exhaustively annotated classes.
pub fn federated_image(id: i64, negative: &[i64], not_exhaustive: &[i64]) -> ImageRecord {
    ImageRecord {
        id,
        file_name: format!("{id}.jpg"),
        width: 640,
        height: 480,
        neg_category_ids: Some(negative.to_vec()),
        not_exhaustive_category_ids: Some(not_exhaustive.to_vec()),
    }
}

/// A box x, y, width, height whose area field is its own.
pub fn annotation(id: i64, image_id: i64, category_id: i64, bbox: [f64; 4]) -> Annotation {
    let area = Some(bbox[2] * bbox[3]);
    Annotation { id, image_id, category_id, bbox, area, iscrowd: false, ignore: false }
}

/// A detection with a box x, y, width, height.
pub fn detection(image_id: i64, category_id: i64, bbox: [f64; 4], score: f64) -> Detection {
    Detection { image_id, category_id, bbox, score }
}

/// A set of the images with classes 1 (rare), 2 (common) and 3 (frequent).
pub fn set(images: Vec<ImageRecord>, annotations: Vec<Annotation>) -> AnnotationSet {
    let category = |(id, group)| Category { id, name: format!("class {id}"), frequency: Some(group) };
    AnnotationSet {
        path: None,
        layout: Layout::Lvis,
        images,
        annotations,
        categories: (1..).zip(FrequencyGroup::ALL).map(category).collect(),
    }
}

/// A metric by its name.
pub fn named(name: &str) -> Metric {
    name.parse().unwrap()
}
