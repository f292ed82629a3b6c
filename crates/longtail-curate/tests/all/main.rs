//! Checks, repairs and curation of data sets.

mod cases;
mod checks;
mod curation;
mod duplicates;
mod names;
