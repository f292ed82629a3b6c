//! Files of weights of other frameworks: reading them without executing anything in them, and how their tensors are
//! named.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`mod@file`] | [`WeightFile`]: tensors by name, whatever the format |
//! | `formats` | safetensors, torch's zip and legacy files, pickles of numpy arrays |
//! | `pickle` | a machine for pickles of plain containers and tensors, and nothing else |
//! | [`names`] | how torchvision, mmdetection, detectron2 and others name and lay out the tensors of a detector |
//! | [`transfer`], [`mod@write`] | from a file to a detector and back, with a line for every tensor |
//! | [`tensor`] | views of stored bytes, decoded when asked for |
//!
//! ```no_run
//! let file = longtail_weights::WeightFile::read("resnet50.pth".as_ref())?;
//! for (name, tensor) in file.weights()? {
//!     assert!(!name.is_empty() && tensor.elements() > 0);
//! }
//! # Ok::<(), longtail_weights::WeightsError>(())
//! ```

mod collect;
pub mod error;
pub mod file;
mod formats;
pub mod names;
mod pickle;
pub mod tensor;
pub mod transfer;
pub mod write;

pub use error::WeightsError;
pub use file::{Format, Named, Skipped, WeightFile};
pub use names::Naming;
pub use tensor::{DType, Tensor};
pub use transfer::{Array, Arrays, Fate, ImportOptions, Row, Transfer};
