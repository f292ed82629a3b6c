//! Classification losses for long-tailed detection. The crate knows no data set: a loss gets class counts as a slice.
//!
//! A loss is three things that belong together: the width of the head's output, the loss with its gradient, and
//! the map from logits to class scores. All three are the trait [`ClassificationLoss`]; [`LossConfig`] is the
//! choice among them, as a recipe spells it.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`classification`] | the trait, its inputs and its running state |
//! | [`config`] | the choice of a loss |
//! | [`targets`] | labels of the sampled RoIs and the key of the step's random draws |
//! | [`acsl`] | adaptive class suppression loss |
//! | [`sigmoid_bce`] | sigmoid binary cross-entropy |
//! | [`softmax`] | softmax cross-entropy |
//! | [`draw`] | counter-based random draws |

pub mod acsl;
pub mod classification;
pub mod config;
pub mod draw;
pub mod error;
mod sigmoid;
pub mod sigmoid_bce;
pub mod softmax;
pub mod targets;

pub use acsl::{Acsl, AcslConfig, Background};
pub use classification::{ClassContext, ClassificationLoss, KeptNegatives, LossState};
pub use config::LossConfig;
pub use error::LossError;
pub use sigmoid_bce::{SigmoidBce, SigmoidBceConfig};
pub use softmax::SoftmaxCrossEntropy;
pub use targets::{DrawKey, RoiTargets};
