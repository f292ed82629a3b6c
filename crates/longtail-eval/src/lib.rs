//! Detection metrics by the exact rules of their reference implementations, bit for bit in `f64`.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`report`] | the result: metrics over the set and by class |
//! | [`protocol`] | the choice of rules, and [`evaluate`] |
//! | `lvis`, `coco` | what takes part and what is averaged |
//! | `matching` | detections to ground truth, one image and class at a time |
//! | `accumulate` | precision and recall of a class over all images |
//! | `numerics` | thresholds and sums as the references compute them |
//! | [`detection`] | detections and their files |
//! | [`mod@look_alikes`] | which classes claim each other's objects |
//! | [`errors`] | what kinds of errors there are, and what each costs |
//! | [`error`] | what can be wrong with the input |

mod accumulate;
mod coco;
pub mod detection;
pub mod error;
pub mod errors;
mod input;
pub mod look_alikes;
mod lvis;
mod matching;
mod numerics;
pub mod protocol;
pub mod report;

pub use detection::{Detection, read_detections, write_detections};
pub use error::EvalError;
pub use errors::{ErrorKind, ErrorOptions, ErrorReport, error_analysis};
pub use look_alikes::{LookAlike, look_alikes};
pub use protocol::{Protocol, evaluate};
pub use report::{CategoryResult, EvalReport, Metrics, SCHEMA_VERSION};
