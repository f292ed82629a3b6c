//! Weights of other frameworks: a file becomes a detector's checkpoint that predicts and that training can start from,
//! and a trained detector becomes a file under another framework's names.
//!
//! An imported file is a checkpoint whose header describes the detector, its preparation of images and its classes.

mod export;
mod import;
mod infer;
mod start;

pub use export::{Exported, export};
pub use import::{Imported, Request, import};
pub(crate) use start::start;
