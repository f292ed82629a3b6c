//! Arguments of `longtail eval`.

use std::path::PathBuf;

use clap::Args;
use longtail_eval::{AreaRange, IouType, MaxDetections, Scoring, Shard};

use crate::args::Format;

/// `longtail eval`
#[derive(Debug, Args)]
#[command(after_help = "\
Detections may be a JSON list or JSON Lines of image_id, category_id, bbox [x, y, width, height] and \
score, as they are or compressed (.gz, .zst), or Parquet with columns image_id, category_id, x, y, \
w, h and score. For masks they have a segmentation, as COCO's results and ground truth. What the protocols and the numbers mean: docs/reference/evaluation.md.

Examples:
  longtail eval --protocol lvis --ground-truth lvis_v1_val.json \\
      --detections results.json.gz --format json
  longtail eval --protocol lvis-fixed --ground-truth lvis_v1_val.json \\
      --detections results.jsonl
  longtail eval --protocol lvis --ground-truth lvis_v1_val.json \\
      --detections results.json --errors --confusions --calibration
  longtail eval --protocol coco --ground-truth val.json \\
      --detections results.json --frequencies-from train.json --bins 10,100,1000
  longtail eval --protocol coco --ground-truth val.json \\
      --detections results.json --max-detections 1,10,500 \\
      --iou-thresholds 0.3,0.5,0.75 --areas all:0-1e10,tiny:0-256
  longtail eval --protocol coco --iou-type segm --ground-truth val.json \\
      --detections segmentations.json
  longtail eval --protocol lvis --ground-truth val.json \\
      --detections results.json --shard 1/2 --partial 1.safetensors
  longtail eval --merge 1.safetensors 2.safetensors
  longtail eval --protocol open-images \\
      --ground-truth validation-annotations-bbox.csv \\
      --image-labels validation-annotations-human-imagelabels.csv \\
      --detections predictions.csv --classes class-descriptions-boxable.csv \\
      --hierarchy bbox_labels_600_hierarchy.json --expand")]
