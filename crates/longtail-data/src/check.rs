//! Everything that is wrong with a data set, found in one pass.

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;

use crate::{
    annotation::{Annotation, AnnotationSet, ImageRecord, Layout},
    error::DataError,
    file_name::check_file_name,
    folder::ImageFolder,
    frequency::ClassCounts,
    label_map::LabelMap,
    source::ImageSource,
};

/// Examples kept of each kind of finding.
const EXAMPLES: usize = 5;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Training or evaluation refuses the set.
    Error,
    /// Something is left out or suspicious.
    Warning,
    /// Good to know.
    Note,
}

/// A kind of finding with how often it occurs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong and what it means.
    pub message: &'static str,
    /// How often.
    pub count: usize,
    /// The first few entries.
    pub examples: Vec<String>,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, severity: Severity, message: &'static str, example: impl FnOnce() -> String) {
        let place = self.0.iter().position(|f| f.message == message).unwrap_or_else(|| {
            self.0.push(Finding { severity, message, count: 0, examples: Vec::new() });
            self.0.len() - 1
        });
        let finding = &mut self.0[place];
        finding.count += 1;
        if finding.examples.len() < EXAMPLES {
            finding.examples.push(example());
        }
    }
}

/// Lists all findings, errors first. With `images` every file is decoded and measured.
pub fn check(
    set: &AnnotationSet,
    images: Option<&ImageFolder>,
    progress: &(dyn Fn() + Sync),
) -> Vec<Finding> {
    let mut findings = Findings::default();
    if set.images.is_empty() {
        findings
            .add(Severity::Error, "no images: there is nothing to train on or to evaluate", || set.label());
    }
    if set.categories.is_empty() {
        findings.add(Severity::Error, "no categories: there is nothing to detect", || set.label());
    }
    let by_id = check_images(set, &mut findings);
    check_categories(set, &mut findings);
    check_annotations(set, &by_id, &mut findings);
    check_federated(set, &mut findings);
    if let Some(folder) = images {
        check_files(set, folder, progress, &mut findings);
    }
    findings.0.sort_by_key(|f| f.severity);
    findings.0
}

fn check_images<'a>(set: &'a AnnotationSet, findings: &mut Findings) -> FxHashMap<i64, &'a ImageRecord> {
    let mut by_id = FxHashMap::default();
    let mut names = FxHashSet::default();
    for image in &set.images {
        if by_id.insert(image.id, image).is_some() {
            findings.add(Severity::Error, "image ids repeated", || format!("image {}", image.id));
        }
        if image.width == 0 || image.height == 0 {
            findings.add(Severity::Error, "images with width or height 0", || format!("image {}", image.id));
        }
        if let Err(reason) = check_file_name(&image.file_name) {
            let example = || format!("image {}: file_name {:?} {reason}", image.id, image.file_name);
            findings.add(Severity::Error, "file names that lead out of the image folder", example);
        }
        if !names.insert(&image.file_name) {
            findings.add(Severity::Warning, "file names used by several images", || image.file_name.clone());
        }
    }
    by_id
}

fn check_categories(set: &AnnotationSet, findings: &mut Findings) {
    let (mut ids, mut names) = (FxHashSet::default(), FxHashMap::default());
    for category in &set.categories {
        if !ids.insert(category.id) {
            findings.add(Severity::Error, "category ids repeated", || format!("category {}", category.id));
        }
        let plain = category.name.trim().to_lowercase();
        if let Some(other) = names.insert(plain, &category.name) {
            let both = || format!("{other:?} and {:?}", category.name);
            findings.add(Severity::Warning, "category names that differ at most by case or spaces", both);
        }
    }
    let (lowest, highest) = (ids.iter().min(), ids.iter().max());
    if let (Some(lowest), Some(highest)) = (lowest, highest)
        && highest - lowest + 1 > ids.len() as i64
    {
        let example = || format!("{} categories with ids {lowest} to {highest}", ids.len());
        findings.add(Severity::Note, "category ids have gaps (handled: labels are contiguous)", example);
    }
    let labels = LabelMap::new(&set.categories);
    let counts = ClassCounts::of(set, &labels);
    for label in (0..labels.len()).filter(|&label| counts.instances[label] == 0) {
        let name = || labels.name(label as u32).to_owned();
        findings.add(Severity::Note, "categories without any box: they cannot be learnt from this set", name);
    }
}

