//! Heads and the detector they belong to.
//!
//! | module | purpose |
//! | --- | --- |
//! | `detect` | detections from stored proposals |
//! | `sweep` | many heads on one bank, scored by their detections on held-out images |
//! | `apply` | a head put back into the detector |

mod apply;
mod detect;
mod sweep;

pub use apply::apply;
pub use detect::{detect, test_rules};
pub use sweep::sweep;
