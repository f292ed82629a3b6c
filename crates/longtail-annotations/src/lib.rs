//! Annotation sets, and what every reader of them needs: labels, counts, groups and boxes.
//!
//! No file is read here and no pixel decoded: formats, training, evaluation and curation all stand on this
//! crate.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`annotation`] | sets as their files say them: images, boxes, categories |
//! | [`align`] | category ids of one set as another has them |
//! | [`label_map`] | the one map from category ids to contiguous labels |
//! | [`frequency`] | class counts, and the rare / common / frequent groups with their bounds |
//! | [`boxes`] | areas, intersections and overlaps of boxes |
//! | [`mod@file_name`] | names of image files that are refused |
//!
//! ```
//! use longtail_annotations::{Category, FrequencyGroup, LabelMap, boxes::iou};
//!
//! let category = |id, name: &str| Category { id, name: name.into(), frequency: None };
//! let labels = LabelMap::new(&[category(17, "owl"), category(3, "cat")]);
//! assert_eq!((labels.label(3), labels.label(17), labels.label(4)), (Some(0), Some(1), None));
//! assert_eq!(labels.category_id(1), 17);
//!
//! assert_eq!(FrequencyGroup::from_image_count(10), FrequencyGroup::Rare);
//! assert_eq!(iou(&[0.0_f32, 0.0, 10.0, 10.0], &[0.0, 0.0, 10.0, 5.0]), 0.5);
//! ```

pub mod align;
pub mod annotation;
pub mod boxes;
pub mod file_name;
pub mod frequency;
pub mod label_map;

pub use annotation::{Annotation, AnnotationSet, Category, ImageRecord, Layout};
pub use file_name::{check_file_name, name_below};
pub use frequency::{ClassCounts, FrequencyGroup};
pub use label_map::LabelMap;
