//! Training: recipes, the loops, checkpoints; banks made of a detector, heads put back into it.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`recipe`] | the typed recipe: data, detector, stages |
//! | `run` | a run from recipe to results |
//! | `context` | what the stages of a run share |
//! | `loops` | the two training loops, each readable top to bottom, and the log of a stage beside them |
//! | [`sgd`] | the optimizer's step on the detector's tensors |
//! | [`parameters`], `linear` | weights by name; layers between slices and the detector |
//! | [`checkpoint`], `description` | everything needed to go on; what an imported detector is |
//! | [`evaluation`], `views` | detections and scores of any number of classifiers in one pass; test-time augmentation |
//! | `branch` | a run that begins with the first stages of another one |
//! | `predict` | detections of a trained run on any image |
//! | [`weights`] | weights of other frameworks in and out |
//! | [`bank`] | feature banks from a trained detector |
//! | [`head`] | detections of heads from stored proposals; heads put back into the detector |
//! | [`data`] | the data of a run |
//!
//! ```no_run
//! use longtail_run::{RunFolder, Silent};
//! use longtail_train::{DeviceChoice, Recipe};
//!
//! let recipe = Recipe::read("configs/demo.toml".as_ref(), &["seed=1".into()])?;
//! let folder = RunFolder::open("runs/demo/1".as_ref(), false)?;
//! let device = DeviceChoice::Cpu.open()?;
//! let results = longtail_train::run(&recipe, &folder, false, &device, "an example", &mut Silent)?;
//! let ap = results.classifiers[0].reports["lvis"].metric(&longtail_eval::Metric::AP);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod bank;
mod branch;
pub mod checkpoint;
mod context;
pub mod data;
mod description;
mod error;
pub mod evaluation;
pub mod head;
mod linear;
mod loops;
pub mod parameters;
mod predict;
pub mod recipe;
mod run;
pub mod sgd;
mod views;
pub mod weights;

pub use branch::branch;
pub use description::Description;
pub use error::TrainError;
pub use longtail_ops::device::{DeviceChoice, name as device_name};
pub use predict::Predictor;
pub use recipe::Recipe;
pub use run::run;
