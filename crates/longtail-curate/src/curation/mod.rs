//! Data sets made from data sets: joined, split, cut down to a tail of choice, filtered.
//!
//! | module | what |
//! | --- | --- |
//! | [`mod@merge`] | several sets as one: classes joined by name, ids renumbered where they clash |
//! | [`mod@split`], [`groups`] | parts with every class in its share, groups of images together |
//! | [`mod@subset`] | fewer classes or images, or class counts of choice, exponential ones too |
//! | [`mod@filter`] | boxes by size, shape and class; images without boxes |

pub mod filter;
pub mod groups;
pub mod merge;
pub mod split;
pub mod subset;

pub use filter::{Filter, FilterReport, filter};
pub use groups::Groups;
pub use merge::{Duplicates, MergeOptions, MergeReport, merge};
pub use split::{SplitOptions, SplitReport, split};
pub use subset::{ClassCount, CountUnit, Selection, SubsetReport, subset};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::error::CurateError;
use longtail_annotations::{AnnotationSet, LabelMap, Layout};
use longtail_formats::{Document, set_frequencies};

/// Drops what a file said of its counts, and sets the letters of LVIS by what is there now.
fn recount(document: &mut Document) {
    for members in &mut document.extras.categories {
        members.remove("image_count");
        members.remove("instance_count");
    }
    if document.set.layout == Layout::Lvis {
        set_frequencies(document, true);
    }
}

/// Places of the named classes.
///
/// # Errors
/// If the set has no class of a name.
fn named_classes(set: &AnnotationSet, names: &[String]) -> Result<FxHashSet<i64>, CurateError> {
    let ids: FxHashMap<&str, i64> = set.categories.iter().map(|c| (&*c.name, c.id)).collect();
    names
        .iter()
        .map(|name| {
            ids.get(&**name).copied().ok_or_else(|| CurateError::Setting {
                field: "classes",
                reason: format!("names `{name}`, which is not a class of {}", set.label()),
            })
        })
        .collect()
}

/// Keeps the categories of the ids, with what images say of them. Annotations of others must be gone.
fn keep_categories(document: &mut Document, ids: &FxHashSet<i64>) {
    let kept: Vec<bool> = document.set.categories.iter().map(|c| ids.contains(&c.id)).collect();
    document.retain_categories(&kept);
    for image in &mut document.set.images {
        for list in
            [&mut image.neg_category_ids, &mut image.not_exhaustive_category_ids].into_iter().flatten()
        {
            list.retain(|id| ids.contains(id));
        }
    }
}

/// How often each class occurs in each image: label and number of its boxes, by the image's place. Crowds do
/// not count.
fn classes_of_images(document: &Document, labels: &LabelMap) -> Vec<Vec<(usize, u64)>> {
    let of_image = document.annotations_by_image();
    let count = |places: &Vec<usize>| {
        let annotations = places.iter().map(|&place| &document.set.annotations[place]);
        let mut counts: Vec<(usize, u64)> = Vec::new();
        for annotation in annotations.filter(|a| !a.iscrowd) {
            let Some(label) = labels.label(annotation.category_id) else { continue };
            match counts.iter_mut().find(|(known, _)| *known == label as usize) {
                Some((_, count)) => *count += 1,
                None => counts.push((label as usize, 1)),
            }
        }
        counts
    };
    of_image.iter().map(count).collect()
}
