//! Annotation files of every format.

mod cases;
mod formats;
mod formats_of_others;
mod headers;
mod open_images;
mod open_images_sets;
