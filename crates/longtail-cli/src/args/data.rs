//! Arguments of `longtail data`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::data_sets::{DataConvert, DataConvertDetections, DataFilter, DataMerge, DataSplit, DataSubset};
use crate::args::Format;

/// `longtail data`
#[derive(Debug, Subcommand)]
pub enum Data {
    /// Count images, boxes and classes; show how long the tail is
    #[command(after_help = "\
Examples:
  longtail data stats lvis_v1_train.json
  longtail data stats train.json --html train.html
  longtail data stats coco/data.yaml --part val")]
    Stats(DataStats),
    /// List everything that is wrong with a data set; exit code 1 if there is an error
    #[command(after_help = "\
Examples:
  longtail data check instances_train.json --images train2017
  longtail data check train.json --images train --against val.json \\
      --against-images val")]
    Check(DataCheck),
    /// Repeat Open Images boxes and labels for the classes that they imply, before evaluation
    #[command(after_help = "\
Boxes, and labels with confidence 1, are repeated for every ancestor; labels with confidence 0 for \
every descendant. All columns are kept. Expand published files, once: expanding again repeats the \
copies. Predictions are not expanded; they must contain the ancestors, because the detector was \
trained on them (`labels = \"expanded\"` in a recipe) or by `longtail data convert-detections \
--expand`.

Example:
  longtail data expand-hierarchy --hierarchy bbox_labels_600_hierarchy.json \\
      validation-annotations-bbox.csv expanded.csv")]
    ExpandHierarchy(DataExpandHierarchy),
    /// Write a data set in another format, and tell what that format cannot hold
    #[command(after_help = "\
Formats: coco and lvis (JSON), yolo (data.yaml and label files), voc (XML files), open-images (CSV \
tables), csv (one table). They are recognised by what lies at the path. Polygons, RLE and fields \
that longtail does not know are carried where the target has a place for them; everything that is \
left out is listed.

Examples:
  longtail data convert coco/data.yaml train.json --part train
  longtail data convert instances_val.json voc --to voc --as-part val \\
      --images val2017 --place-images link
  longtail data convert train-annotations-bbox.csv train.json --to lvis \\
      --images train --labels expanded")]
    Convert(DataConvert),
    /// Join data sets: classes by name, ids renumbered where they clash
    #[command(after_help = "\
Examples:
  longtail data merge a.json b.json --out both.json --duplicates prefix
  longtail data merge animals.json tools.json --out both.json --federated")]
    Merge(DataMerge),
    /// Split a data set into parts, every class in its share, groups of images together
    #[command(after_help = "\
Iterative stratification: the rarest class is given out first. A class in fewer groups of images \
than there are parts cannot come into all of them; such classes are listed.

Examples:
  longtail data split lvis.json parts --every-class
  longtail data split frames.json parts --shares train=0.7,val=0.15,test=0.15 \\
      --group-by '^(video[0-9]+)_'
  longtail data split set.json yolo --to yolo --images images \\
      --place-images link --group-file groups.csv")]
    Split(DataSplit),
    /// Cut a data set down: to classes, to a number of images, to a long tail, or to given counts
    #[command(after_help = "\
Images are taken out one at a time, each time the one that brings the class counts closest to what \
was asked. Boxes are never taken from an image that stays.

Examples:
  longtail data subset coco.json coco_lt.json --long-tail 100
  longtail data subset coco.json small.json --images-left 5000
  longtail data subset coco.json cats.json --classes cat,dog
  longtail data subset coco.json chosen.json --counts counts.csv")]
    Subset(DataSubset),
    /// Write detections in another format: COCO/LVIS JSON, Open Images CSV, or YOLO text files
    #[command(after_help = "\
Other formats name images and classes, and give places relative to the image: the ground truth knows \
both.

Examples:
  longtail data convert-detections runs/detect/predict/labels results.json \\
      --ground-truth val.json
  longtail data convert-detections results.json submission.csv \\
      --ground-truth validation-annotations-bbox.csv --images val
  longtail data convert-detections results.json submission.csv \\
      --ground-truth validation-annotations-bbox.csv --images val \\
      --hierarchy bbox_labels_600_hierarchy.json --expand")]
    ConvertDetections(DataConvertDetections),
    /// Leave out boxes by size, shape or class, and images without boxes
    #[command(after_help = "\
Example:
  longtail data filter train.json large.json --min-side 8 --max-aspect 10 \\
      --as-crowd --no-empty-images")]
    Filter(DataFilter),
}

/// `longtail data stats`
#[derive(Debug, Args)]
pub struct DataStats {
    /// Annotations in any format: a file, or a folder
    pub annotations: PathBuf,
    /// Part of a folder that has several: train, val, …, or all
    #[arg(long)]
    pub part: Option<String>,
    /// Image folder; given, missing images are counted
    #[arg(long)]
    pub images: Option<PathBuf>,
    /// Neither read nor write an index of a large annotation file (see docs/how-to/own-data.md)
    #[arg(long)]
    pub no_index: bool,
    /// Write a page with plots to this file: one file that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `longtail data check`
#[derive(Debug, Args)]
pub struct DataCheck {
    /// Annotations in any format: a file, or a folder
    pub annotations: PathBuf,
    /// Part of a folder that has several: train, val, …, or all
    #[arg(long)]
    pub part: Option<String>,
    /// Image folder; given, every image is decoded, measured and compared with the others
    #[arg(long)]
    pub images: Option<PathBuf>,
    /// Another annotation file of the same classes, as the validation set of this training set: classes are
    /// compared
    #[arg(long)]
    pub against: Option<PathBuf>,
    /// Part of the other, where it has several
    #[arg(long, value_name = "PART", requires = "against")]
    pub against_part: Option<String>,
    /// Image folder of the other file: pictures in both are found
    #[arg(long, requires = "against", requires = "images")]
    pub against_images: Option<PathBuf>,
    /// Neither read nor write an index of a large annotation file (see docs/how-to/own-data.md)
    #[arg(long)]
    pub no_index: bool,
    /// Write a repaired copy to this file and list every change; what is not repaired keeps its bytes
    #[arg(long, value_name = "FILE")]
    pub fix: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `longtail data expand-hierarchy`
#[derive(Debug, Args)]
pub struct DataExpandHierarchy {
    /// Boxes CSV or image-level labels CSV
    pub input: PathBuf,
    /// CSV to write
    pub output: PathBuf,
    /// Tree of classes, JSON
    #[arg(long)]
    pub hierarchy: PathBuf,
}
