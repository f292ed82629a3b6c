//! Everything that the evaluator promises, as one program.

mod common;

mod calibration;
mod coco_rules;
mod comparison;
mod confusions;
mod error_rules;
mod errors;
mod errors_and_files;
mod files;
mod lenient;
mod lvis_rules;
mod mask_rules;
mod masks;
mod matrix;
mod mutations;
mod open_images;
mod open_images_rules;
mod open_images_sets;
mod operating;
mod parameters;
mod parts;
mod properties;
mod references;
mod results;
mod streaming;
mod tables;
