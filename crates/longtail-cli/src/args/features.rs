//! Arguments of `longtail features`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use longtail_bank::{FeatureLayer, Precision};

use crate::args::{Format, OnDevice};

/// `longtail features`
#[derive(Debug, Subcommand)]
pub enum Features {
    /// Keep what a trained detector's classifier, or last hidden layer, sees of a data set, computed once
    Extract(FeaturesExtract),
    /// Make a bank of features from elsewhere: .npy, .npz or safetensors arrays
    Import(FeaturesImport),
    /// What a bank holds; with --check, whether every bit is as it was written
    #[command(after_help = "\
Example:
  longtail features info bank --check")]
    Info(FeaturesInfo),
}

/// How features are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrecisionChoice {
    /// Two bytes
    F16,
    /// Four bytes, exact
    F32,
    /// One byte, and a scale a row
    Int8,
}

impl From<PrecisionChoice> for Precision {
    fn from(choice: PrecisionChoice) -> Self {
        match choice {
            PrecisionChoice::F16 => Self::F16,
            PrecisionChoice::F32 => Self::F32,
            PrecisionChoice::Int8 => Self::Int8,
        }
    }
}

/// The layer whose inputs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LayerChoice {
    /// What the classifier sees: the classifier is trained
    Classifier,
    /// What the last hidden layer sees: that layer is trained too
    Hidden,
}

impl From<LayerChoice> for FeatureLayer {
    fn from(choice: LayerChoice) -> Self {
        match choice {
            LayerChoice::Classifier => Self::Classifier,
            LayerChoice::Hidden => Self::Hidden,
        }
    }
}

/// `longtail features extract`
#[derive(Debug, Args)]
#[command(after_help = "\
The bank has three parts: RoIs of the training images; `holdout`, proposals of training images kept \
apart for choosing among heads; `validation`, proposals of the validation images; and with \
--training-proposals a fourth. A kill costs the shard in the making: the same command goes on. With \
--layer hidden a head trained on the bank brings its own last hidden layer; boxes stay those of the \
detector.

Examples:
  longtail features extract runs/lvis/1 --out bank
  longtail features extract runs/lvis/1 --out bank --views 4 --scales 0.8 \\
      --precision int8
  longtail features extract runs/lvis/1 --out hidden-bank --layer hidden
  longtail features extract runs/lvis/1/checkpoints/representation.safetensors \\
      --data train.json --images images --out bank")]
pub struct FeaturesExtract {
    /// Run folder of a trained detector, or one of its checkpoints
    pub source: PathBuf,
    /// Folder of the bank
    #[arg(long)]
    pub out: PathBuf,
    /// Training annotations, instead of those of the run's recipe
    #[arg(long, requires = "images")]
    pub data: Option<PathBuf>,
    /// Folder of the training images
    #[arg(long, requires = "data")]
    pub images: Option<PathBuf>,
    /// Validation annotations
    #[arg(long, requires = "data")]
    pub validation_data: Option<PathBuf>,
    /// Folder of the validation images [default: the training images']
    #[arg(long, requires = "validation_data")]
    pub validation_images: Option<PathBuf>,
    /// Override a value of the run's recipe; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Stage whose detector is taken [default: the last that trains everything; of a repaired run the
    /// repaired detector]
    #[arg(long)]
    pub stage: Option<String>,
    /// The layer whose inputs are kept
    #[arg(long, value_enum, default_value_t = LayerChoice::Classifier)]
    pub layer: LayerChoice,
    /// Views of a training image: plain, mirrored, then both at each of --scales
    #[arg(long, default_value_t = 1)]
    pub views: usize,
    /// Sizes of further views over the recipe's size, separated by commas
    #[arg(long, value_delimiter = ',')]
    pub scales: Vec<f64>,
    /// How features are stored
    #[arg(long, value_enum, default_value_t = PrecisionChoice::F16)]
    pub precision: PrecisionChoice,
    /// Most background RoIs kept of an image view [default: twice the RoIs of a training step]
    #[arg(long)]
    pub background: Option<usize>,
    /// Share of the training images held out for choosing among heads
    #[arg(long, default_value_t = 0.1)]
    pub holdout: f64,
    /// Also keep proposals of the training images, on which `longtail tune` cross-validates
    #[arg(long)]
    pub training_proposals: bool,
    /// Also store the logits of stage 1, which `stage1.safetensors` gives too
    #[arg(long)]
    pub store_logits: bool,
    /// Seed of the held-out images and of the draws among background RoIs
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    pub device: OnDevice,
    /// Say what it would take and stop
    #[arg(long)]
    pub dry_run: bool,
}

