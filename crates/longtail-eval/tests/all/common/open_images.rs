//! Boxes, labels and predictions of the Open Images challenge made in memory.

use std::collections::BTreeMap;

use longtail_eval::{EvalError, EvalReport, OpenImagesEvaluation, OpenImagesPredictions, OpenImagesTruth};
use longtail_formats::open_images::{ImageLabel, OpenImagesBox, OpenImagesClass, Prediction};

/// x min, y min, x max, y max.
pub type Corners = [f64; 4];

pub fn truth_box(image: &str, label: &str, corners: Corners, group: bool) -> OpenImagesBox {
    let [x_min, y_min, x_max, y_max] = corners;
    OpenImagesBox::new(image.into(), label.into(), [x_min, x_max, y_min, y_max], group)
}

pub fn image_label(image: &str, label: &str, present: bool) -> ImageLabel {
    let confidence = f64::from(u8::from(present));
    ImageLabel { image_id: image.into(), label: label.into(), source: None, confidence }
}

/// A prediction with its own texts.
#[derive(Debug, Clone)]
pub struct Found {
    pub image: String,
    pub label: String,
    pub score: f64,
    pub corners: Corners,
}

impl Found {
    pub fn borrowed(&self) -> Prediction<'_> {
        let [x_min, y_min, x_max, y_max] = self.corners;
        let (image_id, label, score) = (self.image.as_str(), self.label.as_str(), self.score);
        Prediction { image_id, label, score, x_min, x_max, y_min, y_max }
    }
}

pub fn found(image: &str, label: &str, score: f64, corners: Corners) -> Found {
    Found { image: image.into(), label: label.into(), score, corners }
}

pub fn classes(labels: &[&str]) -> Vec<OpenImagesClass> {
    let class = |(label, id): (&&str, i64)| OpenImagesClass {
        id,
        label: (*label).to_owned(),
        name: format!("name of {label}"),
    };
    labels.iter().zip(1..).map(class).collect()
}

pub fn score(
    boxes: &[OpenImagesBox],
    labels: &[ImageLabel],
    classes: Option<Vec<OpenImagesClass>>,
    predictions: &[Found],
    weight: f64,
) -> Result<EvalReport, EvalError> {
    let truth = OpenImagesTruth::new("truth".into(), boxes, labels, classes)?;
    let mut all = OpenImagesPredictions::new(&truth);
    let borrowed: Vec<Prediction<'_>> = predictions.iter().map(Found::borrowed).collect();
    all.extend(&borrowed)?;
    Ok(OpenImagesEvaluation::new(&all, weight)?.report(None))
}

/// AP50 by label.
pub fn by_label(report: &EvalReport) -> BTreeMap<String, Option<f64>> {
    report.per_category.iter().map(|c| (c.label.clone().unwrap(), c.ap50)).collect()
}
