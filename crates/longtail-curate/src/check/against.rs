//! One file held against another, as a training set against its validation set.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    Findings, Kind,
    files::{Look, pictures},
    names::plain,
};
use crate::similarity::{Likeness, near_duplicates};
use longtail_annotations::{AnnotationSet, ClassCounts, LabelMap};

/// Classes of both: whether ids mean the same, and whether what is asked there can be learnt here.
pub(super) fn check_classes(set: &AnnotationSet, other: &AnnotationSet, findings: &mut Findings) {
    let names: FxHashMap<i64, &str> = set.categories.iter().map(|c| (c.id, c.name.as_str())).collect();
    for category in &other.categories {
        match names.get(&category.id) {
            None => {
                findings.add(Kind::CategoryOnlyInOther, || {
                    format!("category {}: {:?}", category.id, category.name)
                });
            }
            Some(name) if plain(name) != plain(&category.name) => {
                let example =
                    || format!("category {}: {name:?} here, {:?} there", category.id, category.name);
                findings.add(Kind::CategoriesDisagree, example);
            }
            Some(_) => {}
        }
    }
    let labels = LabelMap::new(&other.categories);
    let mine = ClassCounts::of(set, &labels);
    let theirs = ClassCounts::of(other, &labels);
    for label in 0..labels.len() {
        if theirs.instances[label] > 0 && mine.instances[label] == 0 {
            let boxes = theirs.instances[label];
            let example = || format!("{} ({boxes} boxes there)", labels.name(label as u32));
            findings.add(Kind::ClassNeverTrained, example);
        }
    }
}

/// Without pixels, names are all there is.
pub(super) fn check_file_names(set: &AnnotationSet, other: &AnnotationSet, findings: &mut Findings) {
    let mine: FxHashSet<(&str, u32, u32)> =
        set.images.iter().map(|i| (i.file_name.as_str(), i.width, i.height)).collect();
    for image in &other.images {
        if mine.contains(&(image.file_name.as_str(), image.width, image.height)) {
            findings.add(Kind::SameNameInBoth, || image.file_name.clone());
        }
    }
}

/// Pictures of the other set that are in this one too. Counted are the other's, each once.
pub(super) fn check_pictures(
    set: &AnnotationSet,
    mine: &[Look],
    other: &AnnotationSet,
    theirs: &[Look],
    findings: &mut Findings,
) {
    let (my_places, mut all) = pictures(mine);
    let (their_places, theirs) = pictures(theirs);
    let count = all.len();
    all.extend(theirs);
    let same: FxHashMap<u128, usize> =
        all[..count].iter().enumerate().rev().map(|(p, f)| (f.pixels, p)).collect();
    let pairs = near_duplicates(&all);
    let groups = crate::similarity::groups_of(all.len(), &pairs);
    let direct: FxHashMap<usize, (usize, f32)> = pairs
        .iter()
        .filter(|pair| pair.places[0] < count && pair.places[1] >= count)
        .filter_map(|pair| match pair.likeness {
            Likeness::Near(likeness) => Some((pair.places[1], (pair.places[0], likeness))),
            Likeness::Same => None,
        })
        .collect();
    let mut first_here: FxHashMap<usize, usize> = FxHashMap::default();
    for place in (0..count).rev() {
        first_here.insert(groups[place], place);
    }
    let my_name = |place: usize| &set.images[my_places[place]].file_name;
    for place in count..all.len() {
        let name = &other.images[their_places[place - count]].file_name;
        if let Some(&twin) = same.get(&all[place].pixels) {
            findings.add(Kind::SamePictureInBoth, || format!("{name} there is {} here", my_name(twin)));
        } else if let Some(&twin) = first_here.get(&groups[place]) {
            findings.add(Kind::NearDuplicateInBoth, || match direct.get(&place) {
                Some(&(twin, likeness)) => {
                    format!("{name} there is like {} here (correlation {likeness:.3})", my_name(twin))
                }
                None => format!("{name} there is of a group with {} here", my_name(twin)),
            });
        }
    }
}
