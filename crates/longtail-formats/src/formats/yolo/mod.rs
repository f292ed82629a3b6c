//! YOLO: `data.yaml`, images, and a text file of labels beside or in a folder of their own.
//!
//! Class indices become category ids as they are. An image without a label file has no objects. `images/…/a.jpg` has
//! its labels in `labels/…/a.txt`; without a folder `images`, beside it.

mod darknet;
mod data_yaml;
mod labels;
mod reader;
mod writer;

pub(crate) use darknet::is_data_file;
pub(crate) use reader::{find_data_file, read};
pub(crate) use writer::write;
