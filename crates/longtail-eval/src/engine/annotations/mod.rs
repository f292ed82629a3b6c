//! COCO and LVIS metrics of annotation files, as `pycocotools` and `lvis` compute them.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`protocol`], [`settings`], [`parameters`] | the rules, and everything that can be chosen |
//! | [`iou_type`] | boxes, masks or boundaries |
//! | [`ground_truth`] | ground truth, checked and sorted |
//! | [`detections`], `mask_rows` | detections, one or millions; those with masks |
//! | [`masked_set`], `truth_masks` | ground truth with masks |
//! | `masks` | masks checked, and their overlaps |
//! | `matching` | detections to ground truth, one image and class at a time |
//! | `task` | the same, image by image |
//! | `matches` | all outcomes, by image and by class |
//! | `accumulate`, `curves` | precision and recall of a class over all images, and of all classes |
//! | `metrics` | what each protocol lists |
//! | [`evaluation`] | detections matched once, and the report made from it |
//! | `from_file` | the same while a file is read |
//! | [`streaming`], [`partial`], `stored` | the same batch by batch, or split over machines |
//! | [`arrays`] | the references' whole arrays |

pub(crate) mod accumulate;
pub mod arrays;
pub(crate) mod curves;
pub mod detections;
pub mod evaluation;
mod from_file;
pub mod ground_truth;
pub mod iou_type;
mod mask_rows;
pub mod masked_set;
mod masks;
pub(crate) mod matches;
pub(crate) mod matching;
mod metrics;
pub mod parameters;
pub mod partial;
pub mod protocol;
pub mod settings;
mod stored;
pub mod streaming;
mod task;
mod truth_masks;
