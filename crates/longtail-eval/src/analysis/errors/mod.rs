//! What costs average precision: errors of detections by the definitions of TIDE (Bolya et al., ECCV 2020),
//! equal to PyPI `tidecv` 1.0.1 for boxes.
//!
//! | module | purpose |
//! | --- | --- |
//! | `options` | thresholds, cap and layout |
//! | `input` | checks; ground truth and detections by image |
//! | `classify` | one image: what each detection and each unmatched box is |
//! | `fix` | AP as it is, and with one kind of error mended |
//! | `report` | the result |
//!
//! # Rules
//! Detections of an image go by descending score, ties in the order given, and at most
//! [`ErrorOptions::max_detections`] of them **over all classes** take part. Each takes the unmatched box of
//! its class that overlaps most, if that is at least the foreground IoU. What is wrong with any other
//! detection is asked in this order: [`ErrorKind::Localisation`], [`ErrorKind::Class`],
//! [`ErrorKind::Duplicate`], [`ErrorKind::Background`], else [`ErrorKind::Both`]. A box without a match is
//! [`ErrorKind::Missed`] unless an error of class or localisation, mended, would match it.
//!
//! AP is the mean over classes of the precision at 101 recalls, as in COCO, with three differences: a class
//! with detections but no ground truth counts as 0; a class that a fix leaves with neither is no longer part
//! of the mean; and a fix puts what is wrong before what is right where scores tie. Mending takes duplicates,
//! background, both and all but the best error of class or localisation of a box away, turns that best one
//! into a match, and takes missed boxes out of the ground truth.
//!
//! # Ignored detections
//! An unmatched detection in an ignored region does not enter AP. As in `tidecv` it is still counted as an
//! error, and mended with the others; [`ErrorCount::ignored`] says how many are of that sort.
//! - COCO: a crowd is a region for its class: the share of the detection inside must exceed the foreground
//!   IoU. `ignore` has no meaning.
//! - Federated (LVIS), as `tidecv` loads it: the whole image is a region for every class of the set that is
//!   neither annotated nor verified absent there, and for every class that is not exhaustively annotated
//!   there. `iscrowd` has no meaning.
//!
//! # Where `tidecv` does not say
//! - A federated box marked `ignore` is a region for its class, as a crowd is in COCO (`tidecv` does not read
//!   the field).
//! - AP without any class, before or after a fix, is undefined (`tidecv` divides by zero).
//! - Scores of -1 and below are as good as any other (`tidecv` fails on some).
//! - Class -1 is a class (`tidecv` takes an ignored region of class -1 for one of all classes).
//! - Detections of unknown images are refused, and boxes of unknown images left out (`tidecv` leaves the
//!   former out and fails on the latter). Unknown classes count as any other, as in `tidecv`; they have no
//!   name and no group.

mod classify;
mod fix;
mod input;
mod options;
mod report;

pub use options::{BoundsError, ErrorOptions, OverlapBounds};
pub use report::{ClassErrors, ERROR_SCHEMA_VERSION, ErrorCount, ErrorKind, ErrorReport, ErrorTally};

use longtail_annotations::AnnotationSet;
use rayon::prelude::*;

use crate::{detection::Detection, error::EvalError};

/// Sorts every error of the detections and says what each kind costs; see [the module](self) for the rules.
///
/// Boxes are x, y, width, height in pixels, of any size from 0; scores are finite. The result does not depend
/// on the number of threads. It takes memory in proportion to the detections, and for each image detections ×
/// boxes.
///
/// # Errors
/// If an id of an image, class or annotation is repeated, a box is not finite or has a negative size, a score
/// is not finite, a detection is of an unknown image, or a federated analysis lacks `neg_category_ids` or
/// `not_exhaustive_category_ids`.
///
/// # Source
/// Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection Errors", ECCV 2020; PyPI `tidecv`
/// 1.0.1.
pub fn error_analysis(
    truth: &AnnotationSet,
    detections: &[Detection],
    options: &ErrorOptions,
) -> Result<ErrorReport, EvalError> {
    let sorted = input::Images::new(truth, detections)?;
    let images = sorted.select(options)?;
    let judged: Vec<classify::Judged> =
        images.par_iter().map(|image| classify::judge(image, &options.bounds)).collect();
    Ok(report::make(truth, options, &judged, &fix::costs(&judged)))
}
