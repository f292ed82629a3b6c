//! Which pictures are the same, or nearly: re-encoded, resized, mirrored or slightly cropped.
//!
//! | module | purpose |
//! | --- | --- |
//! | `hash` | a 64-bit hash that stays nearly the same where a picture does |
//! | `fingerprint` | what is kept of a picture: hashes of it and of its likely crops, and 32 × 32 grey pixels |
//! | `search` | all pairs of near-duplicates among many, without comparing all with all |

mod fingerprint;
mod hash;
mod search;

pub use fingerprint::Fingerprint;
pub use hash::PerceptualHash;
pub(crate) use search::groups_of;
pub use search::{Likeness, NearPair, groups, near_duplicates};
