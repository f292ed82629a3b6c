//! Detection data: read, check, count, sample, decode and augment.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`annotation`] | annotation sets as their files say them: images, boxes, categories |
//! | [`frequency`] | class counts and the rare / common / frequent groups derived from them |
//! | [`label_map`] | the one place that maps category ids of a file to contiguous labels |
//! | [`sample`] | decoded pixels with their training targets |
//! | [`source`] | where the pixels of an image come from |
//! | [`error`] | what can be wrong with data, and where |

pub mod annotation;
pub mod error;
pub mod frequency;
pub mod label_map;
pub mod sample;
pub mod source;

pub use annotation::{Annotation, AnnotationSet, Category, ImageRecord, Layout};
pub use error::DataError;
pub use frequency::{ClassCounts, FrequencyGroup};
pub use label_map::LabelMap;
pub use sample::{Federated, RgbImage, Sample, Targets};
pub use source::ImageSource;
