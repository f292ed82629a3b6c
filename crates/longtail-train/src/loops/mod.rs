//! The two training loops: the step on screen, its book-keeping in the stage's log.

pub(crate) mod classifier;
pub(crate) mod detector;
mod meter;
mod stage_log;
