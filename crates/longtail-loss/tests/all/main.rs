//! Tests of the losses against independent references.

mod fused;
mod golden;
mod losses;
mod other_labels;
mod reduction;
