//! Feature banks from a trained detector.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`source`] | the trained detector whose features are kept |
//! | [`mod@extract`] | training RoIs, held-out and validation proposals of a data set |
//! | [`truth`] | ground truth beside proposals |

pub mod extract;
pub mod source;
pub mod truth;

pub use extract::{ExtractOptions, Plan, extract};
pub use source::{FeatureSource, frozen_hash};
