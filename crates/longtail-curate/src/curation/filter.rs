//! Boxes by size, shape and class; images without boxes.

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;

use super::{keep_categories, named_classes, recount};
use crate::error::CurateError;
use longtail_annotations::{Annotation, Layout};
use longtail_formats::{Document, Losses};

/// What stays. The default keeps everything.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filter {
    /// Least width and height, in pixels.
    pub min_side: Option<f64>,
    /// Most width and height, in pixels.
    pub max_side: Option<f64>,
    /// Least width × height, in pixels.
    pub min_area: Option<f64>,
    /// Most width × height, in pixels.
    pub max_area: Option<f64>,
    /// Most of the longer side over the shorter.
    pub max_aspect: Option<f64>,
    /// Only these classes.
    pub classes: Option<Vec<String>>,
    /// None of these classes.
    pub except_classes: Vec<String>,
    /// No crowd boxes.
    pub no_crowd: bool,
    /// No images without boxes, before or after.
    pub no_empty_images: bool,
    /// Boxes that are too small, large or long become crowd boxes, which are neither trained on nor scored,
    /// instead of disappearing: their objects are still in the image.
    pub as_crowd: bool,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct FilterReport {
    /// Images before and after.
    pub images: [usize; 2],
    /// Boxes before and after.
    pub boxes: [usize; 2],
    /// Classes before and after.
    pub classes: [usize; 2],
    /// Boxes by the reason why they did not stay as they were.
    pub boxes_by_reason: Losses,
}

/// Filters a set. In LVIS layout, a class that loses boxes in an image is no longer exhaustively annotated
/// there.
///
/// # Errors
/// If a class is not known, or a bound is not a number above 0.
pub fn filter(document: &Document, filter: &Filter) -> Result<(Document, FilterReport), CurateError> {
    let bounds = [
        ("min-side", filter.min_side),
        ("max-side", filter.max_side),
        ("min-area", filter.min_area),
        ("max-area", filter.max_area),
        ("max-aspect", filter.max_aspect),
    ];
    for (field, bound) in bounds {
        if let Some(bound) = bound.filter(|bound| !(bound.is_finite() && *bound >= 0.0)) {
            return Err(CurateError::Setting {
                field,
                reason: format!("is {bound}, expected a number from 0 on"),
            });
        }
    }
    let set = &document.set;
    let mut wanted: FxHashSet<i64> = match &filter.classes {
        Some(names) => named_classes(set, names)?,
        None => set.categories.iter().map(|c| c.id).collect(),
    };
    for id in named_classes(set, &filter.except_classes)? {
        wanted.remove(&id);
    }
    let mut report = FilterReport {
        images: [set.images.len(); 2],
        boxes: [set.annotations.len(); 2],
        classes: [set.categories.len(); 2],
        ..FilterReport::default()
    };
    let mut result = document.clone();
    if filter.as_crowd {
        for annotation in result.set.annotations.iter_mut().filter(|a| !a.iscrowd) {
            if let Some(why) = filter.misfit(annotation).filter(|_| wanted.contains(&annotation.category_id))
            {
                report.boxes_by_reason.add(why);
                annotation.iscrowd = true;
            }
        }
    }
    let mut opened: FxHashMap<i64, Vec<i64>> = FxHashMap::default();
    result.retain_annotations(|annotation, _| {
        let why = if !wanted.contains(&annotation.category_id) {
            Some("of other classes")
        } else if filter.no_crowd && annotation.iscrowd && !filter.as_crowd {
            Some("crowds")
        } else if annotation.iscrowd {
            None
        } else {
            filter.misfit(annotation)
        };
        if let Some(why) = why {
            report.boxes_by_reason.add(why);
            opened.entry(annotation.image_id).or_default().push(annotation.category_id);
        }
        why.is_none()
    });
    if set.layout == Layout::Lvis {
        for image in &mut result.set.images {
            let list = image.not_exhaustive_category_ids.get_or_insert_default();
            for id in opened.remove(&image.id).into_iter().flatten() {
                if !list.contains(&id) {
                    list.push(id);
                }
            }
        }
    }
    if wanted.len() < set.categories.len() {
        keep_categories(&mut result, &wanted);
    }
    if filter.no_empty_images {
        let kept: Vec<bool> = result.annotations_by_image().iter().map(|places| !places.is_empty()).collect();
        result.retain_images(&kept);
    }
    recount(&mut result);
    report.images[1] = result.set.images.len();
    report.boxes[1] = result.set.annotations.len();
    report.classes[1] = result.set.categories.len();
    Ok((result, report))
}

impl Filter {
    /// Why a box's size or shape does not fit.
    fn misfit(&self, annotation: &Annotation) -> Option<&'static str> {
        let [_, _, w, h] = annotation.bbox;
        let (short, long) = (w.min(h), w.max(h));
        let below = |value: f64, bound: Option<f64>| bound.is_some_and(|bound| value < bound);
        let above = |value: f64, bound: Option<f64>| bound.is_some_and(|bound| value > bound);
        if below(short, self.min_side) || below(w * h, self.min_area) {
            Some("too small")
        } else if above(long, self.max_side) || above(w * h, self.max_area) {
            Some("too large")
        } else if self.max_aspect.is_some_and(|most| long > most * short) {
            Some("too long")
        } else {
            None
        }
    }
}
