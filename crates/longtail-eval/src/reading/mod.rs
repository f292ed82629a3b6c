//! Files of detections and of ground truth.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`formats`] | detections in the formats of other tools |
//! | [`ground_truth`] | ground truth, of which nothing is demanded that no metric reads |
//! | `stream` | JSON, JSON Lines and Parquet, block by block |
//! | `entry` | the usual form of an entry, fast |
//! | `explain` | every other form, and what is wrong with it |
//! | `parquet` | tables |
//! | `text` | byte order marks, UTF-16, NaN, ids written as 1.0 |
//! | `open` | what a file is, and what is compressed in it |

mod entry;
mod explain;
pub mod formats;
pub mod ground_truth;
mod open;
mod parquet;
mod stream;
pub(crate) mod text;

pub use self::stream::read_detections;
pub(crate) use self::{entry::Unusual, explain::thorough, stream::stream};
