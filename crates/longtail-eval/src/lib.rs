//! Detection metrics by the exact rules of their reference implementations, bit for bit in `f64`.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`results`] | detections in the formats of other tools |
//! | [`report`] | the result: metrics over the set and by class |
//! | [`protocol`] | the choice of rules |
//! | [`evaluation`] | detections matched once, and the report made from it; [`evaluate`] does both |
//! | [`ground_truth`] | ground truth, checked and sorted |
//! | [`detection`] | detections, one or millions |
//! | `reading` | files of detections |
//! | `streaming` | the same, matched while they are read |
//! | `matching` | detections to ground truth, one image and class at a time |
//! | `matches` | the same over all images: what takes part, with its outcome |
//! | `accumulate` | precision and recall of a class over all images |
//! | `metrics` | what each protocol lists |
//! | [`arrays`] | the references' whole arrays |
//! | [`bins`] | classes by their training images |
//! | [`comparison`], `bootstrap` | detectors against each other, with intervals from resampled images |
//! | [`partial`] | evaluations split over machines |
//! | `numerics` | thresholds and sums as the references compute them |
//! | [`open_images`] | the Open Images challenge, with an engine of its own |
//! | [`mod@calibration`] | how far scores are from the share of right detections |
//! | [`mod@look_alikes`] | which classes claim each other's objects |
//! | [`errors`] | what kinds of errors there are, and what each costs |
//! | [`rescoring`] | scores changed after the fact, fitted on one half of the images and measured on the other |
//! | [`error`] | what can be wrong with the input |

mod accumulate;
pub mod arrays;
pub mod bins;
mod bootstrap;
pub mod calibration;
pub mod comparison;
pub mod detection;
pub mod error;
pub mod errors;
pub mod evaluation;
pub mod ground_truth;
pub mod look_alikes;
mod matches;
mod matching;
mod metrics;
mod numerics;
pub mod open_images;
pub mod partial;
pub mod protocol;
mod reading;
pub mod report;
pub mod rescoring;
pub mod results;
mod streaming;

pub use arrays::Arrays;
pub use bins::{ClassBins, ImageCounts};
pub use calibration::{Calibration, Reliability, calibration};
pub use comparison::{Bootstrap, ClassDifference, Comparison, Difference, compare, compare_runs};
pub use detection::{Detection, Detections, Shard, write_detections};
pub use error::EvalError;
pub use errors::{ErrorKind, ErrorOptions, ErrorReport, error_analysis};
pub use evaluation::{Evaluation, evaluate};
pub use ground_truth::GroundTruth;
pub use look_alikes::{LookAlike, look_alikes};
pub use open_images::{OpenImagesEvaluation, OpenImagesPredictions, OpenImagesSet, OpenImagesTruth};
pub use partial::Partial;
pub use protocol::{MaxDetections, Protocol, Scoring, Settings};
pub use reading::read_detections;
pub use report::{CategoryResult, EvalReport, Metrics, SCHEMA_VERSION};
pub use results::{ResultsFormat, expand_detections, read_results, write_results};
