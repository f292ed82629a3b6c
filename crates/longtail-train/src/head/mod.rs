//! The last classification layer, if asked with the hidden layer below it, trained on a feature bank, without the detector.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`recipe`] | every setting of a head's training |
//! | [`layer`] | linear, normalised and cosine classifiers on slices |
//! | [`hidden`] | the last hidden layer on slices |
//! | [`mod@file`] | a trained head as a file |
//! | [`sampling`] | how often images and RoIs come |
//! | [`stream`] | steps of RoIs from a bank, in windows that fit memory |
//! | [`mod@train`] | stochastic gradient descent |
//! | [`lbfgs`] | L-BFGS for convex losses |
//! | [`evaluate`] | detections and scores from stored proposals |
//! | [`mod@apply`] | the head put back into a detector, here or elsewhere |
//! | [`sweep`] | many heads on one bank |

pub mod apply;
pub mod evaluate;
pub mod file;
pub mod hidden;
pub mod layer;
pub mod lbfgs;
pub mod recipe;
pub mod sampling;
pub mod stream;
pub mod sweep;
pub mod train;

pub use apply::{ExportFormat, apply, export};
pub use file::{Head, HeadFile, Inputs, TrainingSummary};
pub use hidden::{Hidden, HiddenRecipe};
pub use layer::ClassifierKind;
pub use recipe::{BatchRecipe, HeadRecipe, OptimizerRecipe};
pub use train::train;
