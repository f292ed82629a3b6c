//! Images, boxes and federated lists of the annotation file.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Findings, Kind};
use longtail_annotations::{Annotation, AnnotationSet, ImageRecord, Layout, check_file_name};

/// What is wrong with a box that is finite or not; `None` for a good one.
pub(crate) fn box_kind(bbox: &[f64; 4], width: u32, height: u32) -> Option<Kind> {
    let [x, y, w, h] = *bbox;
    let (width, height) = (f64::from(width), f64::from(height));
    if bbox.iter().any(|v| !v.is_finite()) {
        Some(Kind::BoxNotFinite)
    } else if w <= 0.0 || h <= 0.0 {
        Some(Kind::BoxWithoutArea)
    } else if x >= width || y >= height || x + w <= 0.0 || y + h <= 0.0 {
        Some(Kind::BoxOutside)
    } else if x < -1.0 || y < -1.0 || x + w > width + 1.0 || y + h > height + 1.0 {
        Some(Kind::BoxReachesOut)
    } else {
        None
    }
}

pub(super) fn check_images<'a>(
    set: &'a AnnotationSet,
    findings: &mut Findings,
) -> FxHashMap<i64, &'a ImageRecord> {
    let mut by_id = FxHashMap::default();
    let mut names = FxHashSet::default();
    for image in &set.images {
        if by_id.insert(image.id, image).is_some() {
            findings.add(Kind::ImageIdRepeated, || format!("image {}", image.id));
        }
        if image.width == 0 || image.height == 0 {
            findings.add(Kind::ImageSizeZero, || format!("image {}", image.id));
        }
        if let Err(reason) = check_file_name(&image.file_name) {
            let example = || format!("image {}: file_name {:?} {reason}", image.id, image.file_name);
            findings.add(Kind::FileNameLeadsOut, example);
        }
        if !names.insert(&image.file_name) {
            findings.add(Kind::FileNameRepeated, || image.file_name.clone());
        }
    }
    by_id
}

pub(super) fn check_annotations(
    set: &AnnotationSet,
    images: &FxHashMap<i64, &ImageRecord>,
    misread: bool,
    findings: &mut Findings,
) {
    let known: FxHashSet<i64> = set.categories.iter().map(|c| c.id).collect();
    let (mut ids, mut places) = (FxHashSet::default(), FxHashSet::default());
    let mut with_boxes = FxHashSet::default();
    for annotation in &set.annotations {
        let name = || format!("annotation {}: bbox {:?}", annotation.id, annotation.bbox);
        with_boxes.insert(annotation.image_id);
        if !ids.insert(annotation.id) {
            findings.add(Kind::AnnotationIdRepeated, name);
        }
        if annotation.id == 0 && set.layout == Layout::Lvis {
            findings.add(Kind::AnnotationIdZero, name);
        }
        if !known.contains(&annotation.category_id) {
            let example = || format!("annotation {}: category_id {}", annotation.id, annotation.category_id);
            findings.add(Kind::UnknownCategory, example);
        }
        match images.get(&annotation.image_id) {
            None => {
                let example = || format!("annotation {}: image_id {}", annotation.id, annotation.image_id);
                findings.add(Kind::UnknownImage, example);
            }
            // Of a set that is misread as a whole, what single boxes look like means nothing.
            Some(_) if misread => {}
            Some(image) => check_box(annotation, image, findings),
        }
        if !places.insert(identity(annotation)) {
            findings.add(Kind::BoxTwice, name);
        }
    }
    for image in set.images.iter().filter(|image| !with_boxes.contains(&image.id)) {
        findings.add(Kind::ImageWithoutBoxes, || format!("image {}", image.id));
    }
}

/// What two annotations of the same box share.
pub(crate) fn identity(annotation: &Annotation) -> (i64, i64, [u64; 4]) {
    (annotation.image_id, annotation.category_id, annotation.bbox.map(f64::to_bits))
}

fn check_box(annotation: &Annotation, image: &ImageRecord, findings: &mut Findings) {
    // An image whose size nobody knows is told as that.
    if image.width == 0 || image.height == 0 {
        return;
    }
    if let Some(kind) = box_kind(&annotation.bbox, image.width, image.height) {
        findings.add(kind, || {
            let size = [image.width, image.height];
            format!("annotation {}: bbox {:?} in an image of {size:?}", annotation.id, annotation.bbox)
        });
    }
}

pub(super) fn check_federated(set: &AnnotationSet, findings: &mut Findings) {
    if set.layout != Layout::Lvis {
        return;
    }
    let known: FxHashSet<i64> = set.categories.iter().map(|c| c.id).collect();
    let present: FxHashSet<(i64, i64)> =
        set.annotations.iter().map(|a| (a.image_id, a.category_id)).collect();
    for image in &set.images {
        if image.neg_category_ids.is_none() || image.not_exhaustive_category_ids.is_none() {
            findings.add(Kind::FederatedFieldsMissing, || format!("image {}", image.id));
        }
        let example = |id: &i64| format!("image {}: category {id}", image.id);
        for list in [&image.neg_category_ids, &image.not_exhaustive_category_ids] {
            let mut seen = FxHashSet::default();
            for id in list.iter().flatten() {
                if !seen.insert(id) {
                    findings.add(Kind::ListRepeatsCategory, || example(id));
                }
                if !known.contains(id) {
                    findings.add(Kind::ListNamesUnknownCategory, || example(id));
                }
            }
        }
        let not_exhaustive: FxHashSet<i64> =
            image.not_exhaustive_category_ids.iter().flatten().copied().collect();
        for id in image.neg_category_ids.iter().flatten() {
            if present.contains(&(image.id, *id)) {
                findings.add(Kind::AbsentButAnnotated, || example(id));
            }
            if not_exhaustive.contains(id) {
                findings.add(Kind::AbsentAndNotExhaustive, || example(id));
            }
        }
    }
    for category in set.categories.iter().filter(|c| c.frequency.is_none()) {
        findings.add(Kind::FrequencyMissing, || category.name.clone());
    }
}
