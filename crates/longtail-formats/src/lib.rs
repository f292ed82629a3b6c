//! Annotation files of every format: read, written, converted, and kept in an index.
//!
//! Everything is read into an [`AnnotationSet`](longtail_annotations::AnnotationSet), or into a [`Document`] where it is
//! to be written again. Image files are measured by their headers; no pixel is decoded here.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`formats`] | COCO, LVIS, YOLO, Pascal VOC, Open Images, plain CSV: which a path is, opened and written |
//! | [`document`] | a set with everything its file says, for conversion |
//! | [`open_images`] | Open Images' tables of boxes, labels and classes, and expansion by its hierarchy |
//! | [`index`] | what was read from a large file, kept for the next opening |
//! | [`image_files`], [`image_header`] | where the image files lie; their size and orientation |
//! | [`remarks`] | what was left out or looked up while reading |
//! | [`error`] | what can be wrong with a file, and where |
//!
//! ```
//! use longtail_formats::{Document, DataFormat, ReadOptions, WriteOptions, open_annotations};
//!
//! # let home = tempfile::tempdir()?;
//! # let home = home.path();
//! let table = home.join("boxes.csv");
//! std::fs::write(&table, "file_name,width,height,class,x,y,w,h\na.jpg,640,480,owl,10,20,30,40\n")?;
//! let set = open_annotations(&table, &ReadOptions::default())?;
//! assert_eq!(set.annotations[0].bbox, [10.0, 20.0, 30.0, 40.0]);
//!
//! let coco = home.join("boxes.json");
//! Document::open(&table, &ReadOptions::default())?.write(&coco, DataFormat::Coco, &WriteOptions::default())?;
//! let written = open_annotations(&coco, &ReadOptions::default())?;
//! assert_eq!(written.annotations[0].bbox, set.annotations[0].bbox);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod blocks;
pub mod document;
pub mod error;
pub mod formats;
pub mod image_files;
pub mod image_header;
pub mod index;
mod json;
pub mod open_images;
pub mod remarks;

pub use document::{Document, Extras, Losses, Members, RawJson};
pub use error::FormatError;
pub use formats::{
    BoxLayout, DataFormat, OpenImagesLabels, OpenImagesTables, PixelOrigin, Placement, ReadOptions,
    WriteOptions, annotations_to_json, inspect_annotations, open_annotations, read_annotations, read_text,
    set_frequencies, settle, to_lvis, write_annotations,
};
pub use image_files::ImageFiles;
pub use image_header::{ImageHeader, Orientation};
pub use index::{IndexPlace, IndexUse, inspect_indexed, read_indexed};
pub use remarks::{Remark, RemarkKind, Remarks};
