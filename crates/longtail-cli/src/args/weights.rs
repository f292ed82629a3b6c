//! Arguments of `longtail weights`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use longtail_weights::Naming;

use crate::args::Format;

/// `longtail weights`
#[derive(Debug, Subcommand)]
pub enum Weights {
    /// List what a file holds, without executing anything in it
    #[command(after_help = "\
Reads safetensors, .pth and .pt of torch (old and new), detectron2's .pkl, and a wheel around one of \
these. Of a pickle only tensors and plain containers are read; other objects are skipped and listed, \
and one that reaches outside of the file is refused by name.

Example:
  longtail weights inspect fasterrcnn_resnet50_fpn_coco-258fb6c6.pth")]
    Inspect(WeightsInspect),
    /// Turn a file into a checkpoint that predicts and that training can start from
    #[command(after_help = "\
Examples:
  longtail weights import fasterrcnn_resnet50_fpn_coco-258fb6c6.pth \\
      --classes instances_val2017.json --out coco.safetensors
  longtail weights import resnet50-0676ba61.pth --out resnet50.safetensors
  longtail weights import model_final_280758.pkl --out detectron2.safetensors
  longtail weights import caffe.pth --bgr --set detector.backbone.style=caffe \\
      --set transform.std=[1,1,1] --out caffe.safetensors
  longtail predict coco.safetensors photo.jpg
  longtail train recipe.toml --set weights=resnet50.safetensors")]
    Import(WeightsImport),
    /// Write a trained detector under the names of torchvision or mmdetection
    #[command(after_help = "\
Example:
  longtail weights export runs/lvis/1 --naming torchvision \\
      --out lvis.safetensors")]
    Export(WeightsExport),
}

/// `longtail weights inspect`
#[derive(Debug, Args)]
pub struct WeightsInspect {
    /// The file
    pub file: PathBuf,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `longtail weights import`
#[derive(Debug, Args)]
pub struct WeightsImport {
    /// The file
    pub file: PathBuf,
    /// Checkpoint to write
    #[arg(long)]
    pub out: PathBuf,
    /// Names of the tensors [default: found out]
    #[arg(long, value_enum)]
    pub naming: Option<NamingChoice>,
    /// Classes it was trained on: an annotation file, or a name a line
    #[arg(long, value_name = "FILE")]
    pub classes: Option<PathBuf>,
    /// The first convolution is on blue, green, red (detectron2's always is)
    #[arg(long)]
    pub bgr: bool,
    /// A setting that no shape tells, below detector, transform or test; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Output format of the table of tensors
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `longtail weights export`
#[derive(Debug, Args)]
pub struct WeightsExport {
    /// Run folder, or a file written by `weights import`
    pub source: PathBuf,
    /// Names of the tensors
    #[arg(long, value_enum)]
    pub naming: NamingChoice,
    /// Safetensors file to write
    #[arg(long)]
    pub out: PathBuf,
    /// Which classifier of the run [default: the last trained]
    #[arg(long)]
    pub classifier: Option<String>,
    /// Output format of the table of tensors
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// Naming conventions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NamingChoice {
    /// A classification ResNet of torchvision
    TorchvisionResnet,
    /// torchvision's fasterrcnn_resnet50_fpn (v1)
    Torchvision,
    /// mmdetection 1.x
    Mmdetection1,
    /// mmdetection 2.x and 3.x
    Mmdetection,
    /// detectron2
    Detectron2,
    /// efficientnet_lite_pytorch
    EfficientnetLite,
}

impl From<NamingChoice> for Naming {
    fn from(choice: NamingChoice) -> Self {
        match choice {
            NamingChoice::TorchvisionResnet => Self::TorchvisionResnet,
            NamingChoice::Torchvision => Self::Torchvision,
            NamingChoice::Mmdetection1 => Self::Mmdetection1,
            NamingChoice::Mmdetection => Self::Mmdetection,
            NamingChoice::Detectron2 => Self::Detectron2,
            NamingChoice::EfficientnetLite => Self::EfficientnetLite,
        }
    }
}
