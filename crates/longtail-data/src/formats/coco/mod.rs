//! COCO, LVIS v0.5 and LVIS v1 JSON.

mod extras;
mod layout;
mod reader;
mod writer;

pub(crate) use layout::{set_frequencies, to_lvis, write};
#[doc(hidden)]
pub use reader::blocks_agree_with_serde;
pub(crate) use reader::read_document;