pub struct Eval {
    /// Rules to score by: lvis, lvis-fixed, lvis-pooled, coco or open-images
    #[arg(long, required_unless_present = "merge", conflicts_with = "merge")]
    pub protocol: Option<Scoring>,
    /// What overlaps are measured of: bbox, segm (masks) or boundary (masks and their boundaries) [default:
    /// bbox]
    #[arg(long, value_name = "TYPE", conflicts_with = "merge")]
    pub iou_type: Option<IouType>,
    /// Width of the boundaries as a share of the image's diagonal; for --iou-type boundary [default: 0.02]
    #[arg(long, value_name = "RATIO", requires = "iou_type")]
    pub dilation_ratio: Option<f64>,
    /// Annotations in any format: a file, or a folder with one part; the open-images protocol: boxes CSV
    #[arg(long, required_unless_present = "merge", conflicts_with = "merge")]
    pub ground_truth: Option<PathBuf>,
    /// Detections; Open Images: CSV with ImageID, LabelName, Score, XMin, XMax, YMin and YMax
    #[arg(long, required_unless_present = "merge", conflicts_with = "merge")]
    pub detections: Option<PathBuf>,
    /// Score only the images of one part, to be joined by --merge; such as 1/4
    #[arg(long, value_name = "I/N", requires = "partial")]
    pub shard: Option<Shard>,
    /// File for the part's outcomes
    #[arg(long, value_name = "FILE", requires = "shard")]
    pub partial: Option<PathBuf>,
    /// Also say what is wrong with the detections and what each kind of error costs (TIDE), by frequency
    /// group
    #[arg(long, conflicts_with_all = ["merge", "shard"])]
    pub errors: bool,
    /// Also list the pairs of classes of which one claims the other's objects, those across frequency groups
    /// first
    #[arg(long, conflicts_with_all = ["merge", "shard"])]
    pub confusions: bool,
    /// Also compare scores with the share of detections that are right, by frequency group
    #[arg(long, conflicts_with = "shard")]
    pub calibration: bool,
    /// Also say precision, recall and F1 of every class at the score of its best F1, at IoU 0.5
    #[arg(long, conflicts_with = "shard")]
    pub operating_points: bool,
    /// The score of --operating-points beside the best, and of --confusion-matrix
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    pub at_score: Option<f64>,
    /// Also write precision, recall and F1 by score of every class, at IoU 0.5 (JSON)
    #[arg(long, value_name = "FILE", conflicts_with = "shard")]
    pub curves: Option<PathBuf>,
    /// Also write the confusion matrix of detections of at least --at-score, in boxes at IoU 0.5 (JSON)
    #[arg(long, value_name = "FILE", requires = "at_score", conflicts_with_all = ["merge", "shard"])]
    pub confusion_matrix: Option<PathBuf>,
    /// Also write the precision, recall and score arrays of the reference implementations (safetensors, f64)
    #[arg(long, value_name = "FILE", conflicts_with = "shard")]
    pub arrays: Option<PathBuf>,
    /// Also write tables of classes, detections and images into this folder (Parquet)
    #[arg(long, value_name = "FOLDER", conflicts_with = "shard")]
    pub tables: Option<PathBuf>,
    /// Join all parts of an evaluation, to the same bits as one run
    #[arg(long, num_args = 1.., value_name = "FILE")]
    pub merge: Vec<PathBuf>,
    /// Most detections; lvis: of an image, a number or none [default: 300]; coco: of an image and class, a number for each
    /// recall, the largest for everything else [default: 1,10,100]
    #[arg(long, value_name = "N,…|none", conflicts_with = "merge")]
    pub max_detections: Option<MaxDetections>,
    /// IoU thresholds from 0 to 1 [default: 0.5 to 0.95 in steps of 0.05]
    #[arg(long, value_name = "IOU,…", value_delimiter = ',', conflicts_with = "merge")]
    pub iou_thresholds: Vec<f64>,
    /// Recalls from 0 to 1, ascending, at which precision is read [default: 0 to 1 in steps of 0.01]
    #[arg(long, value_name = "RECALL,…", value_delimiter = ',', conflicts_with = "merge")]
    pub recall_thresholds: Vec<f64>,
    /// Area ranges in pixels², one named all [default: all:0-1e10,small:0-1024,medium:1024-9216,large:9216-1e10]
    #[arg(long, value_name = "NAME:LEAST-MOST,…", value_delimiter = ',', conflicts_with = "merge")]
    pub areas: Vec<AreaRange>,
    /// Score these images only, by id
    #[arg(long, value_name = "ID,…", value_delimiter = ',', conflicts_with = "merge")]
    pub images: Vec<i64>,
    /// Score these categories only, by id
    #[arg(long, value_name = "ID,…", value_delimiter = ',', conflicts_with = "merge")]
    pub categories: Vec<i64>,
    /// Match all categories as one; coco alone
    #[arg(long, conflicts_with = "merge")]
    pub class_agnostic: bool,
    /// Count matches of the annotation with id 0, which the reference implementations overlook
    #[arg(long, conflicts_with = "merge")]
    pub corrected_ids: bool,
    /// Training annotations (Open Images: boxes CSV): classes are rare, common or frequent by the images
    /// there, whatever the ground truth says
    #[arg(long, value_name = "TRAIN", conflicts_with = "merge")]
    pub frequencies_from: Option<PathBuf>,
    /// AP of classes with at most so many training images, such as 10,100,1000
    #[arg(long, value_delimiter = ',', requires = "frequencies_from")]
    pub bins: Vec<u64>,
    /// Open Images: image-level labels CSV; a class is scored only where it is labelled or has a box
    #[arg(long, value_name = "LABELS.csv")]
    pub image_labels: Option<PathBuf>,
    /// Open Images: class descriptions CSV or labelmap.pbtxt; other labels are then errors
    #[arg(long, value_name = "FILE")]
    pub classes: Option<PathBuf>,
    /// Open Images: tree of classes, JSON
    #[arg(long, value_name = "TREE.json", requires = "expand")]
    pub hierarchy: Option<PathBuf>,
    /// Open Images: repeat boxes and labels by the hierarchy before scoring; published files need it,
    /// expanded ones must not have it
    #[arg(long, requires = "hierarchy")]
    pub expand: bool,
    /// Open Images: what a box around a group counts: 1 as in the challenge, or 0 to only absorb predictions
    /// [default: 1]
    #[arg(long, value_name = "0|1", value_parser = clap::value_parser!(u8).range(..=1))]
    pub group_of_weight: Option<u8>,
    /// Say on standard error how long each phase took
    #[arg(long)]
    pub timings: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}
