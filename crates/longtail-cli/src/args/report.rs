//! Arguments of `longtail report`.

use std::path::PathBuf;

use clap::Args;

use crate::args::Format;

/// `longtail report`
#[derive(Debug, Args)]
#[command(after_help = "\
Several runs give mean ± standard deviation over seeds.

Examples:
  longtail report runs/demo/1
  longtail report runs/demo/1 runs/demo/2 runs/demo/3 --format markdown
  longtail report runs/demo/1 runs/demo/2 runs/demo/3 --intervals")]
pub struct Report {
    /// Run folders; several give a table of mean ± standard deviation instead of a page
    #[arg(required = true)]
    pub runs: Vec<PathBuf>,
    /// Instead of the table: every classifier's difference to the baseline with its 95 % interval (1,000
    /// resamples of the validation images), fixed AP, and false positives an image
    #[arg(long, conflicts_with = "out")]
    pub intervals: bool,
    /// Report file [default: report.html in the run folder]
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Format of the table on standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}
