//! Checks, repairs and curation of data sets.

mod checks;
mod curation;
mod duplicates;
mod names;
