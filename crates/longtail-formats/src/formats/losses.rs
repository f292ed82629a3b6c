//! What a format cannot hold, counted before it is left out.

use rustc_hash::FxHashMap;

use crate::document::{Document, Losses, Members};

/// What a format holds beside images, boxes and classes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Held {
    /// Members of images, annotations and categories.
    pub image: &'static [&'static str],
    pub annotation: &'static [&'static str],
    pub category: &'static [&'static str],
    /// Lists of verified absent and not exhaustively annotated classes.
    pub federated: bool,
    /// An area that is not the box's.
    pub area: bool,
    /// Ids of images and annotations.
    pub ids: bool,
}

/// Counts what a document has and the format lacks. Crowd and ignored boxes are for the writer to count, which knows
/// what becomes of them.
pub(crate) fn count(document: &Document, held: Held) -> Losses {
    let mut losses = Losses::default();
    let set = &document.set;
    for (name, _) in document.extras.header.iter() {
        losses.add(&format!("file field `{name}`"));
    }
    let mut members = |kind: &str, list: &[Members], held: &[&str]| {
        let mut counts: FxHashMap<&str, u64> = FxHashMap::default();
        for (name, _) in list.iter().flat_map(Members::iter).filter(|(name, _)| !held.contains(name)) {
            *counts.entry(name).or_default() += 1;
        }
        for (name, count) in counts {
            losses.add_many(&format!("{kind} field `{name}`"), count);
        }
    };
    members("image", &document.extras.images, held.image);
    members("annotation", &document.extras.annotations, held.annotation);
    members("category", &document.extras.categories, held.category);
    let count = |test: &dyn Fn(usize) -> bool, length: usize| (0..length).filter(|i| test(*i)).count() as u64;
    if !held.federated {
        let listed = |i: usize| {
            let image = &set.images[i];
            image.neg_category_ids.is_some() || image.not_exhaustive_category_ids.is_some()
        };
        let what = "image lists of verified absent and not exhaustively annotated classes";
        losses.add_many(what, count(&listed, set.images.len()));
        let lettered = count(&|i| set.categories[i].frequency.is_some(), set.categories.len());
        losses.add_many("category frequency letters", lettered);
    }
    if !held.area {
        let differs = |i: usize| {
            let annotation = &set.annotations[i];
            let own = annotation.bbox[2] * annotation.bbox[3];
            annotation.area.is_some_and(|area| (area - own).abs() > 1e-6 * own.abs())
        };
        losses.add_many("annotation areas (of masks)", count(&differs, set.annotations.len()));
    }
    if !held.ids {
        let renumbered = |i: usize| set.images[i].id != i as i64 + 1;
        losses.add_many("image ids (renumbered by file name)", count(&renumbered, set.images.len()));
    }
    losses
}
