//! One binary for all tests of the crate: whole runs, banks and heads, and detectors against golden vectors.

mod bank;
mod cascade;
mod common;
mod defects;
mod golden;
mod golden_cascade;
mod golden_detector;
#[cfg(any(feature = "cuda", feature = "vulkan", feature = "wgpu"))]
mod gpu;
mod hidden;
mod runs;
mod steps;
mod tune;
