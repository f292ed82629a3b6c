//! Arguments of `longtail calibrate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use longtail_eval::Protocol;

use crate::args::Format;

/// Maps of scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CalibrationMethod {
    /// Scores over training images to a power, renormalised over the classes of a box
    Norcal,
    /// Logits less a multiple of the log share of training images
    LogitAdjustment,
    /// A logistic regression for each class on the detections that are right
    Platt,
}

/// `longtail calibrate`
#[derive(Debug, Args)]
#[command(after_help = "\
The map is fitted on half of the images and measured on the other half. AP ranks the detections of a \
class among one another: a map by class changes it through the cap on detections an image, so log \
more than the cap; pooled AP and calibration always change.

Examples:
  longtail calibrate --ground-truth val.json --detections results.json \\
      --counts train.json --method norcal --out better.json
  longtail calibrate --ground-truth val.json --detections results.json \\
      --method platt --save map.json
  longtail calibrate --map map.json --detections test.json \\
      --out test-better.json")]
pub struct Calibrate {
    /// Detections, with scores in 0 to 1
    #[arg(long)]
    pub detections: PathBuf,
    /// COCO or LVIS annotation file to fit on
    #[arg(long, required_unless_present = "map")]
    pub ground_truth: Option<PathBuf>,
    /// Map to fit
    #[arg(long, value_enum, required_unless_present = "map")]
    pub method: Option<CalibrationMethod>,
    /// Training annotations, whose images of each class norcal and logit-adjustment read
    #[arg(long, value_name = "TRAIN.json")]
    pub counts: Option<PathBuf>,
    /// Rules to score by: lvis, lvis-fixed or coco
    #[arg(long, default_value = "lvis")]
    pub protocol: Protocol,
    /// Seed of the halves
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Write all detections with the fitted scores
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Write the fitted map
    #[arg(long)]
    pub save: Option<PathBuf>,
    /// Apply a map that was saved, instead of fitting one
    #[arg(long, conflicts_with_all = ["ground_truth", "method", "save"], requires = "out")]
    pub map: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}
