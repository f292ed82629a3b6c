//! Confused classes, and the best and the worst validation images.

use std::{collections::BTreeMap, path::Path};

use longtail_annotations::{Annotation, AnnotationSet, FrequencyGroup, boxes::overlap};
use longtail_eval::{Detection, Scoring, confusions, read_detections};
use longtail_run::Results;

use crate::{
    ReportError,
    data::{ConfusedPair, DrawnBox, Gallery, GalleryImage, Panel, ReportData},
};

/// Images in each gallery.
const GALLERY: usize = 4;
/// Pairs of confused classes.
const PAIRS: usize = 10;
/// IoU from which a drawn box counts as right.
const RIGHT_IOU: f64 = 0.5;

/// The validation images of a run, with what is known of them.
pub trait Scenes {
    /// What detections are scored against; the fullest where there are several.
    fn truth(&self) -> &AnnotationSet;

    /// The rules that score them.
    fn scoring(&self) -> Scoring;

    /// The image of the set at this index.
    ///
    /// # Errors
    /// If it cannot be read.
    fn picture(&self, index: usize) -> Result<Picture, Box<dyn std::error::Error + Send + Sync>>;
}

/// An image as a page holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// PNG or JPEG bytes.
    pub bytes: Vec<u8>,
    /// MIME type of the bytes.
    pub mime: String,
}

/// Adds confused classes and galleries of the two compared classifiers.
pub(super) fn add(
    run: &Path,
    results: &Results,
    scenes: &dyn Scenes,
    (from, to): (usize, usize),
    data: &mut ReportData,
) -> Result<(), ReportError> {
    let truth = scenes.truth();
    let mut detections = Vec::new();
    for index in [from, to] {
        let result = &results.classifiers[index];
        let found = read_detections(&run.join(&result.detections))?;
        // A class and those above it do claim each other's objects.
        if let Scoring::Annotations(_) = scenes.scoring() {
            data.confusions.extend(confused(results, &result.name, truth, &found));
        }
        let mut by_image: BTreeMap<i64, Vec<Detection>> = BTreeMap::new();
        for detection in found {
            by_image.entry(detection.image_id).or_default().push(detection);
        }
        detections.push((result.name.as_str(), by_image));
    }
    let mut objects: BTreeMap<i64, Vec<&Annotation>> = BTreeMap::new();
    for annotation in &truth.annotations {
        objects.entry(annotation.image_id).or_default().push(annotation);
    }
    // How well the compared method does on an image: right boxes among as many as there are objects.
    let mut ranked: Vec<(f64, usize)> = Vec::new();
    for (index, record) in truth.images.iter().enumerate() {
        let Some(objects) = objects.get(&record.id) else { continue };
        let best = best_boxes(&detections[1].1, record.id, objects.len());
        let right = best.iter().filter(|d| is_right(d, objects)).count();
        ranked.push((right as f64 / objects.len() as f64, index));
    }
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let worst: Vec<_> = ranked.iter().rev().take(GALLERY).copied().collect();
    ranked.truncate(GALLERY);
    for (title, chosen) in [("Best validation images", ranked), ("Worst validation images", worst)] {
        let mut images = Vec::new();
        for (share, index) in chosen {
            let record = &truth.images[index];
            let picture =
                scenes.picture(index).map_err(|reason| ReportError::Picture { image: record.id, reason })?;
            images.push(GalleryImage {
                caption: format!(
                    "image {}: {:.0} % of the objects found by {}",
                    record.id,
                    100.0 * share,
                    detections[1].0
                ),
                panels: panels(results, record.id, &objects[&record.id], &detections),
                width: picture.width,
                height: picture.height,
                bytes: picture.bytes,
                mime: picture.mime,
            });
        }
        data.galleries.push(Gallery { title: title.into(), images });
    }
    Ok(())
}

/// The most confused pairs of a classifier, with groups and training images.
fn confused(
    results: &Results,
    method: &str,
    truth: &AnnotationSet,
    found: &[Detection],
) -> Vec<ConfusedPair> {
    let class = |id: i64| results.classes.iter().find(|class| class.category_id == id);
    let group = |id: i64| class(id).and_then(|c| c.train_images).map(FrequencyGroup::from_image_count);
    let named = |id: i64| {
        class(id).map_or_else(
            || id.to_string(),
            |c| {
                let images = c.train_images.unwrap_or_default();
                format!("{} ({}, {images})", c.name, FrequencyGroup::from_image_count(images).letter())
            },
        )
    };
    let pair = |pair: longtail_eval::Confusion| ConfusedPair {
        method: method.to_owned(),
        truth: named(pair.truth),
        claimed: named(pair.claimed),
        count: pair.count,
        total: pair.total,
        across: group(pair.truth) != group(pair.claimed),
    };
    confusions(truth, found).into_iter().take(PAIRS).map(pair).collect()
}

/// Ground truth, then the best boxes of each method.
fn panels(
    results: &Results,
    image: i64,
    objects: &[&Annotation],
    detections: &[(&str, BTreeMap<i64, Vec<Detection>>)],
) -> Vec<Panel> {
    let name = |id: i64| {
        let class = results.classes.iter().find(|class| class.category_id == id);
        class.map_or_else(|| id.to_string(), |class| class.name.clone())
    };
    let truth = |a: &&Annotation| DrawnBox { bbox: a.bbox, label: name(a.category_id), kind: "truth".into() };
    let mut panels = vec![Panel { title: "ground truth".into(), boxes: objects.iter().map(truth).collect() }];
    for (method, by_image) in detections {
        let drawn = |d: Detection| DrawnBox {
            bbox: d.bbox,
            label: format!("{} {:.0}", name(d.category_id), 100.0 * d.score),
            kind: if is_right(&d, objects) { "right".into() } else { "wrong".into() },
        };
        let boxes = best_boxes(by_image, image, objects.len()).into_iter().map(drawn).collect();
        panels.push(Panel { title: (*method).to_owned(), boxes });
    }
    panels
}

fn best_boxes(by_image: &BTreeMap<i64, Vec<Detection>>, image: i64, count: usize) -> Vec<Detection> {
    let mut boxes = by_image.get(&image).cloned().unwrap_or_default();
    boxes.sort_by(|a, b| b.score.total_cmp(&a.score));
    boxes.truncate(count);
    boxes
}

fn is_right(detection: &Detection, objects: &[&Annotation]) -> bool {
    let same = |a: &&&Annotation| a.category_id == detection.category_id;
    objects.iter().filter(same).any(|a| overlap(&detection.bbox, &a.bbox, false) >= RIGHT_IOU)
}
