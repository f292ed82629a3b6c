//! Arguments of `longtail head`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use longtail_eval::Metric;

use crate::args::{Format, OnDevice};

/// `longtail head`
#[derive(Debug, Subcommand)]
pub enum Head {
    /// Train a classifier on a feature bank, with the last hidden layer on a bank of its inputs
    Train(HeadTrain),
    /// Score a head on stored proposals, without images
    #[command(after_help = "\
Example:
  longtail head eval bank/heads/acsl.safetensors bank/validation")]
    Eval(HeadEval),
    /// Train heads with every combination of settings, in parallel, and choose by held-out training images
    Sweep(HeadSweep),
    /// Put a head back into its detector, or write the classifier for another framework
    Apply(HeadApply),
}

/// `longtail head train`
#[derive(Debug, Args)]
#[command(after_help = "\
Every setting has a key for --set: loss.threshold, batch={ images = 16 } or { rois = 8192 }, \
sampler={ kind = \"repeat-factor\", threshold = 0.001 }, optimizer.momentum, schedule.milestones, \
classifier={ kind = \"cosine\" }, optimizer={ kind = \"lbfgs\" }, from_stage1, window_mib, and on a \
bank of `features extract --layer hidden`: hidden={ kind = \"trained\", learning_rate_factor = 0.1 } \
(factor 1 by default) or { kind = \"frozen\" }. A kill costs half a minute: the same command goes \
on.

Examples:
  longtail head train bank --loss acsl
  longtail head train bank --loss acsl --epochs 12 --set loss.threshold=0.5 \\
      --out acsl-0.5.safetensors
  longtail head train bank --loss softmax-cross-entropy \\
      --set 'optimizer={ kind = \"lbfgs\" }'
  longtail head train hidden-bank --loss acsl \\
      --set 'hidden={ kind = \"trained\", learning_rate_factor = 0.1 }'")]
pub struct HeadTrain {
    /// Folder of the bank
    pub bank: PathBuf,
    /// Loss by its kind; see `longtail explain loss`
    #[arg(long, required_unless_present = "recipe")]
    pub loss: Option<String>,
    /// Recipe file (TOML) with these settings
    #[arg(long)]
    pub recipe: Option<PathBuf>,
    /// Override a value; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Passes over the bank's images
    #[arg(long, conflicts_with = "iterations")]
    pub epochs: Option<f64>,
    /// Optimizer steps
    #[arg(long)]
    pub iterations: Option<u64>,
    /// Images of a step
    #[arg(long)]
    pub batch_size: Option<usize>,
    /// Learning rate after the warm-up
    #[arg(long)]
    pub learning_rate: Option<f64>,
    /// Seed of order and draws
    #[arg(long)]
    pub seed: Option<u64>,
    /// File of the head [default: BANK/heads/LOSS.safetensors]
    #[arg(long)]
    pub out: Option<PathBuf>,
}

/// `longtail head eval`
#[derive(Debug, Args)]
pub struct HeadEval {
    /// File of a head; `stage1.safetensors` of a bank is the detector's own
    pub head: PathBuf,
    /// Bank of proposals
    pub bank: PathBuf,
    /// Also write the detections
    #[arg(long)]
    pub detections: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `longtail head sweep`
#[derive(Debug, Args)]
#[command(after_help = "\
Every combination of the varied values is trained, in parallel on the cores; settings are those of \
`longtail head train`. The head that is kept is chosen by the held-out training images, never by the \
validation images. Heads that are finished are read when the same command is given again.

Examples:
  longtail head sweep bank --vary loss.threshold=0.5,0.7,0.9 \\
      --vary loss.background=balanced,frequency-sampled --seeds 0,1,2
  longtail head sweep bank --vary loss=softmax-cross-entropy,acsl,bags,seesaw \\
      --vary learning_rate=0.02,0.05 --set length.epochs=12")]
pub struct HeadSweep {
    /// Folder of the bank
    pub bank: PathBuf,
    /// Setting and its values, separated by commas; may be repeated
    #[arg(long, value_name = "KEY=V1,V2,…")]
    pub vary: Vec<String>,
    /// Override a value of all heads; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Seeds, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "0")]
    pub seeds: Vec<u64>,
    /// The metric on the held-out images that chooses the head
    #[arg(long, default_value = "AP")]
    pub metric: Metric,
    /// Folder of the heads [default: BANK/sweep]
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Format of the table on standard output
    #[arg(long, default_value = "text")]
    pub format: Format,
}

/// Whose names and order of columns a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Framework {
    /// roi_heads.box_predictor.cls_score, background first
    Torchvision,
    /// roi_head.bbox_head.fc_cls, background last
    Mmdetection,
    /// roi_heads.box_predictor.cls_score, background last
    Detectron2,
}

/// `longtail head apply`
#[derive(Debug, Args)]
#[command(after_help = "\
A head that brings its own last hidden layer makes a run with \
`detector.roi_head.separate_regression`, in which boxes keep the detector's; other frameworks have \
no such layer, so --to refuses it.

Examples:
  longtail head apply acsl.safetensors --run runs/lvis/1 \\
      --out runs/lvis-repaired/1
  longtail head apply acsl.safetensors --to torchvision \\
      --out cls_score.safetensors")]
pub struct HeadApply {
    /// File of a head
    pub head: PathBuf,
    /// Run folder, or checkpoint, of the detector that the bank was made from
    #[arg(long, required_unless_present = "to", conflicts_with = "to")]
    pub run: Option<PathBuf>,
    /// Write the classifier alone, for this framework
    #[arg(long, value_enum)]
    pub to: Option<Framework>,
    /// Run folder to make, or file to write
    #[arg(long)]
    pub out: PathBuf,
    /// Also run the repaired detector over the validation images
    #[arg(long, requires = "run")]
    pub evaluate: bool,
    #[command(flatten)]
    pub device: OnDevice,
}
