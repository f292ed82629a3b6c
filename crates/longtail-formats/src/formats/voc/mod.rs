//! Pascal VOC: an XML file an image in `Annotations/`, lists of the parts in `ImageSets/Main/`, images in `JPEGImages/`.
//!
//! Corners are whole pixels counted from 1, both inside of the box, so that `xmin` 1 and `xmax` 10 are 10 pixels from
//! the left edge (VOC devkit); files that count from 0 need [`PixelOrigin::Zero`](crate::formats::PixelOrigin). Classes
//! are named, not numbered: their ids are the lines of `labels.txt`, or else the order of all names in the folder.
//! Entities and document types are refused, not expanded.

mod object;
mod reader;
mod writer;

pub(crate) use reader::read;
pub(crate) use writer::write;
