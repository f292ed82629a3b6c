//! Images and targets, batch by batch.

mod augmentation;
mod datasets;
mod images;
mod masks;
mod samplers;
