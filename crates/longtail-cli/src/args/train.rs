//! Arguments of `longtail train`.

use std::path::PathBuf;

use clap::Args;

use crate::args::OnDevice;

/// `longtail train`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longtail train configs/lvis.toml
  longtail train configs/lvis.toml \\
      --set stages.0.optimizer.learning_rate=0.005 --set seed=1
  longtail train configs/lvis.toml --out runs/lvis/1 --resume")]
pub struct Train {
    /// Recipe file (TOML)
    pub recipe: PathBuf,
    /// Override a value of the recipe; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Run folder [default: runs/RECIPE/N]
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Go on from the last checkpoint in `--out`, to the same bits
    #[arg(long, requires = "out")]
    pub resume: bool,
    #[command(flatten)]
    pub device: OnDevice,
}
