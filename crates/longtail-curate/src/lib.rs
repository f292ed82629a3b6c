//! Data sets checked, repaired, counted, and made from other data sets.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`mod@check`], [`mod@fix`] | everything that is wrong with a set, at once, and repairs of a file |
//! | [`curation`] | sets joined, split, cut down and filtered |
//! | [`similarity`] | which pictures are the same, or nearly |
//! | [`statistics`] | counts, sizes, pairs of classes, and how long the tail is |
//! | [`error`] | what can go wrong, and where |
//!
//! ```
//! use longtail_annotations::{Annotation, AnnotationSet, Category, ImageRecord, Layout};
//! use longtail_curate::{CheckOptions, Kind, Statistics, check};
//!
//! let image = ImageRecord {
//!     id: 1,
//!     file_name: "a.jpg".into(),
//!     width: 64,
//!     height: 48,
//!     neg_category_ids: None,
//!     not_exhaustive_category_ids: None,
//! };
//! let annotation = |id, bbox| Annotation {
//!     id, image_id: 1, category_id: 5, bbox, area: None, iscrowd: false, ignore: false,
//! };
//! let set = AnnotationSet {
//!     path: None,
//!     layout: Layout::Coco,
//!     images: vec![image],
//!     annotations: vec![annotation(1, [1.0, 2.0, 30.0, 40.0]), annotation(2, [70.0, 2.0, 9.0, 9.0])],
//!     categories: vec![Category { id: 5, name: "owl".into(), frequency: None }],
//! };
//! let findings = check(&set, &CheckOptions::default(), &|| ()).findings;
//! assert!(findings.iter().any(|finding| finding.kind == Kind::BoxOutside && finding.count == 1));
//! assert_eq!(Statistics::of(&set).classes.len(), 1);
//! ```

pub mod check;
pub mod curation;
pub mod error;
pub mod fix;
pub mod similarity;
pub mod statistics;

pub use check::{CheckOptions, Checked, Finding, Kind, Severity, check};
pub use error::CurateError;
pub use fix::{Change, fix};
pub use similarity::{Fingerprint, PerceptualHash};
pub use statistics::Statistics;
