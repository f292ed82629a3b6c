//! Random draws that are functions of a key and of a purpose.
//!
//! No generator is carried along and none is saved: what is drawn for an image, a step or a class depends on
//! nothing but its key. So results do not depend on the number of threads, on the order of calls, or on where
//! a run was resumed.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`purpose`] | the one list of everything that is drawn; two purposes of one number do not compile |
//! | [`hash`](mod@hash) | single numbers and subsets, by the finaliser of SplitMix64 |
//! | [`generator`](mod@generator) | ChaCha8 generators for what needs many numbers |
//! | [`seed`] | seeds derived from the seed of a run |
//!
//! ```
//! use longtail_draw::{DrawKey, Purpose, generator, unit, without_replacement};
//! use rand::RngExt;
//!
//! // Which 2 of the 5 background candidates of image 3 a step sees.
//! let key = DrawKey { seed: 7, step: 120 };
//! let drawn = without_replacement(key, Purpose::RoiBackground.at(3), 5, 2);
//! assert_eq!(drawn.len(), 2);
//! assert_eq!(drawn, without_replacement(key, Purpose::RoiBackground.at(3), 5, 2));
//!
//! // A number in 0..1 for RoI 4, and a generator for the order of epoch 2.
//! assert!((0.0..1.0).contains(&unit(key, Purpose::DropLossBackground, 4)));
//! let first: u64 = generator(7, Purpose::EpochOrder.at(2)).random();
//! assert_eq!(first, generator(7, Purpose::EpochOrder.at(2)).random());
//! ```

pub mod generator;
pub mod hash;
pub mod purpose;
pub mod seed;

pub use generator::generator;
pub use hash::{DrawKey, hash, unit, weighted_without_replacement, without_replacement};
pub use purpose::{Purpose, StreamId};
pub use seed::{derive, splitmix64};
