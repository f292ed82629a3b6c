//! What is repaired.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Change, Entry, text::Entries};
use crate::check::{Kind, box_kind, identity};
use longtail_annotations::{Annotation, AnnotationSet, ImageRecord, Layout};

/// What becomes of the entries of a file, by place.
#[derive(Default)]
pub(super) struct Plan {
    pub images: BTreeMap<usize, Entry>,
    pub annotations: BTreeMap<usize, Entry>,
    pub changes: Vec<Change>,
    /// The entries that change, as they will be read.
    new_images: BTreeMap<usize, ImageRecord>,
    new_annotations: BTreeMap<usize, Option<Annotation>>,
}

impl Plan {
    pub fn new(set: &AnnotationSet, sizes: &BTreeMap<i64, [u32; 2]>, entries: &Entries<'_>) -> Self {
        let mut plan = Self::default();
        let sizes = plan.measure(set, sizes);
        plan.mend_annotations(set, &sizes, entries);
        if set.layout == Layout::Lvis {
            plan.mend_lists(set);
        }
        plan
    }

    /// The set as the repaired file will be read.
    pub fn applied(&self, mut set: AnnotationSet) -> AnnotationSet {
        for (&place, image) in &self.new_images {
            set.images[place] = image.clone();
        }
        let mut place = 0;
        set.annotations.retain_mut(|annotation| {
            let new = self.new_annotations.get(&place);
            place += 1;
            match new {
                Some(Some(new)) => *annotation = new.clone(),
                Some(None) => return false,
                None => {}
            }
            true
        });
        set
    }

    fn told(&mut self, kind: Kind, entry: String, action: impl Into<String>) {
        self.changes.push(Change { kind, entry, action: action.into() });
    }

    /// Gives images their measured size; returns the size of every image by id.
    fn measure(&mut self, set: &AnnotationSet, sizes: &BTreeMap<i64, [u32; 2]>) -> FxHashMap<i64, [u32; 2]> {
        let mut by_id = FxHashMap::default();
        for (place, image) in set.images.iter().enumerate() {
            let said = [image.width, image.height];
            let found = sizes.get(&image.id).copied().unwrap_or(said);
            if by_id.insert(image.id, found).is_some() || found == said {
                continue;
            }
            let [width, height] = found;
            let members = vec![("width", width.to_string()), ("height", height.to_string())];
            self.images.insert(place, Entry::Changed(members));
            self.new_images.insert(place, ImageRecord { width, height, ..image.clone() });
            let action = format!("width and height {said:?} became {found:?}");
            self.told(Kind::SizeMismatch, format!("image {}", image.id), action);
        }
        by_id
    }

    fn mend_annotations(
        &mut self,
        set: &AnnotationSet,
        sizes: &FxHashMap<i64, [u32; 2]>,
        entries: &Entries<'_>,
    ) {
        let known: FxHashSet<i64> = set.categories.iter().map(|c| c.id).collect();
        let mut next_id = set.annotations.iter().map(|a| a.id).max().unwrap_or(0).max(0).checked_add(1);
        let (mut ids, mut boxes) = (FxHashSet::default(), FxHashMap::default());
        for (place, annotation) in set.annotations.iter().enumerate() {
            let entry = || format!("annotation {}", annotation.id);
            let wrong = if !known.contains(&annotation.category_id) {
                Some(Kind::UnknownCategory)
            } else {
                match sizes.get(&annotation.image_id) {
                    None => Some(Kind::UnknownImage),
                    Some([width, height]) => box_kind(&annotation.bbox, *width, *height),
                }
            };
            match wrong {
                None | Some(Kind::BoxReachesOut) => {}
                Some(kind) => {
                    self.drop_annotation(place, kind, entry(), "left out");
                    continue;
                }
            }
            let clip_to = sizes.get(&annotation.image_id).filter(|_| wrong == Some(Kind::BoxReachesOut));
            let mut new = annotation.clone();
            if let Some(&size) = clip_to {
                clip(&mut new, size);
            }
            // Boxes can be the same only once they are clipped.
            if let Some(&(twin, area, clipped)) = boxes.get(&identity(&new)) {
                let changed = clipped || clip_to.is_some();
                let members: &[&str] = if changed { &["id", "bbox", "area"] } else { &["id"] };
                if entries.same_but(members, twin, place) == Some(true) && (!changed || area == new.area) {
                    let action = format!("left out: it repeats annotation {}", set.annotations[twin].id);
                    self.drop_annotation(place, Kind::BoxTwice, entry(), action);
                    continue;
                }
            }
            boxes.entry(identity(&new)).or_insert((place, new.area, clip_to.is_some()));
            let mut members = Vec::new();
            if clip_to.is_some() {
                members.push(("bbox", json(&new.bbox)));
                if let Some(area) = new.area.filter(|_| new.area != annotation.area) {
                    members.push(("area", json(&area)));
                }
                let action = format!("bbox {:?} became {:?}", annotation.bbox, new.bbox);
                self.told(Kind::BoxReachesOut, entry(), action);
            }
            let zero = annotation.id == 0 && set.layout == Layout::Lvis;
            if zero || !ids.insert(annotation.id) {
                // Without a larger number the id stays, and is found again.
                if let Some(id) = next_id {
                    let kind = if zero { Kind::AnnotationIdZero } else { Kind::AnnotationIdRepeated };
                    self.told(
                        kind,
                        format!("annotation {} (entry {place})", annotation.id),
                        format!("id became {id}"),
                    );
                    members.push(("id", id.to_string()));
                    new.id = id;
                    next_id = id.checked_add(1);
                }
            }
            if !members.is_empty() {
                self.annotations.insert(place, Entry::Changed(members));
                self.new_annotations.insert(place, Some(new));
            }
        }
    }

