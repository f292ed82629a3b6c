//! What a report is made of.

use std::collections::BTreeMap;

use longtail_eval::EvalReport;
use serde::{Deserialize, Serialize};

/// Everything that a page shows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ReportData {
    /// Title of the page.
    pub title: String,
    /// Facts about the run: command, seed, versions, machine.
    pub facts: Vec<(String, String)>,
    /// What detections were scored against, in order.
    pub truths: Vec<TruthName>,
    /// Methods in the order they were trained.
    pub methods: Vec<Method>,
    /// Training images of every class by category id.
    pub train_images: BTreeMap<i64, u64>,
    /// Indices in `methods` of the baseline and of the method that arrows lead to.
    pub compared: Option<(usize, usize)>,
    /// Loss terms over iterations.
    pub losses: Vec<Curve>,
    /// Metrics of evaluations during training.
    pub validation: Vec<Curve>,
    /// Share of negatives kept over iterations, by method and frequency group.
    pub kept_negatives: Vec<Curve>,
    /// Validation images with boxes.
    pub galleries: Vec<Gallery>,
    /// The most confused pairs.
    pub confusions: Vec<ConfusedPair>,
    /// Sentences under the table.
    pub remarks: Vec<String>,
}

/// A truth that detections were scored against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TruthName {
    /// Key of the reports.
    pub name: String,
    /// Readable name.
    pub label: String,
}

/// A trained classifier with its results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Method {
    /// Name.
    pub name: String,
    /// How background RoIs are treated.
    pub background: String,
    /// Reports by truth.
    pub reports: BTreeMap<String, EvalReport>,
}

/// A line of a plot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Which plot it belongs to.
    pub plot: String,
    /// Name in the legend.
    pub name: String,
    /// Points, x ascending.
    pub points: Vec<(f64, f64)>,
}

/// Images under a heading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gallery {
    /// Heading.
    pub title: String,
    /// Images.
    pub images: Vec<GalleryImage>,
}

/// An image with boxes of several methods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GalleryImage {
    /// Name under the image.
    pub caption: String,
    /// PNG or JPEG bytes.
    pub bytes: Vec<u8>,
    /// MIME type of the bytes.
    pub mime: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Ground truth, then detections of each method, over the same image.
    pub panels: Vec<Panel>,
}

/// The image once, with boxes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Panel {
    /// Name of the method, or "ground truth".
    pub title: String,
    /// Boxes.
    pub boxes: Vec<DrawnBox>,
}

/// A box in a panel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrawnBox {
    /// x, y, width, height in pixels.
    pub bbox: [f64; 4],
    /// Text at the box.
    pub label: String,
    /// Colour class: `truth`, `right` or `wrong`.
    pub kind: String,
}

/// A pair of classes of which one claims the other's objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfusedPair {
    /// Method that confuses them.
    pub method: String,
    /// True class, with its frequency letter and training images.
    pub truth: String,
    /// Class that scored highest, likewise.
    pub claimed: String,
    /// Boxes claimed so.
    pub count: u64,
    /// Boxes of the true class.
    pub total: u64,
    /// Whether the two lie in different frequency groups.
    pub across: bool,
}
