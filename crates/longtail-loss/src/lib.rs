//! Classification losses for long-tailed detection. The crate knows no data set: a loss gets class counts as
//! slices.
//!
//! A loss is three things that belong together: the width of the head's output, the loss with its gradient,
//! and the map from logits to class scores. All three are the trait [`ClassificationLoss`]. What a loss is
//! before it is built, its settings and what it says of itself, is the trait [`LossMethod`]; [`LossConfig`]
//! is the choice among them, as a recipe spells it. Losses work on slices and need no framework;
//! `longtail-ops` lends them to tensors.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`classification`] | the trait of a built loss |
//! | [`state`] | what a loss carries from step to step, and who shares a step |
//! | [`targets`] | labels and weights of the sampled RoIs, reduction, key of the random draws |
//! | [`method`], [`config`] | what a loss says of itself; the list of all |
//! | `methods` | the losses, one file each |
//! | [`rule`], [`running`], [`sigmoid`] | sigmoid losses as data, their running sums, and the engine |
//! | [`fused`] | the classifier layer with its loss |
//! | [`post_hoc`] | corrections of a trained classifier |
//! | [`numerics`] | vectorised exponentials |
//!
//! Two RoIs, one background and one of class 2, under binary cross-entropy:
//!
//! ```
//! use longtail_loss::{
//!     ClassContext, DrawKey, LossConfig, LossState, RoiTargets, SigmoidBceConfig, SingleWorker,
//! };
//!
//! let loss = LossConfig::SigmoidBce(SigmoidBceConfig::default()).build(&ClassContext::new(2))?;
//! let targets = RoiTargets::new(&[0, 2], 2, DrawKey::default())?;
//! let found = loss.evaluate(&[0.0; 4], &targets, &LossState::default(), &SingleWorker)?;
//! assert!((found.value - 2.0 * 2.0_f64.ln()).abs() < 1e-6);
//! assert_eq!(found.gradient, [0.25, 0.25, 0.25, -0.25]);
//! # Ok::<(), longtail_loss::LossError>(())
//! ```

pub mod classification;
pub mod config;
pub mod error;
pub mod fused;
pub mod method;
mod methods;
pub mod numerics;
pub mod post_hoc;
pub mod rule;
pub mod running;
pub mod sigmoid;
pub mod state;
pub mod targets;

pub use classification::{ClassContext, ClassificationLoss, Evaluation, KeptNegatives, Step};
pub use config::{ExternalLoss, LossConfig};
pub use error::LossError;
pub use method::{Description, LossMethod, Statistics};
pub use methods::{
    acsl::AcslConfig, acsl_background::Background, bags::BagsConfig, balanced_softmax::BalancedSoftmaxConfig,
    class_balanced::ClassBalancedConfig, drop_loss::DropLossConfig, ecm::EcmConfig, eql::EqlConfig,
    eql_v2::EqlV2Config, equalized_focal::EqualizedFocalConfig, federated::FederatedConfig,
    focal::FocalConfig, gol::GolConfig, ldam::LdamConfig, seesaw::SeesawConfig,
    sigmoid_bce::SigmoidBceConfig, softmax::SoftmaxConfig,
};
pub use post_hoc::PostHoc;
pub use sigmoid::SigmoidLoss;
pub use state::{LossState, SingleWorker, Workers};
pub use targets::Column;
pub use targets::{DrawKey, Normalizer, Reduction, RoiTargets};
