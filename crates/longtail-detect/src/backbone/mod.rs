//! Backbones.

pub mod resnet;

pub use resnet::{Layout, ResNet, ResNetConfig, Stem};
