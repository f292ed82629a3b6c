//! Annotation sets as their files say them.
//!
//! Nothing is repaired: a reader keeps what the file says, a check names what is wrong with it, and a data
//! set for training refuses what it cannot use. Numbers stay `f64`, as the evaluators need them.

use std::path::PathBuf;

use crate::frequency::FrequencyGroup;

/// Which fields a file carries, and so which protocols can score it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// COCO: every class is annotated in every image; `iscrowd` marks regions.
    Coco,
    /// LVIS: federated; each image names the classes verified absent and the ones not exhaustively annotated.
    Lvis,
}

/// One class of a file. Ids may have gaps and come in any order.
#[derive(Debug, Clone, PartialEq)]
pub struct Category {
    /// The file's id.
    pub id: i64,
    /// Readable name, unescaped.
    pub name: String,
    /// The frequency letter of an LVIS file; `None` where the file gives none.
    pub frequency: Option<FrequencyGroup>,
}

/// One image of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageRecord {
    /// The file's id.
    pub id: i64,
    /// Path relative to the image folder.
    pub file_name: String,
    /// Width in pixels, as the file says.
    pub width: u32,
    /// Height in pixels, as the file says.
    pub height: u32,
    /// LVIS: categories verified absent. `None` where the file lacks the field.
    pub neg_category_ids: Option<Vec<i64>>,
    /// LVIS: categories present but not exhaustively annotated. `None` where the file lacks the field.
    pub not_exhaustive_category_ids: Option<Vec<i64>>,
}

/// One annotated box of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotation {
    /// The file's id.
    pub id: i64,
    /// Image the box lies in.
    pub image_id: i64,
    /// Class of the box.
    pub category_id: i64,
    /// x, y, width, height in pixels, as given.
    pub bbox: [f64; 4],
    /// Area as given (a mask's pixel count in COCO and LVIS); `None` where the file lacks the field.
    pub area: Option<f64>,
    /// COCO: a region that holds many objects.
    pub iscrowd: bool,
    /// LVIS: an annotation to leave out of scoring.
    pub ignore: bool,
}

/// A whole annotation file.
#[derive(Debug, Clone, PartialEq)]
pub struct AnnotationSet {
    /// The file it was read from, for messages; `None` for a set made in memory.
    pub path: Option<PathBuf>,
    /// Layout of the file.
    pub layout: Layout,
    /// Images in file order.
    pub images: Vec<ImageRecord>,
    /// Boxes in file order.
    pub annotations: Vec<Annotation>,
    /// Classes in file order.
    pub categories: Vec<Category>,
}

impl AnnotationSet {
    /// The file's name for messages.
    pub fn label(&self) -> String {
        self.path.as_ref().map_or_else(|| "annotations".to_owned(), |path| path.display().to_string())
    }
}
