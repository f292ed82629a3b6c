//! Annotation files, one format a module; which one a path is; and one way to open and to write them all.
//!
//! | module | format |
//! | --- | --- |
//! | `coco` | COCO, LVIS v0.5 and LVIS v1 JSON |
//! | `yolo` | `data.yaml` with folders of labels |
//! | `voc` | Pascal VOC XML |
//! | `open_images` | Open Images' tables, joined |
//! | `csv` | a plain table |
//! | `parts` | train, val, test of a data set |
//! | `image_files`, `text` | files below a folder, image sizes; encodings and numbers |
//! | `losses`, `place` | what a target cannot hold; image files put into folders |

mod coco;
mod csv;
mod detect;
mod image_files;
mod losses;
mod open_images;
mod parts;
mod place;
mod text;
mod voc;
mod yolo;

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[doc(hidden)]
pub use self::coco::blocks_agree_with_serde;
pub use self::{
    coco::{annotations_to_json, read_annotations, set_frequencies, to_lvis, write_annotations},
    open_images::OpenImagesTables,
    place::Placement,
    text::read_text,
};
use crate::{
    document::{Document, Losses},
    error::FormatError,
    index::{IndexPlace, read_indexed},
};
use longtail_annotations::{AnnotationSet, Layout};

/// A format of annotation files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataFormat {
    /// COCO JSON.
    Coco,
    /// LVIS v0.5 and v1 JSON.
    Lvis,
    /// `data.yaml`, images and label files.
    Yolo,
    /// Pascal VOC XML.
    Voc,
    /// Open Images' CSV tables.
    OpenImages,
    /// A plain table.
    Csv,
}

impl DataFormat {
    /// Every format.
    pub const ALL: [Self; 6] = [Self::Coco, Self::Lvis, Self::Yolo, Self::Voc, Self::OpenImages, Self::Csv];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Coco => "coco",
            Self::Lvis => "lvis",
            Self::Yolo => "yolo",
            Self::Voc => "voc",
            Self::OpenImages => "open-images",
            Self::Csv => "csv",
        }
    }

    /// Whether a data set of the format is a folder.
    pub fn is_folder(self) -> bool {
        matches!(self, Self::Yolo | Self::Voc | Self::OpenImages)
    }

    /// The format of a path by what lies there: ending and first lines of a file, contents of a folder. COCO and LVIS
    /// JSON are both `Coco`; what the file says tells them apart.
    ///
    /// # Errors
    /// If nothing lies there, or nothing that is known.
    pub fn detect(path: &Path) -> Result<Self, FormatError> {
        detect::detect(path)
    }

    /// The format to write to a path, by its ending; `None` where the ending says nothing.
    pub fn of_target(path: &Path, layout: Layout) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "json" if layout == Layout::Lvis => Some(Self::Lvis),
            "json" => Some(Self::Coco),
            "csv" => Some(Self::Csv),
            "yaml" | "yml" => Some(Self::Yolo),
            _ => None,
        }
    }
}

impl fmt::Display for DataFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DataFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| format!("`{text}` is no format; choose one of {}", names()))
    }
}

/// Where the pixels of VOC files start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum PixelOrigin {
    /// From 0, as many tools write them: `xmax` is the edge.
    Zero,
    /// From 1, as the VOC devkit has them: `xmax` is the last pixel.
    #[default]
    One,
}

/// Which boxes of Open Images are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OpenImagesLabels {
    /// As the table has them; published tables have the most specific class of each box.
    #[default]
    Plain,
    /// Each also as every class above its own, as the challenge scores them.
    Expanded,
    /// Only the most specific class of each box, where a table was expanded before.
    Leaf,
}

impl OpenImagesLabels {
    /// Which boxes detections are scored against where these are trained on: the challenge scores every class that a box
    /// implies, but tables that are taken as they are stay so.
    pub fn of_truth(self) -> Self {
        match self {
            Self::Plain => Self::Plain,
            Self::Expanded | Self::Leaf => Self::Expanded,
        }
    }
}

impl FromStr for OpenImagesLabels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "plain" => Ok(Self::Plain),
            "expanded" => Ok(Self::Expanded),
            "leaf" => Ok(Self::Leaf),
            _ => Err(format!("`{text}` is no choice of labels; choose plain, expanded or leaf")),
        }
    }
}

/// How a data set is opened. The default finds everything out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReadOptions {
    /// The format; none: as [`DataFormat::detect`] says.
    pub format: Option<DataFormat>,
    /// Which part of a data set that has several: `train`, `val`, …, or `all`. Files with one part ignore it.
    pub part: Option<String>,
    /// Folder of the images, where sizes have to be measured; none: where the format has them.
    pub images: Option<PathBuf>,
    /// Pixel origin of VOC files.
    pub voc_origin: PixelOrigin,
    /// Classes of Open Images' boxes.
    pub labels: OpenImagesLabels,
    /// Where the index of a large COCO or LVIS file is kept; nowhere unless told otherwise.
    pub index: IndexPlace,
}

/// How a data set is written.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteOptions {
    /// Name of the part, in formats with parts.
    pub part: String,
    /// Folder of the images, and how they come into formats that have a place for them; none: they do not.
    pub images: Option<(PathBuf, Placement)>,
    /// Pixel origin of VOC files.
    pub voc_origin: PixelOrigin,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { part: "train".into(), images: None, voc_origin: PixelOrigin::One }
    }
}

/// Opens a data set of any format, as far as training and evaluation need it.
///
/// # Errors
/// If the format is not known, a part has to be chosen, or a file cannot be read; with file and line.
pub fn open_annotations(path: &Path, options: &ReadOptions) -> Result<AnnotationSet, FormatError> {
    match options.format.map_or_else(|| DataFormat::detect(path), Ok)? {
        DataFormat::Coco | DataFormat::Lvis => Ok(read_indexed(path, &options.index)?.0),
        DataFormat::Yolo => Ok(yolo::read(path, options, false)?.set),
        DataFormat::Voc => Ok(voc::read(path, options, false)?.set),
        DataFormat::OpenImages => Ok(open_images::read(path, options, false)?.set),
        DataFormat::Csv => Ok(csv::read(path, options, false)?.set),
    }
}

impl Document {
    /// Opens a data set of any format with everything it says.
    ///
    /// # Errors
    /// As [`open_annotations`].
    pub fn open(path: &Path, options: &ReadOptions) -> Result<Self, FormatError> {
        match options.format.map_or_else(|| DataFormat::detect(path), Ok)? {
            DataFormat::Coco | DataFormat::Lvis => coco::read_document(path),
            DataFormat::Yolo => yolo::read(path, options, true),
            DataFormat::Voc => voc::read(path, options, true),
            DataFormat::OpenImages => open_images::read(path, options, true),
            DataFormat::Csv => csv::read(path, options, true),
        }
    }

    /// Writes a data set, whole or not at all, and tells what the format could not hold.
    ///
    /// # Errors
    /// If there is one already in a folder, the format cannot have some entry, or a file cannot be written.
    pub fn write(
        &self,
        path: &Path,
        format: DataFormat,
        options: &WriteOptions,
    ) -> Result<Losses, FormatError> {
        match format {
            DataFormat::Coco | DataFormat::Lvis => coco::write(self, path, format),
            DataFormat::Yolo => yolo::write(self, path, options),
            DataFormat::Voc => voc::write(self, path, options),
            DataFormat::OpenImages => open_images::write(self, path, options),
            DataFormat::Csv => csv::write(self, path),
        }
    }
}
