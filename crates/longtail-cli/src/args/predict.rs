//! Arguments of `longtail predict`.

use std::path::PathBuf;

use clap::Args;

use crate::args::OnDevice;

/// `longtail predict`
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  longtail predict runs/lvis/1 photo.jpg --classifier ACSL --out predictions")]
pub struct Predict {
    /// Run folder of the trained detector, or a file written by `longtail weights import`
    pub run: PathBuf,
    /// Images
    #[arg(required = true)]
    pub images: Vec<PathBuf>,
    /// Which classifier of the run to use [default: the last trained]
    #[arg(long)]
    pub classifier: Option<String>,
    /// Draw boxes with at least this score (evaluation uses its own threshold)
    #[arg(long, default_value_t = 0.5)]
    pub score_threshold: f32,
    /// Draw at most so many boxes an image
    #[arg(long, default_value_t = 100)]
    pub max_boxes: usize,
    #[command(flatten)]
    pub device: OnDevice,
    /// Folder for the drawn copies and `detections.json`
    #[arg(long, default_value = "predictions")]
    pub out: PathBuf,
}
