//! Arguments of the commands that make data sets from data sets.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use longtail_eval::ResultsFormat;
use longtail_formats::{BoxLayout, DataFormat, OpenImagesLabels, PixelOrigin};

use crate::args::Format;

/// How data sets are read.
#[derive(Debug, Args)]
pub struct Reading {
    /// Format of the input, where it is not recognised
    #[arg(long, value_name = "FORMAT")]
    pub from: Option<DataFormat>,
    /// Part of an input that has several: train, val, …, or all
    #[arg(long)]
    pub part: Option<String>,
    /// Image folder, where sizes have to be measured or images placed [default: where the format has them]
    #[arg(long, value_name = "FOLDER")]
    pub images: Option<PathBuf>,
    /// First pixel of VOC boxes, read and written: 1 as in the VOC devkit, 0 as many tools have it
    #[arg(long, value_name = "0|1", default_value = "1", value_parser = origin)]
    pub voc_origin: PixelOrigin,
    /// What the four numbers of a box are, where the file has them otherwise than its format says
    #[arg(long, default_value = "sizes", value_name = "sizes|corners|centres|swapped|relative")]
    pub boxes: BoxLayout,
    /// Classes of Open Images boxes: plain (as given), expanded to the classes above, or only the leaf-most
    #[arg(long, default_value = "plain", value_name = "plain|expanded|leaf")]
    pub labels: OpenImagesLabels,
}

/// How data sets are written.
#[derive(Debug, Args)]
pub struct Writing {
    /// Format of the output [default: by the ending, .json as the input's layout]
    #[arg(long, value_name = "FORMAT")]
    pub to: Option<DataFormat>,
    /// Put the images into the output's folder too
    #[arg(long, value_enum)]
    pub place_images: Option<Place>,
    /// Overwrite an output file that exists
    #[arg(long)]
    pub force: bool,
    /// Output format of the report
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// How images are placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Place {
    /// As copies
    Copy,
    /// As symbolic links
    Link,
}

/// `longtail data convert`
#[derive(Debug, Args)]
pub struct DataConvert {
    /// Data set to read
    pub input: PathBuf,
    /// File or folder to write
    pub output: PathBuf,
    /// Name of the part to write, in formats with parts [default: --part, else train]
    #[arg(long, value_name = "NAME")]
    pub as_part: Option<String>,
    #[command(flatten)]
    pub reading: Reading,
    #[command(flatten)]
    pub writing: Writing,
}

/// `longtail data convert-detections`
#[derive(Debug, Args)]
pub struct DataConvertDetections {
    /// Detections to read: a JSON list, a CSV, or a folder of text files
    pub input: PathBuf,
    /// File or folder to write
    pub output: PathBuf,
    /// The data set that they belong to, in any format
    #[arg(long)]
    pub ground_truth: PathBuf,
    /// Format of the input: coco, lvis, open-images or yolo [default: as the path says]
    #[arg(long, value_name = "FORMAT")]
    pub from: Option<ResultsFormat>,
    /// Format of the output [default: .json, .csv, or else a folder of text files]
    #[arg(long, value_name = "FORMAT")]
    pub to: Option<ResultsFormat>,
    /// Part of a ground truth that has several
    #[arg(long)]
    pub part: Option<String>,
    /// Image folder, where sizes have to be measured
    #[arg(long, value_name = "FOLDER")]
    pub images: Option<PathBuf>,
    /// Open Images: tree of classes, JSON
    #[arg(long, value_name = "TREE.json", requires = "expand")]
    pub hierarchy: Option<PathBuf>,
    /// Open Images: repeat each detection for the classes above its own; of those at one place the best score
    /// stays
    #[arg(long, requires = "hierarchy")]
    pub expand: bool,
}

/// `longtail data merge`
#[derive(Debug, Args)]
pub struct DataMerge {
    /// Data sets to join
    #[arg(required = true, num_args = 2..)]
    pub inputs: Vec<PathBuf>,
    /// File or folder to write
    #[arg(long, short)]
    pub out: PathBuf,
    /// Images of one name in several sets: refuse them, join them as one image, or prefix names with the
    /// set's
    #[arg(long, value_enum, default_value_t = Duplicated::Refuse)]
    pub duplicates: Duplicated,
    /// Say that images are annotated with the classes of their own set only (LVIS layout)
    #[arg(long)]
    pub federated: bool,
    #[command(flatten)]
    pub reading: Reading,
    #[command(flatten)]
    pub writing: Writing,
}

/// Images of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Duplicated {
    /// An error
    Refuse,
    /// One image with the boxes of all
    Join,
    /// Different images: names get the set's name as a folder
    Prefix,
}

