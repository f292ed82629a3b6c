//! Annotation files, one format a module; which one a path is; and one way to open and to write them all.
//!
//! | module | format |
//! | --- | --- |
//! | `box_layout` | what the four numbers of a box are |
//! | `coco` | COCO, LVIS v0.5 and LVIS v1 JSON |
//! | `yolo` | `data.yaml` with folders of labels |
//! | `voc` | Pascal VOC XML |
//! | `open_images` | Open Images' tables, joined |
//! | `csv` | a plain table |
//! | `parts` | train, val, test of a data set |
//! | `image_files`, `text` | files below a folder, image sizes; encodings and numbers |
//! | `foreign` | what files of other tools are |
//! | `losses`, `place` | what a target cannot hold; image files put into folders |

mod box_layout;
mod coco;
mod csv;
mod detect;
pub(crate) mod foreign;
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

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[doc(hidden)]
pub use self::coco::blocks_agree_with_one_by_one;
pub use self::{
    box_layout::BoxLayout,
    coco::{annotations_to_json, read_annotations, set_frequencies, to_lvis, write_annotations},
    open_images::OpenImagesTables,
    place::Placement,
    text::read_text,
};
pub(crate) use self::{
    coco::inspect_coco,
    image_files::{is_image, is_system_file},
    open_images::is_predictions_table,
};
use crate::{
    document::{Document, Losses},
    error::FormatError,
    image_files::ImageFiles,
    index::{IndexPlace, inspect_indexed},
    remarks::{RemarkKind, Remarks},
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
        found.ok_or_else(|| format!("`{text}` is not a format; choose one of {}", names()))
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
            _ => Err(format!("`{text}` is not a choice of labels; choose plain, expanded or leaf")),
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
    /// What the numbers of a box are, where the file has them otherwise than its format says.
    pub boxes: BoxLayout,
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
    let (set, remarks) = inspect_annotations(path, options)?;
    remarks.refuse_unreadable(path)?;
    Ok(set)
}

/// As [`open_annotations`], with everything that was left out or looked up; what cannot be read is among it, so that all
/// of it is seen at once.
///
/// # Errors
/// If the format is not known, a part has to be chosen, or the data set as a whole cannot be read.
pub fn inspect_annotations(
    path: &Path,
    options: &ReadOptions,
) -> Result<(AnnotationSet, Remarks), FormatError> {
    let (document, remarks) = match options.format.map_or_else(|| DataFormat::detect(path), Ok)? {
        DataFormat::Coco | DataFormat::Lvis => {
            let (mut set, _, mut remarks) = inspect_indexed(path, &options.index)?;
            settle(&mut set, options.images.as_deref(), &mut remarks);
            options.boxes.apply(&mut set);
            return Ok((set, remarks));
        }
        format => read_other(format, path, options, false)?,
    };
    Ok((document.set, remarks))
}

fn read_other(
    format: DataFormat,
    path: &Path,
    options: &ReadOptions,
    extras: bool,
) -> Result<(Document, Remarks), FormatError> {
    let (mut document, mut remarks) = match format {
        DataFormat::Coco | DataFormat::Lvis => coco::read_document(path)?,
        DataFormat::Yolo => yolo::read(path, options, extras)?,
        DataFormat::Voc => voc::read(path, options, extras)?,
        DataFormat::OpenImages => (open_images::read(path, options, extras)?, Remarks::default()),
        DataFormat::Csv => csv::read(path, options, extras)?,
    };
    settle(&mut document.set, options.images.as_deref(), &mut remarks);
    options.boxes.apply(&mut document.set);
    Ok((document, remarks))
}

/// Gives images the names under which they lie in their folder, and those without a size the size of their file.
pub fn settle(set: &mut AnnotationSet, images: Option<&Path>, remarks: &mut Remarks) {
    let files = images.map(ImageFiles::new);
    let found: Vec<Option<Settled>> = set
        .images
        .par_iter()
        .map(|image| {
            let files = files.as_ref()?;
            let (path, says_so) = files.locate(&image.file_name).ok()?;
            let unknown = image.width == 0 || image.height == 0;
            let size = unknown.then(|| image_files::image_size(&path).ok()).flatten();
            // A name under which whatever reads pictures finds them stays as the file has it.
            let name = if says_so { None } else { files.name_of(&path) };
            Some(Settled { name, size })
        })
        .collect();
    for (image, found) in set.images.iter_mut().zip(found) {
        if let Some(Settled { name, size }) = found {
            if let Some(name) = name {
                remarks.add(RemarkKind::FoundElsewhere, || format!("{} is {name}", image.file_name));
                image.file_name = name;
            }
            if let Some(size) = size {
                [image.width, image.height] = size;
                remarks.add(RemarkKind::SizeMeasured, || format!("image {}: {size:?}", image.id));
            }
        }
        if image.width == 0 || image.height == 0 {
            remarks.add(RemarkKind::SizeUnknown, || format!("image {}: {:?}", image.id, image.file_name));
        }
    }
}

/// What the folder of images says of one.
struct Settled {
    name: Option<String>,
    size: Option<[u32; 2]>,
}

impl Document {
    /// Opens a data set of any format with everything it says.
    ///
    /// # Errors
    /// As [`open_annotations`].
    pub fn open(path: &Path, options: &ReadOptions) -> Result<Self, FormatError> {
        let (document, remarks) = Self::inspect(path, options)?;
        remarks.refuse_unreadable(path)?;
        Ok(document)
    }

    /// As [`Self::open`], with everything that was left out or looked up, as [`inspect_annotations`] has it.
    ///
    /// # Errors
    /// As [`inspect_annotations`].
    pub fn inspect(path: &Path, options: &ReadOptions) -> Result<(Self, Remarks), FormatError> {
        let format = options.format.map_or_else(|| DataFormat::detect(path), Ok)?;
        read_other(format, path, options, true)
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
