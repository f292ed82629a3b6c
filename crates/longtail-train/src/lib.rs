//! Training: recipes, the loop, checkpoints, run folders.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`recipe`] | the typed recipe: data, detector, stages |
//! | [`mod@run`] | a run from recipe to results |
//! | `stage_detector`, `stage_classifier` | the two training loops, each readable top to bottom |
//! | [`classifier`] | a last layer with the loss that trains it |
//! | [`sgd`], [`slice_sgd`], [`schedule`] | the optimizer and its learning rate |
//! | [`parameters`], [`checkpoint`] | weights by name, and everything needed to go on |
//! | [`evaluation`] | detections and scores of any number of classifiers in one pass |
//! | `views` | test-time augmentation |
//! | [`mod@branch`] | a run that begins with the first stages of another one |
//! | [`predict`] | detections of a trained run on any image |
//! | [`weights`] | weights of other frameworks in and out |
//! | [`run_folder`], [`metrics`], [`results`], [`environment`] | what a run leaves behind |
//! | [`bank`] | feature banks from a trained detector |
//! | [`head`] | classifiers trained on a bank, scored, and put back into the detector |
//! | [`observer`] | how a run tells what it does |
//! | [`data`], [`seed`] | the data of a run; one seed, split by purpose |

pub mod bank;
pub mod branch;
pub mod checkpoint;
pub mod classifier;
pub mod data;
pub mod environment;
pub mod error;
pub mod evaluation;
pub mod head;
mod meter;
pub mod metrics;
pub mod observer;
mod overrides;
pub mod parameters;
pub mod predict;
pub mod recipe;
pub mod results;
pub mod run;
pub mod run_folder;
pub mod schedule;
pub mod seed;
pub mod sgd;
pub mod slice_sgd;
mod stage_classifier;
mod stage_detector;
mod views;
pub mod weights;

pub use branch::branch;
pub use error::TrainError;
pub use longtail_detect::device::{DeviceChoice, name as device_name};
pub use observer::{Event, Observer, Silent};
pub use predict::Predictor;
pub use recipe::Recipe;
pub use results::Results;
pub use run::run;
pub use run_folder::RunFolder;
