//! Arguments of `longtail compare`.

use std::path::PathBuf;

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use longtail_eval::{Metric, Protocol};

use crate::args::Format;

/// `longtail compare`
#[derive(Debug, Args)]
#[command(after_help = "\
The first file is the baseline. Intervals hold 95 % of a paired bootstrap over images. Exit code 1 \
with --fail-if-worse if a detector is certainly worse: its difference is below 0 and the interval \
leaves out 0.

Examples:
  longtail compare softmax.json acsl.json --protocol lvis \\
      --ground-truth lvis_v1_val.json
  longtail compare main.json branch.json --protocol lvis \\
      --ground-truth lvis_v1_val.json --fail-if-worse APr")]
pub struct Compare {
    /// Files of detections, two or more
    #[arg(required = true, num_args = 2..)]
    pub detections: Vec<PathBuf>,
    /// Rules to score by: lvis, lvis-fixed or coco
    #[arg(long)]
    pub protocol: Protocol,
    /// COCO or LVIS annotation file
    #[arg(long)]
    pub ground_truth: PathBuf,
    /// Training annotations that decide which classes are rare, common or frequent
    #[arg(long, value_name = "TRAIN.json")]
    pub frequencies_from: Option<PathBuf>,
    /// Number of resamples
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(20..))]
    pub resamples: u64,
    /// Decides which images are drawn
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Classes to list at either end
    #[arg(long, default_value_t = 5)]
    pub classes: usize,
    /// Metrics that must not be worse, separated by commas: AP, APr, APc, APf
    #[arg(long, value_delimiter = ',', value_parser = resampled())]
    pub fail_if_worse: Vec<Metric>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// The metrics that a comparison resamples.
fn resampled() -> impl TypedValueParser<Value = Metric> {
    PossibleValuesParser::new(["AP", "APr", "APc", "APf"]).try_map(|name| name.parse::<Metric>())
}
