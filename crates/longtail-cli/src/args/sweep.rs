//! Arguments of `longtail sweep`.

use std::path::PathBuf;

use clap::Args;

use crate::args::{Format, OnDevice};

/// `longtail sweep`
#[derive(Debug, Args)]
#[command(after_help = "\
The last classifier of the recipe's last stage is the one that varies; softmax trained for the same \
steps is added. All values start from the same stage-1 weights and see the same batches.

Examples:
  longtail sweep configs/demo.toml \\
      --vary loss.threshold=0.01,0.1,0.3,0.5,0.7,0.9 --seeds 0,1,2
  longtail sweep configs/demo.toml --from runs/demo/1 \\
      --vary 'loss.cuts=[[5],[50],[500]]' \\
      --set 'stages.1.classifiers=[{ name = \"BAGS\", loss = { kind = \"bags\" } }]'

Heads on a feature bank are swept by `longtail head sweep`.")]
pub struct Sweep {
    /// Recipe file (TOML)
    pub recipe: PathBuf,
    /// Setting of the classifier and its values, separated by commas; without it the classifiers are the
    /// recipe's
    #[arg(long, value_name = "KEY=V1,V2,…")]
    pub vary: Option<String>,
    /// Override a value of the recipe; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Seeds, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "0")]
    pub seeds: Vec<u64>,
    /// Finished runs to take the stages before the last from, one a seed, separated by commas; their recipes
    /// must agree
    #[arg(long, value_delimiter = ',')]
    pub from: Vec<PathBuf>,
    /// Folder with a run for each seed [default: runs/RECIPE-sweep]
    #[arg(long)]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub device: OnDevice,
    /// Format of the table on standard output
    #[arg(long, default_value = "text")]
    pub format: Format,
}
