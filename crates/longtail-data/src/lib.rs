//! Detection data: read, check, count, sample, decode and augment.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`annotation`] | annotation sets as their files say them: images, boxes, categories |
//! | [`reader`], [`writer`] | COCO and LVIS JSON |
//! | [`open_images`] | Open Images' tables of boxes, labels and classes, and expansion by its hierarchy |
//! | [`mod@check`] | everything that is wrong with a set, at once |
//! | [`frequency`], [`statistics`] | class counts, the rare / common / frequent groups, how long the tail is |
//! | [`label_map`] | the one place that maps category ids of a file to contiguous labels |
//! | [`folder`], [`source`] | where the pixels of an image come from |
//! | [`dataset`], [`sample`] | images with their training targets |
//! | [`transform`], [`augment`] | resize, flip, normalise; what else happens to training images |
//! | [`geometry`], [`mask`] | boxes and the map between pixels; outlines of objects |
//! | [`sampler`], [`aspect`], [`draw`] | which images come when, and what their random choices are drawn from |
//! | [`batch`], [`normalize`], [`loader`] | batches ahead of the step |
//! | [`error`] | what can be wrong with data, and where |

pub mod annotation;
pub mod aspect;
pub mod augment;
pub mod batch;
mod blocks;
pub mod check;
pub mod dataset;
pub mod draw;
pub mod error;
pub mod folder;
pub mod frequency;
pub mod geometry;
pub mod label_map;
pub mod loader;
pub mod mask;
pub mod normalize;
pub mod open_images;
pub mod reader;
pub mod sample;
pub mod sampler;
pub mod source;
pub mod statistics;
pub mod transform;
pub mod writer;

pub use annotation::{Annotation, AnnotationSet, Category, ImageRecord, Layout};
pub use augment::{Augmentation, Augmenter};
pub use batch::{Batch, BatchImage, Prepared};
pub use check::{Finding, Severity, check};
pub use dataset::Dataset;
pub use draw::Draw;
pub use error::DataError;
pub use folder::{ImageFolder, MAX_PIXELS, read_image};
pub use frequency::{ClassCounts, FrequencyGroup};
pub use geometry::PixelMap;
pub use label_map::LabelMap;
pub use loader::Loader;
pub use mask::{Outline, Outlines};
pub use sample::{Federated, RgbImage, Sample, Targets};
pub use sampler::{BatchPlan, Sampler};
pub use source::ImageSource;
pub use statistics::Statistics;
pub use transform::{Resize, Transform};