/// Where background stands among labels and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BackgroundPlace {
    /// Label and column 0, classes from 1: torchvision
    First,
    /// Classes from 0, background after them: mmdetection, detectron2
    Last,
}

/// `longtail features import`
#[derive(Debug, Args)]
#[command(after_help = "\
Arrays are found by name; the array of a .npy file is named by the file. The names and shapes are

  features [R, D]             always
  labels [R]                  to train on; image_ids [R], ious [R], boxes [R, 4]
                              are optional
  regressed [R, 4]            proposals, or [R, C, 4]; with image_ids [R], and
                              boxes [R, 4] are optional
  classifier.weight [K, D]    the trained classifier, to start from
  classifier.bias [K]
  hidden.weight [H, D]        where features are the inputs of the last hidden
  hidden.bias [H]             layer; classifier.weight is [K, H] then

Proposals for a bank of hidden inputs need only --layer hidden. Labels and columns follow the \
categories of --classes in ascending order of their ids.

Examples:
  longtail features import train.npz --classes train.json --out bank
  longtail features import features.npy labels.npy image_ids.npy \\
      --classes train.json --background last --out bank
  longtail features import val.npz --proposals --classes train.json \\
      --truth val.json --protocol lvis --out bank/validation")]
pub struct FeaturesImport {
    /// Files of arrays: .npy, .npz, .safetensors
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Folder of the bank
    #[arg(long)]
    pub out: PathBuf,
    /// COCO or LVIS annotations of the training set: classes and their counts
    #[arg(long)]
    pub classes: PathBuf,
    /// Where background stands among labels and columns
    #[arg(long, value_enum, default_value_t = BackgroundPlace::First)]
    pub background: BackgroundPlace,
    /// The layer whose inputs `features` are [default: hidden with `hidden.weight`, else classifier]
    #[arg(long, value_enum)]
    pub layer: Option<LayerChoice>,
    /// The rows are test-time proposals
    #[arg(long)]
    pub proposals: bool,
    /// Annotations that detections of the proposals are scored against
    #[arg(long, requires = "proposals", requires = "protocol")]
    pub truth: Option<PathBuf>,
    /// Rules to score by: lvis or coco
    #[arg(long, requires = "truth")]
    pub protocol: Option<String>,
    /// Loss of the trained classifier
    #[arg(long, default_value = "softmax-cross-entropy")]
    pub classifier_loss: String,
    /// How features are stored
    #[arg(long, value_enum, default_value_t = PrecisionChoice::F16)]
    pub precision: PrecisionChoice,
    /// RoIs that a training step samples of an image
    #[arg(long, default_value_t = 512)]
    pub rois_per_image: usize,
    /// Largest share of foreground among them
    #[arg(long, default_value_t = 0.25)]
    pub positive_fraction: f64,
    /// Detections must score more than this
    #[arg(long, default_value_t = 0.0)]
    pub score_threshold: f32,
    /// IoU of the class-wise NMS
    #[arg(long, default_value_t = 0.5)]
    pub nms_iou: f32,
    /// Detections an image
    #[arg(long, default_value_t = 300)]
    pub max_detections: usize,
}

/// `longtail features info`
#[derive(Debug, Args)]
pub struct FeaturesInfo {
    /// Folder of the bank
    pub bank: PathBuf,
    /// Compare every shard with its checksum
    #[arg(long)]
    pub check: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}
