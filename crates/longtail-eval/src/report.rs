//! The result of an evaluation: the only thing that reports, comparisons, tables and Python read.

use std::collections::BTreeMap;

use longtail_annotations::FrequencyGroup;
use serde::{Deserialize, Serialize};

/// Version of the JSON layout.
pub const SCHEMA_VERSION: u32 = 1;

/// Metrics by their published names (`AP`, `AP50`, `APr`, `AR@300`, …). `None` (JSON `null`) where a metric is
/// undefined, because no class or box counts; never 0 or -1 for that.
pub type Metrics = BTreeMap<String, Option<f64>>;

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
    /// One entry a class, by ascending category id.
    pub per_category: Vec<CategoryResult>,
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
    /// A metric by its published name; `None` if undefined or absent.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.get(name).copied().flatten()
    }
}
