//! Arguments of `longtail demo`.

use std::path::PathBuf;

use clap::Args;

use crate::args::{Format, OnDevice};

/// `longtail demo`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longtail demo                    the whole comparison, up to 10 minutes on 2 cores
  longtail demo --quick            a smaller world, under 2 minutes
  longtail demo --seed 1 --format json > seed-1.json")]
pub struct Demo {
    /// A smaller world and a shorter training, for a first look
    #[arg(long)]
    pub quick: bool,
    /// All steps of the recipe, however long they take here: what the published tables are made with
    #[arg(long, conflicts_with = "quick")]
    pub full: bool,
    /// Number of classes [default: the recipe's]
    #[arg(long)]
    pub classes: Option<usize>,
    /// Number of training images [default: the recipe's]
    #[arg(long)]
    pub images: Option<usize>,
    /// Side of the square images in pixels [default: the recipe's]
    #[arg(long)]
    pub image_size: Option<u32>,
    /// Seed of the world and of every random choice in training
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Run folder; the report is written there too [default: runs/demo/N]
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Go on with an interrupted demo in `--out`
    #[arg(long, requires = "out")]
    pub resume: bool,
    #[command(flatten)]
    pub device: OnDevice,
    /// Format of the table on standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Print the recipe that would run, and do nothing
    #[arg(long)]
    pub print_recipe: bool,
}
