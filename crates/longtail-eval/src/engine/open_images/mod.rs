//! Average precision of the Open Images challenge, at IoU 0.5, as `object_detection` of tensorflow/models
//! computes it.
//!
//! It shares little with LVIS and COCO: a detection has a single choice of box, later ones come first among
//! equal scores, boxes around groups are matched by the share of the detection inside, and the area below the
//! curve is exact. So it is an engine of its own, from the same report on.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`truth`] | boxes and image-level labels, checked and sorted by image and class |
//! | [`predictions`] | predictions of verified classes |
//! | `matching` | predictions to boxes, one image and class at a time |
//! | [`set`] | annotation sets and detections in pixels |
//! | [`evaluation`] | average precision by class, their mean, and the report |

pub mod evaluation;
mod matching;
pub mod predictions;
pub mod set;
pub mod truth;
