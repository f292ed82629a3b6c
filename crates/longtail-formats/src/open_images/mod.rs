//! Open Images' own files: tables of boxes, image-level labels and classes, and the tree of classes.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`boxes`] | boxes CSV, with the flags of each box |
//! | [`labels`] | image-level labels CSV: classes verified present or absent |
//! | [`classes`] | class descriptions CSV or `labelmap.pbtxt` |
//! | [`predictions`] | predictions CSV, large |
//! | [`hierarchy`] | tree of classes, JSON |
//! | [`expansion`] | what a box or label says about ancestors and descendants; in memory and file to file |
//! | `table` | CSV with named columns, errors with file and line |
//!
//! Tables are what the files say, row by row in file order. Names of images, labels and sources are shared.

pub mod boxes;
pub mod classes;
pub mod expansion;
pub mod hierarchy;
mod labelmap;
pub mod labels;
pub mod predictions;
mod table;

pub use boxes::{OpenImagesBox, image_id, read_boxes, relative_corners, write_boxes};
pub use classes::{OpenImagesClass, read_classes, write_class_descriptions, write_labelmap};
pub use expansion::{ExpandedRows, TableKind, expand_boxes, expand_file, expand_image_labels, is_expanded};
pub use hierarchy::{Hierarchy, HierarchyNode};
pub use labels::{ImageLabel, read_image_labels, write_image_labels};
pub use predictions::{Prediction, read_predictions};
