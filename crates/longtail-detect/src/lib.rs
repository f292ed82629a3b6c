//! Backbones, necks, heads and two-stage detectors with fast CPU operations.

pub mod ops;
