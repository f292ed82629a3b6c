//! Open Images as an annotation set: its tables joined, boxes in pixels, and classes verified by people as LVIS has them.
//!
//! | Open Images | here |
//! | --- | --- |
//! | boxes relative to the image | pixels; images are measured |
//! | `IsGroupOf` | `iscrowd` |
//! | `IsOccluded`, `IsTruncated`, `IsDepiction`, `IsInside`, `Source` | fields `occluded`, `truncated`, `depiction`, `inside`, `source` |
//! | image label with confidence 0 | verified absent |
//! | image label with confidence 1 and no box | not exhaustively annotated |
//! | image label of a machine | nothing |
//! | class description | name; the field `label` has `/m/…` |
//!
//! Classes that nobody verified in an image are not scored, which is what LVIS layout says.

mod files;
mod reader;
mod tables;
mod writer;

pub(crate) use files::{is_boxes_table, is_predictions_table};
pub(crate) use reader::read;
pub use tables::OpenImagesTables;
pub(crate) use writer::write;
