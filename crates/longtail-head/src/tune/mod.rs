//! Methods tuned alike: each gets the same number of trainings over learning rate, length, weight decay and
//! settings of its own, and is chosen by cross-validation over the training images. The validation images are
//! looked at afterwards, and nothing is chosen by them.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`space`] | methods, what is tuned of each, and its candidates |
//! | [`folds`] | training images in folds that are balanced by class |
//! | [`record`] | what a tuning is asked, and what it found |
//! | [`search`] | candidates trained on folds, halved, and the chosen ones trained on all images |
//! | [`choice`] | which candidate is taken |
//! | `watch` | what is told and asked from its threads |
//! | [`folder`] | what a tuning leaves behind, so that it goes on after a kill |
//! | [`summary`] | mean, deviation, rank and intervals over tunings |
//! | [`regret`] | what each way of choosing costs against the best on validation |

pub mod choice;
pub mod folder;
pub mod folds;
pub mod record;
pub mod regret;
pub mod search;
pub mod space;
pub mod summary;
mod watch;

pub use folds::Folds;
pub use record::{Candidate, Final, MethodResult, Rule, TuneConfig, TuneResult, Variant};
pub use search::{Judge, tune};
pub use space::Method;
