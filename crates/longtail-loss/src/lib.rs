//! Classification losses for long-tailed detection. The crate knows no data set: a loss gets class counts as slices.
//!
//! A loss is three things that belong together: the width of the head's output, the loss with its gradient, and
//! the map from logits to class scores. All three are the trait [`ClassificationLoss`]; [`LossConfig`] is the
//! choice among them, as a recipe spells it. Losses work on slices; [`tensor`] lends them to Burn.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`classification`] | the trait, its inputs and its running state |
//! | [`targets`] | labels and weights of the sampled RoIs, reduction, key of the random draws |
//! | [`config`], [`description`] | the choice of a loss; each in words |
//! | [`methods`] | the losses, one file each |
//! | [`post_hoc`] | corrections of a trained classifier |
//! | [`fused`] | the classifier layer with its loss; with ACSL in one pass |
//! | [`numerics`] | vectorised exponentials |
//! | [`draw`] | counter-based random draws |
//! | [`suppression`] | what a kernel on another device needs to know of a loss |
//! | [`tensor`] | losses on Burn tensors |

pub mod classification;
pub mod config;
pub mod description;
pub mod draw;
pub mod error;
pub mod fused;
#[cfg(feature = "gpu")]
mod gpu;
pub mod methods;
pub mod numerics;
pub mod post_hoc;
mod sigmoid;
pub mod suppression;
pub mod targets;
pub mod tensor;

pub use classification::{
    ClassContext, ClassificationLoss, Column, Evaluation, KeptNegatives, LossState, SingleWorker,
    SparseEvaluation, SparseGradient, Workers,
};
pub use config::LossConfig;
pub use description::{Description, Statistics};
pub use error::LossError;
pub use methods::{
    acsl::{Acsl, AcslConfig},
    acsl_background::Background,
    bags::{Bags, BagsConfig},
    balanced_softmax::{BalancedSoftmax, BalancedSoftmaxConfig},
    class_balanced::{ClassBalanced, ClassBalancedConfig},
    drop_loss::{DropLoss, DropLossConfig},
    eql::{Eql, EqlConfig},
    eql_v2::{EqlV2, EqlV2Config},
    equalized_focal::{EqualizedFocal, EqualizedFocalConfig},
    federated::{Federated, FederatedConfig},
    focal::{Focal, FocalConfig},
    ldam::{Ldam, LdamConfig},
    seesaw::{Seesaw, SeesawConfig},
    sigmoid_bce::{SigmoidBce, SigmoidBceConfig},
    softmax::SoftmaxCrossEntropy,
};
pub use post_hoc::PostHoc;
pub use targets::{DrawKey, Normalizer, Reduction, RoiTargets};
