//! COCO as LVIS and LVIS as COCO: what each says of classes that an image does not show.

use std::path::Path;

use rustc_hash::FxHashSet;

use super::writer::write_document;
use crate::{
    document::{Document, Losses},
    error::FormatError,
    formats::DataFormat,
};
use longtail_annotations::{ClassCounts, FrequencyGroup, LabelMap, Layout};

/// Writes a document as COCO or LVIS JSON.
pub(crate) fn write(document: &Document, path: &Path, format: DataFormat) -> Result<Losses, FormatError> {
    let mut losses = Losses::default();
    match (document.set.layout, format) {
        (Layout::Coco, DataFormat::Lvis) => write_document(&to_lvis(document, &mut losses), path)?,
        (Layout::Lvis, DataFormat::Coco) => write_document(&to_coco(document, &mut losses), path)?,
        _ => write_document(document, path)?,
    }
    Ok(losses)
}

/// A COCO set in LVIS layout. COCO annotates every class everywhere, so that a class without boxes is verified absent
/// and one with a crowd box is not exhaustively annotated; LVIS has no crowd boxes.
pub fn to_lvis(document: &Document, losses: &mut Losses) -> Document {
    let mut document = document.clone();
    let of_image = document.annotations_by_image();
    let set = &mut document.set;
    let ids: Vec<i64> = set.categories.iter().map(|category| category.id).collect();
    for (image, places) in set.images.iter_mut().zip(of_image) {
        let annotations = || places.iter().map(|&place| &set.annotations[place]);
        let present: FxHashSet<i64> = annotations().map(|a| a.category_id).collect();
        let crowded: FxHashSet<i64> = annotations().filter(|a| a.iscrowd).map(|a| a.category_id).collect();
        image.neg_category_ids = Some(ids.iter().copied().filter(|id| !present.contains(id)).collect());
        image.not_exhaustive_category_ids =
            Some(ids.iter().copied().filter(|id| crowded.contains(id)).collect());
    }
    set.layout = Layout::Lvis;
    let before = set.annotations.len();
    document.retain_annotations(|annotation, _| !annotation.iscrowd);
    let crowds = before - document.set.annotations.len();
    losses.add_many("crowd boxes (their classes become not exhaustively annotated)", crowds as u64);
    set_frequencies(&mut document, false);
    document
}

/// A LVIS set in COCO layout, which knows no absent and no half annotated classes.
fn to_coco(document: &Document, losses: &mut Losses) -> Document {
    let mut document = document.clone();
    let set = &mut document.set;
    set.layout = Layout::Coco;
    for image in &mut set.images {
        if image.neg_category_ids.take().is_some() | image.not_exhaustive_category_ids.take().is_some() {
            losses.add("image lists of verified absent and not exhaustively annotated classes");
        }
    }
    for category in &mut set.categories {
        if category.frequency.take().is_some() {
            losses.add("category frequency letters");
        }
    }
    document
}

/// Sets the frequency letters by the images of each class; only the missing ones, or all.
pub fn set_frequencies(document: &mut Document, all: bool) {
    let labels = LabelMap::new(&document.set.categories);
    let counts = ClassCounts::of(&document.set, &labels);
    for category in document.set.categories.iter_mut().filter(|c| all || c.frequency.is_none()) {
        let count = labels.label(category.id).map_or(0, |label| counts.images[label as usize]);
        category.frequency = Some(FrequencyGroup::from_image_count(count));
    }
}
