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
