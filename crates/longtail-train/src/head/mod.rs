//! Heads and the detector they belong to.
//!
//! | module | purpose |
//! | --- | --- |
//! | `detect` | detections from stored proposals |
//! | `sweep` | many heads on one bank, scored by their detections on held-out images |
//! | `tune` | methods tuned alike on one bank, judged by their detections on folds of the training images |
//! | `apply` | a head put back into the detector |

mod apply;
mod detect;
mod sweep;
mod tune;

pub use apply::apply;
pub use detect::{detect, test_rules};
pub use sweep::sweep;
pub use tune::tune;
