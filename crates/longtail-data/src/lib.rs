//! Detection data: read, check, count, sample, decode and augment.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`annotation`] | annotation sets as their files say them: images, boxes, categories |
//! | [`curation`] | sets joined, split, cut down and filtered |
//! | [`formats`] | annotation files: COCO, LVIS, YOLO, Pascal VOC, Open Images, plain CSV |
//! | [`open_images`] | Open Images' tables of boxes, labels and classes, and expansion by its hierarchy |
//! | [`mod@check`], [`mod@fix`] | everything that is wrong with a set, at once, and repairs of a file |
//! | [`index`] | what was read from a large file, kept for the next opening |
//! | [`frequency`], [`statistics`] | class counts, the rare / common / frequent groups, how long the tail is |
//! | [`document`] | a set with everything its file says, for conversion |
//! | [`similarity`] | which pictures are the same, or nearly |
//! | [`label_map`] | the one place that maps category ids of a file to contiguous labels |
//! | [`folder`], [`source`], [`mod@file_name`] | where the pixels of an image come from, and names that are refused |
//! | [`dataset`], [`sample`] | images with their training targets |
//! | [`transform`], [`augment`] | resize, flip, normalise; what else happens to training images |
//! | [`resample`], [`geometry`], [`mask`] | pixels scaled and mirrored, boxes and the map between pixels, outlines of objects |
//! | [`sampler`], [`aspect`], [`draw`] | which images come when, and what their random choices are drawn from |
//! | [`batch`], [`normalize`], [`pixels`], [`loader`] | batches ahead of the step |
//! | [`error`] | what can be wrong with data, and where |

pub mod annotation;
pub mod aspect;
pub mod augment;
pub mod batch;
mod blocks;
pub mod check;
pub mod curation;
pub mod dataset;
pub mod document;
pub mod draw;
pub mod error;
pub mod file_name;
pub mod fix;
pub mod folder;
pub mod formats;
pub mod frequency;
pub mod geometry;
pub mod index;
pub mod label_map;
pub mod loader;
pub mod mask;
pub mod normalize;
pub mod open_images;
pub mod pixels;
pub mod resample;
pub mod sample;
pub mod sampler;
mod scaled_jpeg;
pub mod similarity;
pub mod source;
pub mod statistics;
pub mod transform;

pub use annotation::{Annotation, AnnotationSet, Category, ImageRecord, Layout};
pub use augment::{Augmentation, Augmenter};
pub use batch::{Batch, BatchImage, Prepared};
pub use check::{CheckOptions, Checked, Finding, Kind, Severity, check};
pub use dataset::Dataset;
pub use document::{Document, Extras, Losses, Members, RawJson};
pub use draw::Draw;
pub use error::DataError;
pub use file_name::check_file_name;
pub use fix::{Change, fix};
pub use folder::{ImageFolder, MAX_PIXELS, read_image};
pub use formats::{
    DataFormat, OpenImagesLabels, OpenImagesTables, PixelOrigin, Placement, ReadOptions, WriteOptions,
};
pub use frequency::{ClassCounts, FrequencyGroup};
pub use geometry::PixelMap;
pub use index::{IndexPlace, IndexUse};
pub use label_map::LabelMap;
pub use loader::Loader;
pub use mask::{Outline, Outlines};
pub use sample::{Federated, RgbImage, Sample, Targets};
pub use sampler::{BatchPlan, Sampler};
pub use similarity::{Fingerprint, PerceptualHash};
pub use source::ImageSource;
pub use statistics::Statistics;
pub use transform::{Resize, Transform};
