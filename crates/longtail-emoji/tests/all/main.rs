//! The embedded benchmark.

mod determinism;
mod open_images;
