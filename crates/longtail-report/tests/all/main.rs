//! What tables and pages say, as snapshots: `INSTA_UPDATE=always cargo test -p longtail-report` writes them
//! anew.

mod pages;
mod runs;
mod tables;

use std::collections::BTreeMap;

use longtail_annotations::FrequencyGroup;
use longtail_eval::{CategoryResult, DetectionCounts, EvalReport, Metric, Metrics, SCHEMA_VERSION};

/// A layout that shows every cell.
fn plain(heading: &[&str], rows: &[Vec<String>]) -> String {
    let mut lines = vec![heading.join(" | ")];
    lines.extend(rows.iter().map(|row| row.join(" | ")));
    lines.join("\n")
}

/// The report of three classes, one a group, of which the last has no ground truth.
fn report(protocol: &str, values: &[(&str, Option<f64>)]) -> EvalReport {
    let named = |(name, value): &(&str, Option<f64>)| (name.parse::<Metric>().unwrap(), *value);
    let classes = FrequencyGroup::ALL.into_iter().zip(["owl", "<cat>", "dog"]).zip(1..);
    let class = |((group, name), id): ((FrequencyGroup, &str), i64)| CategoryResult {
        category_id: id,
        name: name.to_owned(),
        label: None,
        frequency: Some(group),
        ap: (id < 3).then_some(0.25 * id as f64),
        ap50: (id < 3).then_some(0.3 * id as f64),
        ap75: (id < 3).then_some(0.0),
        ar: (id < 3).then_some(0.5),
        ground_truth: if id < 3 { 4 } else { 0 },
        detections: 7,
    };
    EvalReport {
        schema_version: SCHEMA_VERSION,
        protocol: protocol.to_owned(),
        provenance: BTreeMap::new(),
        metrics: values.iter().map(named).collect::<Metrics>(),
        detections: DetectionCounts {
            read: 30,
            scored: 21,
            unknown_category: 4,
            over_cap: 5,
            ..DetectionCounts::default()
        },
        per_category: classes.map(class).collect(),
    }
}
