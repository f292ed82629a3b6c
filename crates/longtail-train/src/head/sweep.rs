//! Many heads on one bank. The best is chosen by held-out training images, never by the validation set.

use std::path::Path;

use longtail_bank::Bank;
use longtail_head::{
    Head, HeadError, HeadFile,
    sweep::{HeadResult, Reports, Setting, SweepObserver},
};

use crate::{
    bank::truth::Truths,
    error::TrainError,
    head::{detect, test_rules},
};

/// Trains every setting with every seed on `bank` and scores it on `held_out`. What `out` has already is read.
///
/// # Errors
/// The first error of a head; or if the user stops it.
pub fn sweep(
    bank: &Bank,
    held_out: &Bank,
    settings: &[Setting],
    seeds: &[u64],
    out: &Path,
    observer: &dyn SweepObserver,
) -> Result<Vec<HeadResult>, TrainError> {
    let truths = Truths::of(held_out)?;
    let rules = test_rules(held_out)?;
    let score = |head: &Head, file: &HeadFile| -> Result<Reports, TrainError> {
        truths.score(&detect(held_out, head, file.build_loss()?.as_ref(), &rules)?)
    };
    let score =
        |head: &Head, file: &HeadFile| score(head, file).map_err(|error| HeadError::Score(Box::new(error)));
    Ok(longtail_head::sweep::sweep(bank, held_out, settings, seeds, out, &score, observer)?)
}