/// `longtail data split`
#[derive(Debug, Args)]
pub struct DataSplit {
    /// Data set to split
    pub input: PathBuf,
    /// Folder for the parts
    pub output: PathBuf,
    /// Parts with their shares of the images, which sum to 1
    #[arg(long, value_delimiter = ',', default_value = "train=0.8,val=0.2", value_parser = share)]
    pub shares: Vec<(String, f64)>,
    /// A class in enough groups of images comes into every part, however small the part's share
    #[arg(long)]
    pub every_class: bool,
    /// Keep images together whose file names match a regular expression alike (its first group, or all of it)
    #[arg(long, value_name = "REGEX", group = "grouping")]
    pub group_by: Option<String>,
    /// Keep images together that have the same value of a field, such as video_id
    #[arg(long, value_name = "FIELD", group = "grouping")]
    pub group_field: Option<String>,
    /// Keep images together by a table with the columns file_name and group
    #[arg(long, value_name = "FILE.csv", group = "grouping")]
    pub group_file: Option<PathBuf>,
    /// Keep images together that look the same or nearly; needs the images (--images)
    #[arg(long, group = "grouping")]
    pub group_near_duplicates: bool,
    /// Random choices between equals
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    pub reading: Reading,
    #[command(flatten)]
    pub writing: Writing,
}

/// `longtail data subset`
#[derive(Debug, Args)]
#[group(id = "selection", required = true, multiple = false, args = ["classes", "images_left", "long_tail", "counts"])]
pub struct DataSubset {
    /// Data set to cut down
    pub input: PathBuf,
    /// File or folder to write
    pub output: PathBuf,
    /// Keep only these classes, and images with them
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub classes: Vec<String>,
    /// Keep so many images, with every class in its share
    #[arg(long, value_name = "N")]
    pub images_left: Option<usize>,
    /// Let counts fall exponentially from the largest class to the smallest, by this ratio
    #[arg(long, value_name = "RATIO")]
    pub long_tail: Option<f64>,
    /// Count of the largest class [default: what it has]
    #[arg(long, value_name = "N", requires = "long_tail")]
    pub largest: Option<u64>,
    /// Counts of classes: a table with the columns class and count
    #[arg(long, value_name = "FILE.csv")]
    pub counts: Option<PathBuf>,
    /// What counts: boxes, or images with the class
    #[arg(long, value_enum, default_value_t = Unit::Boxes)]
    pub unit: Unit,
    /// Random choices between equals
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Name of the part to write, in formats with parts [default: --part, else train]
    #[arg(long, value_name = "NAME")]
    pub as_part: Option<String>,
    #[command(flatten)]
    pub reading: Reading,
    #[command(flatten)]
    pub writing: Writing,
}

/// What is counted of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Unit {
    /// Boxes, without crowds
    Boxes,
    /// Images with at least one
    Images,
}

/// `longtail data filter`
#[derive(Debug, Args)]
pub struct DataFilter {
    /// Data set to filter
    pub input: PathBuf,
    /// File or folder to write
    pub output: PathBuf,
    /// Least width and height of a box, in pixels
    #[arg(long, value_name = "PIXELS")]
    pub min_side: Option<f64>,
    /// Most width and height
    #[arg(long, value_name = "PIXELS")]
    pub max_side: Option<f64>,
    /// Least width × height
    #[arg(long, value_name = "PIXELS")]
    pub min_area: Option<f64>,
    /// Most width × height
    #[arg(long, value_name = "PIXELS")]
    pub max_area: Option<f64>,
    /// Most of the longer side over the shorter
    #[arg(long, value_name = "RATIO")]
    pub max_aspect: Option<f64>,
    /// Only these classes
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub classes: Option<Vec<String>>,
    /// None of these classes
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub except_classes: Vec<String>,
    /// No crowd boxes
    #[arg(long, conflicts_with = "as_crowd")]
    pub no_crowd: bool,
    /// Turn boxes that are too small, large or long into crowd boxes, which are neither trained on nor scored
    #[arg(long)]
    pub as_crowd: bool,
    /// No images without boxes
    #[arg(long)]
    pub no_empty_images: bool,
    /// Name of the part to write, in formats with parts [default: --part, else train]
    #[arg(long, value_name = "NAME")]
    pub as_part: Option<String>,
    #[command(flatten)]
    pub reading: Reading,
    #[command(flatten)]
    pub writing: Writing,
}

fn origin(text: &str) -> Result<PixelOrigin, String> {
    match text {
        "0" => Ok(PixelOrigin::Zero),
        "1" => Ok(PixelOrigin::One),
        _ => Err("choose 0 or 1".into()),
    }
}

fn share(text: &str) -> Result<(String, f64), String> {
    let parsed = text.split_once('=').and_then(|(name, share)| Some((name.to_owned(), share.parse().ok()?)));
    match parsed {
        Some((name, share)) if !name.is_empty() && !name.contains(['/', '\\', '.']) => Ok((name, share)),
        _ => Err("give a name and a share, such as train=0.8".into()),
    }
}
