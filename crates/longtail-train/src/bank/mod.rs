//! Feature banks from a trained detector.
//!
//! | module | purpose |
//! | --- | --- |
//! | `source` | the trained detector whose features are kept |
//! | `extract` | training RoIs, held-out and validation proposals of a data set |
//! | `job` | a part in the making, shard by shard |
//! | [`truth`] | ground truth beside proposals |

mod extract;
mod job;
pub(crate) mod source;
pub mod truth;

pub use extract::{ExtractOptions, Plan, TRAINING_PROPOSALS, extract};
pub use source::{FeatureSource, frozen_hash};