fn check_annotations(set: &AnnotationSet, images: &FxHashMap<i64, &ImageRecord>, findings: &mut Findings) {
    let known: FxHashSet<i64> = set.categories.iter().map(|c| c.id).collect();
    let (mut ids, mut places) = (FxHashSet::default(), FxHashSet::default());
    let mut with_boxes = FxHashSet::default();
    for annotation in &set.annotations {
        let name = || format!("annotation {}: bbox {:?}", annotation.id, annotation.bbox);
        with_boxes.insert(annotation.image_id);
        if !ids.insert(annotation.id) {
            findings.add(Severity::Error, "annotation ids repeated", name);
        }
        if annotation.id == 0 && set.layout == Layout::Lvis {
            let message = "an annotation with id 0: the LVIS protocol reads a match with it as none";
            findings.add(Severity::Warning, message, name);
        }
        if !known.contains(&annotation.category_id) {
            let example = || format!("annotation {}: category_id {}", annotation.id, annotation.category_id);
            findings.add(Severity::Error, "annotations of unknown categories", example);
        }
        match images.get(&annotation.image_id) {
            None => {
                let example = || format!("annotation {}: image_id {}", annotation.id, annotation.image_id);
                findings.add(Severity::Error, "annotations of unknown images", example);
            }
            Some(image) => check_box(annotation, image, findings),
        }
        let bits = annotation.bbox.map(f64::to_bits);
        if !places.insert((annotation.image_id, annotation.category_id, bits)) {
            findings.add(Severity::Warning, "boxes annotated twice (same image, category, corners)", name);
        }
    }
    for image in set.images.iter().filter(|image| !with_boxes.contains(&image.id)) {
        findings.add(Severity::Note, "images without any box (trained on as background)", || {
            format!("image {}", image.id)
        });
    }
}

fn check_box(annotation: &Annotation, image: &ImageRecord, findings: &mut Findings) {
    let [x, y, w, h] = annotation.bbox;
    let example = || {
        let size = [image.width, image.height];
        format!("annotation {}: bbox {:?} in an image of {size:?}", annotation.id, annotation.bbox)
    };
    let (width, height) = (f64::from(image.width), f64::from(image.height));
    if annotation.bbox.iter().any(|v| !v.is_finite()) {
        findings.add(Severity::Error, "boxes that are not finite", example);
    } else if w <= 0.0 || h <= 0.0 {
        findings.add(Severity::Warning, "boxes without area (left out of training)", example);
    } else if x >= width || y >= height || x + w <= 0.0 || y + h <= 0.0 {
        findings.add(Severity::Warning, "boxes outside of their image (left out of training)", example);
    } else if x < -1.0 || y < -1.0 || x + w > width + 1.0 || y + h > height + 1.0 {
        findings.add(Severity::Warning, "boxes that reach out of their image (clipped in training)", example);
    }
}

fn check_federated(set: &AnnotationSet, findings: &mut Findings) {
    if set.layout != Layout::Lvis {
        return;
    }
    let mut present: FxHashMap<i64, FxHashSet<i64>> = FxHashMap::default();
    for annotation in &set.annotations {
        present.entry(annotation.image_id).or_default().insert(annotation.category_id);
    }
    for image in &set.images {
        if image.neg_category_ids.is_none() || image.not_exhaustive_category_ids.is_none() {
            let message = "images without neg_category_ids or not_exhaustive_category_ids: the LVIS protocol needs both";
            findings.add(Severity::Error, message, || format!("image {}", image.id));
        }
        for id in image.neg_category_ids.iter().flatten() {
            if present.get(&image.id).is_some_and(|ids| ids.contains(id)) {
                let example = || format!("image {}: category {id}", image.id);
                findings.add(Severity::Warning, "categories verified absent but annotated", example);
            }
        }
    }
    for category in set.categories.iter().filter(|c| c.frequency.is_none()) {
        let example = || category.name.clone();
        findings.add(Severity::Warning, "categories without frequency: in none of APr, APc, APf", example);
    }
}

fn check_files(
    set: &AnnotationSet,
    folder: &ImageFolder,
    progress: &(dyn Fn() + Sync),
    findings: &mut Findings,
) {
    let errors: Vec<DataError> = set
        .images
        .par_iter()
        .filter_map(|image| {
            let result = folder.load(image).err();
            progress();
            result
        })
        .collect();
    for error in errors {
        let message = match &error {
            DataError::SizeMismatch { .. } => "images whose pixels have another size than the file says",
            DataError::Decode { .. } => "images that cannot be decoded",
            _ => "images that cannot be read",
        };
        findings.add(Severity::Error, message, || error.to_string());
    }
}
