//! The result of an evaluation: the only thing that reports, comparisons, tables and Python read.

use std::{collections::BTreeMap, ops::AddAssign};

use longtail_annotations::FrequencyGroup;
use serde::{Deserialize, Serialize};

use crate::metric::{Metric, Metrics};

/// Version of the JSON layout.
pub const SCHEMA_VERSION: u32 = 1;

/// Metrics of one run under one protocol.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvalReport {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Name of the protocol that made the numbers, with its settings, such as `lvis`.
    pub protocol: String,
    /// What was evaluated: settings and inputs, such as `max_detections` or `ground_truth`.
    pub provenance: BTreeMap<String, String>,
    /// Metrics over the whole set, in `0..=1`.
    pub metrics: Metrics,
    /// How many detections there were, and why some took no part.
    pub detections: DetectionCounts,
    /// One entry a class, by ascending category id.
    pub per_category: Vec<CategoryResult>,
}

/// Detections by what became of them: `read` is the sum of all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DetectionCounts {
    /// All of them.
    pub read: u64,
    /// Those that took part.
    pub scored: u64,
    /// Those of a category that the ground truth does not have.
    pub unknown_category: u64,
    /// Those of an image or category outside of the chosen ones.
    pub not_chosen: u64,
    /// Those beyond a cap an image, class, or image and class.
    pub over_cap: u64,
    /// Those of a class that is neither annotated nor verified absent in the image (LVIS). Open Images: also
    /// those of unknown images or labels, without extent, or with a score of -10 or less.
    pub not_verified: u64,
    /// Those without extent (LVIS).
    pub without_extent: u64,
}

impl AddAssign for DetectionCounts {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.scored += other.scored;
        self.unknown_category += other.unknown_category;
        self.not_chosen += other.not_chosen;
        self.over_cap += other.over_cap;
        self.not_verified += other.not_verified;
        self.without_extent += other.without_extent;
    }
}

impl DetectionCounts {
    /// Those that took no part, each kind with the words for it; kinds without any are left out.
    pub fn left_out(&self) -> Vec<(u64, &'static str)> {
        let kinds = [
            (self.unknown_category, "of unknown categories"),
            (self.not_chosen, "of images or categories that were not chosen"),
            (self.over_cap, "over a cap"),
            (self.not_verified, "of categories not verified in their image"),
            (self.without_extent, "without extent"),
        ];
        kinds.into_iter().filter(|(count, _)| *count > 0).collect()
    }
}

/// Metrics of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CategoryResult {
    /// The file's category id.
    pub category_id: i64,
    /// Its name.
    pub name: String,
    /// Open Images: its `LabelName`, such as `/m/01yrx`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Its frequency group, where the ground truth names one.
    pub frequency: Option<FrequencyGroup>,
    /// Mean AP over the IoU thresholds; `null` without countable ground truth.
    #[serde(rename = "AP")]
    pub ap: Option<f64>,
    /// AP at IoU 0.5.
    #[serde(rename = "AP50")]
    pub ap50: Option<f64>,
    /// AP at IoU 0.75.
    #[serde(rename = "AP75")]
    pub ap75: Option<f64>,
    /// Mean recall over the IoU thresholds at the protocol's cap.
    #[serde(rename = "AR")]
    pub ar: Option<f64>,
    /// Countable ground-truth boxes.
    pub ground_truth: u64,
    /// Detections that took part.
    pub detections: u64,
}

impl EvalReport {
    /// A metric; `None` if undefined or absent.
    pub fn metric(&self, metric: &Metric) -> Option<f64> {
        self.metrics.get(metric).copied().flatten()
    }
}
