//! Arguments of `longtail data`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::args::Format;

/// `longtail data`
#[derive(Debug, Subcommand)]
pub enum Data {
    /// Count images, boxes and classes; show how long the tail is
    #[command(after_help = "Example:\n  longtail data stats lvis_v1_train.json")]
    Stats(DataStats),
    /// List everything that is wrong with a data set; exit code 1 if there is an error
    #[command(after_help = "Example:\n  longtail data check instances_train.json --images train2017")]
    Check(DataCheck),
    /// Repeat Open Images boxes and labels for the classes that they imply, before evaluation
    #[command(after_help = "\
Boxes, and labels with confidence 1, are repeated for every ancestor; labels with confidence 0 for every descendant. All
columns are kept. Expand published files, once: expanding again repeats the copies. Predictions are not expanded; they must
contain the ancestors.

Example:
  longtail data expand-hierarchy --hierarchy bbox_labels_600_hierarchy.json validation-annotations-bbox.csv expanded.csv")]
    ExpandHierarchy(DataExpandHierarchy),
}

/// `longtail data stats`
#[derive(Debug, Args)]
pub struct DataStats {
    /// COCO or LVIS annotation file
    pub annotations: PathBuf,
    /// Image folder; given, missing images are counted
    #[arg(long)]
    pub images: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `longtail data check`
#[derive(Debug, Args)]
pub struct DataCheck {
    /// COCO or LVIS annotation file
    pub annotations: PathBuf,
    /// Image folder; given, every image is decoded and measured
    #[arg(long)]
    pub images: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `longtail data expand-hierarchy`
#[derive(Debug, Args)]
pub struct DataExpandHierarchy {
    /// Boxes CSV or image-level labels CSV
    pub input: PathBuf,
    /// CSV to write
    pub output: PathBuf,
    /// Tree of classes, JSON
    #[arg(long)]
    pub hierarchy: PathBuf,
}
