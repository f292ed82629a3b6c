//! Classification heads without a framework: layers, losses and optimizers on slices.
//!
//! A head is the last classification layer of a detector, if asked with the hidden layer below it. The same [`Classifier`]
//! takes the same step in a detector's second stage, where the RoIs come from images, and on a feature bank, where they
//! were stored.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`classifier`] | layers with their loss and optimizer, and their step |
//! | [`layer`], [`hidden`] | linear, normalised and cosine classifiers; the last hidden layer |
//! | [`columns`] | the warm start by what a column is about; the layouts of weights |
//! | [`sgd`], [`schedule`] | the optimizer, its learning rate, how long it goes on |
//! | [`recipe`] | a classifier with its loss; every setting of a head's training |
//! | [`settings`] | values of a recipe by dotted key |
//! | [`file`](mod@file), [`export`](mod@export) | a trained head as a file, for this program and for another framework |
//! | [`sampling`], [`stream`] | how often images and RoIs of a bank come; steps of them |
//! | [`train`](mod@train), [`lbfgs`] | a head trained on a bank by gradient descent or L-BFGS |
//! | [`sweep`](mod@sweep) | many heads on one bank |
//! | [`mod@tune`] | methods tuned alike, chosen by cross-validation |
//! | [`error`] | what can go wrong |
//!
//! ```
//! use longtail_head::{Classifier, ClassifierKind, HeadInputs, SgdConfig, layer::Layer};
//! use longtail_loss::{ClassContext, DrawKey, LossConfig, Reduction, RoiTargets};
//!
//! // Two classes and background over features of width 2.
//! let loss = LossConfig::default().build(&ClassContext::new(2))?;
//! let layer = Layer::new(ClassifierKind::Linear, vec![0.0; 6], vec![0.0; 3], 2);
//! let mut classifier = Classifier::new("softmax", loss, vec![layer], Reduction::default(), 0.5);
//! let rois = [HeadInputs {
//!     features: vec![1.0, 0.0, 0.0, 1.0],
//!     targets: RoiTargets::new(&[1, 2], 2, DrawKey::default())?,
//!     stands_for: None,
//!     loss_weight: 1.0,
//! }];
//! let first = classifier.step(&rois, &SgdConfig::default(), 1.0, 1.0)?;
//! let second = classifier.step(&rois, &SgdConfig::default(), 1.0, 1.0)?;
//! assert!((first.loss - 3_f64.ln()).abs() < 1e-6 && second.loss < first.loss);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod classifier;
pub mod columns;
pub mod error;
pub mod export;
pub mod file;
pub mod hidden;
pub mod layer;
pub mod lbfgs;
pub mod recipe;
pub mod sampling;
pub mod schedule;
pub mod settings;
pub mod sgd;
pub mod stream;
pub mod sweep;
pub mod train;
pub mod tune;

pub use classifier::{Classifier, HeadInputs, Step, StepError};
pub use error::HeadError;
pub use export::{ExportFormat, export};
pub use file::{Head, HeadFile, Inputs, TrainingSummary};
pub use hidden::{Hidden, HiddenRecipe};
pub use layer::ClassifierKind;
pub use recipe::{BatchRecipe, ClassifierRecipe, HeadRecipe, OptimizerRecipe, build_loss};
pub use schedule::{Length, Schedule};
pub use settings::SettingError;
pub use sgd::SgdConfig;
pub use train::train;
