//! Detection metrics by the exact rules of their reference implementations, bit for bit in `f64`.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`engine`] | the two engines: COCO and LVIS, and Open Images |
//! | [`scoring`] | the choice of rules, over both |
//! | [`analysis`] | comparisons with intervals, errors, confusions, calibration, operating points, rescoring |
//! | [`reading`] | files of detections, also in the formats of other tools |
//! | [`report`], [`metric`] | the result, and the names and order of its numbers |
//! | [`tables`] | classes, detections and images as Parquet |
//! | [`detection`] | a detection as files have it |
//! | [`bins`] | classes by their training images |
//! | [`error`] | what can be wrong with the input |
//! | `numerics`, `order`, `checks` | sums as NumPy computes them, orders, checks of numbers and ids |
//!
//! ```
//! use longtail_annotations::{Annotation, AnnotationSet, Category, ImageRecord, Layout};
//! use longtail_eval::{Detection, Metric, Protocol, evaluate};
//!
//! let (image_id, category_id, bbox) = (7, 1, [20.0, 30.0, 50.0, 40.0]);
//! let image = ImageRecord {
//!     id: image_id,
//!     file_name: "7.jpg".into(),
//!     width: 640,
//!     height: 480,
//!     neg_category_ids: None,
//!     not_exhaustive_category_ids: None,
//! };
//! let (iscrowd, ignore) = (false, false);
//! let annotation = Annotation { id: 1, image_id, category_id, bbox, area: None, iscrowd, ignore };
//! let truth = AnnotationSet {
//!     path: None,
//!     layout: Layout::Coco,
//!     images: vec![image],
//!     annotations: vec![annotation],
//!     categories: vec![Category { id: category_id, name: "cat".into(), frequency: None }],
//! };
//! // A box that overlaps by 0.8, and one on the background with a lower score.
//! let found = [
//!     Detection { image_id, category_id, bbox: [20.0, 30.0, 40.0, 40.0], score: 0.9 },
//!     Detection { image_id, category_id, bbox: [300.0, 200.0, 50.0, 40.0], score: 0.4 },
//! ];
//! let report = evaluate(Protocol::Coco, &truth, &found)?;
//! // Right at the seven IoU thresholds from 0.5 to 0.8.
//! assert!((report.metric(&Metric::AP).unwrap() - 0.7).abs() < 1e-9);
//! # Ok::<(), longtail_eval::EvalError>(())
//! ```

pub mod analysis;
pub mod bins;
mod checks;
pub mod detection;
pub mod engine;
pub mod error;
pub mod metric;
mod numerics;
mod order;
pub mod reading;
pub mod report;
pub mod scoring;
pub mod tables;

pub use analysis::{
    calibration::{Calibration, Reliability, calibration},
    comparison::{Bootstrap, ClassDifference, Comparison, Difference, compare, compare_runs},
    confusions::{Confusion, confusions},
    errors::{ErrorKind, ErrorOptions, ErrorReport, error_analysis},
    matrix::{ConfusionMatrix, MatrixCell, confusion_matrix},
    operating::{Operating, OperatingPoint, operating_points},
};
pub use bins::{ClassBins, ImageCounts};
pub use detection::{Detection, MaskDetection, write_detections};
pub use engine::{
    annotations::{
        arrays::Arrays,
        detections::{Detections, Shard},
        evaluation::{Evaluation, evaluate},
        ground_truth::{Chosen, GroundTruth},
        iou_type::IouType,
        masked_set::MaskedSet,
        parameters::{AreaRange, Parameters},
        partial::Partial,
        protocol::Protocol,
        settings::{MaxDetections, Settings},
        streaming::{Batch, MaskBatch, StreamingEvaluation},
    },
    open_images::{
        evaluation::OpenImagesEvaluation, predictions::OpenImagesPredictions, set::OpenImagesSet,
        truth::OpenImagesTruth,
    },
};
pub use error::EvalError;
pub use metric::{Metric, Metrics};
pub use reading::{
    formats::{ResultsFormat, expand_detections, read_results, write_results},
    read_detections,
};
pub use report::{CategoryResult, DetectionCounts, EvalReport, SCHEMA_VERSION};
pub use scoring::Scoring;
