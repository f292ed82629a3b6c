//! Files of detections and of ground truth.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`formats`] | detections in the formats of other tools |
//! | [`ground_truth`] | ground truth, of which nothing is demanded that no metric reads |
//! | `stream` | JSON, JSON Lines and Parquet, block by block |
//! | `entry` | the usual form of an entry, fast |
//! | `explain` | every other form, and what is wrong with it |
//! | `masks` | masks of detections, of the usual form and of every other |
//! | `parquet` | tables |
//! | `text` | byte order marks, UTF-16, NaN, ids written as 1.0 |
//! | `open` | what a file is, and what is compressed in it |

mod entry;
mod explain;
pub mod formats;
pub mod ground_truth;
mod masks;
mod open;
mod parquet;
mod stream;
pub(crate) mod text;

pub use self::stream::read_detections;
pub(crate) use self::{
    entry::{Entry, Unusual},
    explain::thorough,
    masks::{segmentation, thorough_masks},
    stream::{stream, stream_masks},
};
