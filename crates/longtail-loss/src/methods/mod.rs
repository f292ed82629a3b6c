//! The losses, one file each: paper, formula, shapes, a worked example, defaults, and what it says of itself.

pub(crate) mod acsl;
pub(crate) mod acsl_background;
pub(crate) mod bags;
pub(crate) mod balanced_softmax;
pub(crate) mod class_balanced;
pub(crate) mod drop_loss;
pub(crate) mod ecm;
pub(crate) mod eql;
pub(crate) mod eql_v2;
pub(crate) mod equalized_focal;
pub(crate) mod federated;
pub(crate) mod focal;
pub(crate) mod gol;
pub(crate) mod ldam;
pub(crate) mod seesaw;
pub(crate) mod sigmoid_bce;
pub(crate) mod softmax;
