//! Two engines under one contract: ground truth and detections in, an [`EvalReport`](crate::EvalReport) out,
//! whose headline is one [`Metric`](crate::Metric). [`Scoring`](crate::Scoring) chooses between them.
//!
//! A protocol that shares its matching with COCO and LVIS is a [plan](annotations::settings) of the first
//! engine. One that does not is a folder here and a line in `scoring.rs`.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`annotations`] | COCO and LVIS |
//! | [`open_images`] | the Open Images challenge |

pub mod annotations;
pub mod open_images;
