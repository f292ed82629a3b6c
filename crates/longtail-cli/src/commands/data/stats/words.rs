//! Statistics in words and numbers, for the terminal and the page alike.

use longtail_curate::{
    Statistics,
    statistics::{ClassPair, Histogram},
};

/// A distribution with what it is called.
pub struct Named<'a> {
    /// Heading.
    pub title: &'static str,
    /// What is counted, under the axis.
    pub axis: &'static str,
    /// The counts.
    pub histogram: &'a Histogram,
    /// How a value is written.
    pub number: fn(f64) -> String,
}

/// Names and values of the first table.
pub fn summary(statistics: &Statistics, missing: Option<usize>) -> Vec<(String, String)> {
    let row = |name: &str, value: String| (name.to_owned(), value);
    let mut summary = vec![
        row("images", statistics.images.to_string()),
        row("images without boxes", statistics.images_without_boxes.to_string()),
        row("boxes", statistics.boxes.to_string()),
        row("classes", statistics.classes.len().to_string()),
        row(
            "imbalance ratio (boxes of the largest class / smallest)",
            statistics.imbalance_ratio.map_or("–".into(), |r| format!("{r:.0}")),
        ),
        row("Gini coefficient of boxes over classes", format!("{:.3}", statistics.gini)),
    ];
    if let Some(missing) = missing {
        summary.push(row("missing image files", missing.to_string()));
    }
    summary
}

/// The distributions in order.
pub fn distributions(statistics: &Statistics) -> [Named<'_>; 5] {
    fn pixels(value: f64) -> String {
        format!("{value:.0}")
    }
    [
        Named {
            title: "Box size",
            axis: "√area in pixels",
            histogram: &statistics.box_sizes,
            number: pixels,
        },
        Named {
            title: "Box size in its image",
            axis: "√(box area / image area)",
            histogram: &statistics.relative_sizes,
            number: |value| format!("{value:.2}"),
        },
        Named {
            title: "Box aspect",
            axis: "width / height",
            histogram: &statistics.aspect_ratios,
            number: |value| format!("{value:.2}"),
        },
        Named {
            title: "Boxes an image",
            axis: "boxes",
            histogram: &statistics.boxes_per_image,
            number: pixels,
        },
        Named {
            title: "Classes an image",
            axis: "different classes",
            histogram: &statistics.classes_per_image,
            number: pixels,
        },
    ]
}

/// Pairs of classes with their heading.
pub fn pairs(statistics: &Statistics) -> [(&'static str, &[ClassPair]); 2] {
    let pairs = &statistics.co_occurrence;
    [
        ("classes in one image most often", &pairs.most_often),
        ("classes in one image more often than by chance (5 images or more)", &pairs.highest_lift),
    ]
}

/// What is marked, where anything is.
pub fn shares(statistics: &Statistics) -> Vec<(String, String)> {
    let shares = &statistics.shares;
    let all_boxes = statistics.boxes + shares.crowd_boxes;
    let images = statistics.images as u64;
    let of = |count: u64, all: u64| format!("{count} ({})", percent(count, all));
    let mut rows = Vec::new();
    let mut add = |name: &str, value: String| rows.push((name.to_owned(), value));
    let [small, medium, large] = statistics.size_groups;
    let measured = small + medium + large;
    add("boxes small (below 32² pixels)", of(small, measured));
    add("boxes medium (32² to 96²)", of(medium, measured));
    add("boxes large (96² and more)", of(large, measured));
    add("crowd or group-of regions", of(shares.crowd_boxes, all_boxes));
    if shares.ignored_boxes > 0 {
        add("boxes left out of scoring", of(shares.ignored_boxes, all_boxes));
    }
    if shares.negatives + shares.not_exhaustive > 0 {
        let mean = |count: u64| format!("{:.1} an image", count as f64 / images.max(1) as f64);
        add("images with classes verified absent", of(shares.images_with_negatives as u64, images));
        add("classes verified absent", mean(shares.negatives));
        add(
            "images with classes not exhaustively annotated",
            of(shares.images_not_exhaustive as u64, images),
        );
        add("classes not exhaustively annotated", mean(shares.not_exhaustive));
        add("pairs of image and class that are verified", format!("{:.2} %", 100.0 * shares.verified_pairs));
    }
    rows
}

/// A share with one digit.
pub fn percent(part: u64, all: u64) -> String {
    format!("{:.1} %", 100.0 * part as f64 / all.max(1) as f64)
}
