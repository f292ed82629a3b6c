//! The embedded benchmark: scenes of emoji with the class counts of LVIS v1.
//!
//! Every scene is a function of (seed, size, classes, image size): the same bytes on every machine and for
//! every number of threads. The scenes know the whole truth; annotations are made from it as LVIS or Open
//! Images makes them, and the exhaustive truth is kept beside them.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`config`] | the size of a world |
//! | [`classes`] | which emoji are classes, and how often each occurs |
//! | [`plan`] | which classes lie in which image |
//! | [`artwork`], [`sprite`] | drawings, and how hard they are bent |
//! | [`scene`] | an image with its objects |
//! | [`world`] | images and annotations |
//! | [`open_images`] | annotations as Open Images has them |
//! | [`mod@export`] | a world as files |

pub mod artwork;
pub mod classes;
pub mod config;
pub mod error;
pub mod export;
pub mod open_images;
pub mod plan;
pub mod random;
pub mod scene;
pub mod sprite;
pub mod world;

pub use config::{WorldConfig, WorldLayout};
pub use error::EmojiError;
pub use export::export;
pub use world::{Split, World};
