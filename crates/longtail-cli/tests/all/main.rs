//! The binary from the outside, and what the repository promises of itself. One binary, so that it is linked
//! once.

mod common;

mod architecture;
mod bank;
mod cases;
mod circles;
mod commands;
mod data_sets;
mod documents;
mod evaluation;
mod explain;
mod help;
mod hidden;
mod open_images;
mod open_images_runs;
mod tables;
mod tune;
mod weights;