    fn drop_annotation(&mut self, place: usize, kind: Kind, entry: String, action: impl Into<String>) {
        self.annotations.insert(place, Entry::Dropped);
        self.new_annotations.insert(place, None);
        self.told(kind, entry, action);
    }

    fn mend_lists(&mut self, set: &AnnotationSet) {
        let known: FxHashSet<i64> = set.categories.iter().map(|c| c.id).collect();
        let stays = |place: &usize| !matches!(self.new_annotations.get(place), Some(None));
        let present: FxHashSet<(i64, i64)> = (0..set.annotations.len())
            .filter(stays)
            .map(|place| (set.annotations[place].image_id, set.annotations[place].category_id))
            .collect();
        for (place, image) in set.images.iter().enumerate() {
            let mut new = self.new_images.get(&place).cloned().unwrap_or_else(|| image.clone());
            let mut members = Vec::new();
            let lists = [
                ("neg_category_ids", &mut new.neg_category_ids),
                ("not_exhaustive_category_ids", &mut new.not_exhaustive_category_ids),
            ];
            for (name, list) in lists {
                let Some(list) = list else { continue };
                let before = list.len();
                let mut seen = FxHashSet::default();
                list.retain(|id| {
                    let kind = if !known.contains(id) {
                        Kind::ListNamesUnknownCategory
                    } else if !seen.insert(*id) {
                        Kind::ListRepeatsCategory
                    } else if name == "neg_category_ids" && present.contains(&(image.id, *id)) {
                        Kind::AbsentButAnnotated
                    } else {
                        return true;
                    };
                    let action = format!("category {id} left {name}");
                    self.changes.push(Change { kind, entry: format!("image {}", image.id), action });
                    false
                });
                if list.len() != before {
                    members.push((name, json(list)));
                }
            }
            if members.is_empty() {
                continue;
            }
            match self.images.get_mut(&place) {
                Some(Entry::Changed(others)) => others.extend(members),
                _ => drop(self.images.insert(place, Entry::Changed(members))),
            }
            self.new_images.insert(place, new);
        }
    }
}

/// Cuts a box to its image. An area that was the box's stays so; a mask's is left alone.
fn clip(annotation: &mut Annotation, [width, height]: [u32; 2]) {
    let [x, y, w, h] = annotation.bbox;
    let along = |start: f64, length: f64, limit: u32| {
        let (from, to) = (start.max(0.0), (start + length).min(f64::from(limit)));
        (from, to - from)
    };
    let ((x1, w1), (y1, h1)) = (along(x, w, width), along(y, h, height));
    annotation.bbox = [x1, y1, w1, h1];
    if annotation.area.is_some_and(|area| (area - w * h).abs() <= 1e-6 * (w * h)) {
        annotation.area = Some(w1 * h1);
    }
}

/// Finite numbers and lists of them always have JSON.
fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
