//! The losses, one file each: paper, formula, shapes, defaults, and what statistics it reads.

pub mod acsl;
pub mod acsl_background;
pub mod bags;
pub mod balanced_softmax;
pub mod class_balanced;
pub mod drop_loss;
pub mod eql;
pub mod eql_v2;
pub mod equalized_focal;
pub mod federated;
pub mod focal;
pub mod ldam;
pub mod seesaw;
pub mod sigmoid_bce;
pub mod softmax;
