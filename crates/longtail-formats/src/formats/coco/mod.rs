//! COCO, LVIS v0.5 and LVIS v1 JSON.

mod extras;
mod layout;
mod reader;
mod tolerant;
mod writer;

pub(crate) use layout::write;
pub use layout::{set_frequencies, to_lvis};
#[doc(hidden)]
pub use reader::blocks_agree_with_one_by_one;
pub use reader::read_annotations;
pub(crate) use reader::{inspect_annotations as inspect_coco, read_document};
pub use writer::{annotations_to_json, write_annotations};
