//! The feature bank: what a frozen detector sees of its regions of interest, computed once and kept, so that any classifier
//! can be trained on it, and scored, without the images. The format is described in `docs/reference/feature-bank.md`.
//!
//! A bank is a folder: `bank.json`, the header, and shards in safetensors, memory-mapped when read. Two kinds of *part* have
//! the same layout: sampled RoIs to train on, and proposals to make detections from.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`classes`] | the classes by label, with how often the training set holds them |
//! | [`header`] | `bank.json`: classes, settings, counts, checksums |
//! | [`precision`] | features as f16, f32 or int8 with a scale a row |
//! | [`rows`] | the RoIs of an image, as they are written |
//! | [`shard`] | a file of RoIs: written, mapped, checked |
//! | [`writer`] | a bank in the making: resumed after a kill, never half a shard |
//! | [`reader`] | a finished bank: its images, its shards |
//! | [`disk`] | space that is left, sizes for people |
//! | [`npy`] | arrays of `.npy`, `.npz` and safetensors files |
//! | [`error`] | what can go wrong |
//!
//! ```
//! use longtail_bank::{Bank, BankWriter, Class, Header, ImageRows, Part, Precision, View};
//! # let folder = std::env::temp_dir().join(format!("longtail-bank-doc-{}", std::process::id()));
//! let classes = vec![Class::counted(7, "cup", 1, 1)].into();
//! let header = Header::new(Part::Training, 2, Precision::F32, classes, 1);
//! let mut writer = BankWriter::open(&folder, header)?;
//! let rows = ImageRows {
//!     image_id: 42,
//!     features: vec![0.5, 1.0, 0.0, 0.25],
//!     labels: vec![1, 0],
//!     boxes: vec![[0.0, 0.0, 9.0, 9.0]; 2],
//!     ious: vec![0.9, 0.1],
//!     ..ImageRows::default()
//! };
//! writer.write(0, &[rows])?;
//! writer.finish()?;
//! let bank = Bank::open(&folder)?;
//! let mut features = vec![0.0; 4];
//! bank.shard(0)?.features(0..2, &mut features);
//! assert_eq!(features, [0.5, 1.0, 0.0, 0.25]);
//! # std::fs::remove_dir_all(&folder).unwrap();
//! # Ok::<(), longtail_bank::BankError>(())
//! ```

pub mod classes;
pub mod disk;
pub mod error;
pub mod header;
pub mod npy;
pub mod precision;
pub mod reader;
pub mod rows;
pub mod shard;
pub mod writer;

pub use classes::{Class, ClassTable};
pub use error::BankError;
pub use header::{Counts, FeatureLayer, Header, Part, RoiSampling, ShardRecord, TruthFile, View};
pub use precision::Precision;
pub use reader::{Bank, BankImage};
pub use rows::ImageRows;
pub use shard::{Shard, ShardImage};
pub use writer::BankWriter;
