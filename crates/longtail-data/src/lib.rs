//! The training side of data: images and targets, batch by batch.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`folder`], [`source`] | where the pixels of an image come from |
//! | [`dataset`], [`sample`] | images with their training targets |
//! | [`canvas`], [`boxes`], [`resize`] | a sample on its way, what becomes of boxes that are cut, target sizes |
//! | [`augment`], [`transform`] | what else happens to training images; resize, flip, normalise |
//! | [`resample`], [`geometry`], [`mask`] | pixels scaled and mirrored, the map between pixels, outlines of objects |
//! | [`sampler`], [`aspect`], [`draw`] | which images come when, and what their random choices are drawn from |
//! | [`augmenter`], [`batch`], [`normalize`], [`pixels`], [`loader`] | batches ahead of the step |
//! | [`error`] | what can be wrong with data, and where |
//!
//! ```
//! use std::sync::Arc;
//!
//! use longtail_annotations::{Annotation, AnnotationSet, Category, ImageRecord, Layout};
//! use longtail_data::{BatchPlan, DataError, Dataset, ImageSource, Loader, RgbImage, Sampler, Transform};
//!
//! /// Grey images; a folder of files is an `ImageFolder`.
//! struct Grey;
//!
//! impl ImageSource for Grey {
//!     fn load(&self, record: &ImageRecord) -> Result<RgbImage, DataError> {
//!         let (width, height) = (record.width, record.height);
//!         Ok(RgbImage { width, height, pixels: vec![128; (3 * width * height) as usize] })
//!     }
//! }
//!
//! let image = |id| ImageRecord {
//!     id,
//!     file_name: format!("{id}.png"),
//!     width: 64,
//!     height: 48,
//!     neg_category_ids: None,
//!     not_exhaustive_category_ids: None,
//! };
//! let annotation = |id, image_id| Annotation {
//!     id, image_id, category_id: 7, bbox: [8.0, 8.0, 16.0, 16.0], area: None, iscrowd: false, ignore: false,
//! };
//! let set = AnnotationSet {
//!     path: None,
//!     layout: Layout::Coco,
//!     images: (1..5).map(image).collect(),
//!     annotations: (1..5).map(|id| annotation(id, id)).collect(),
//!     categories: vec![Category { id: 7, name: "owl".into(), frequency: None }],
//! };
//! let dataset = Arc::new(Dataset::new(set, Arc::new(Grey))?);
//! let plan = BatchPlan::new(&dataset, &Sampler::Shuffled, 2, 1)?;
//! let mut loader = Loader::train(dataset, plan, Transform::default(), 0, 2)?;
//! let batch = loader.next().ok_or("a training loader never ends")??;
//! assert_eq!((batch.images.len(), batch.images[0].targets.labels[0]), (2, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod aspect;
pub mod augment;
pub mod augmenter;
pub mod batch;
pub mod boxes;
pub mod canvas;
pub mod dataset;
pub mod draw;
pub mod error;
pub mod folder;
pub mod geometry;
pub mod loader;
pub mod mask;
pub mod normalize;
pub mod pixels;
pub mod resample;
pub mod resize;
pub mod sample;
pub mod sampler;
mod scaled_jpeg;
pub mod source;
pub mod transform;

pub use augment::Augmentation;
pub use augmenter::Augmenter;
pub use batch::{Batch, BatchImage};
pub use canvas::{Canvas, Prepared};
pub use dataset::Dataset;
pub use draw::Draw;
pub use error::DataError;
pub use folder::{ImageFolder, MAX_PIXELS, read_image};
pub use geometry::PixelMap;
pub use loader::Loader;
pub use mask::{Outline, Outlines};
pub use resize::Resize;
pub use sample::{Federated, RgbImage, Sample, Targets};
pub use sampler::{BatchPlan, Sampler};
pub use source::ImageSource;
pub use transform::Transform;
