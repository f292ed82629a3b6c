//! Several data sets as one.

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;

use super::recount;
use crate::error::CurateError;
use longtail_annotations::{Annotation, AnnotationSet, Layout};
use longtail_formats::{Document, Losses, to_lvis};

/// What becomes of images of one name in several sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Duplicates {
    /// An error.
    #[default]
    Refuse,
    /// Different images: all names of a set get the set's name as a folder.
    Prefix,
    /// The same image: one, with the boxes of all; a box that both have comes once.
    Join,
}

/// How sets are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MergeOptions {
    /// Images of one name.
    pub duplicates: Duplicates,
    /// Says in LVIS layout that images are annotated with the classes of their own set only.
    pub federated: bool,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct MergeReport {
    /// Images of the result.
    pub images: usize,
    /// Boxes of the result.
    pub boxes: usize,
    /// Classes of the result.
    pub classes: usize,
    /// Images that several sets had.
    pub joined_images: usize,
    /// Boxes that several sets had.
    pub repeated_boxes: usize,
    /// Image ids that were taken.
    pub renumbered_images: usize,
    /// Annotation ids that were taken.
    pub renumbered_annotations: usize,
    /// Category ids that were taken, or another set's for the same name.
    pub renumbered_categories: usize,
    /// Classes that some set lacks, while the result says that every image is annotated with every class.
    pub classes_not_in_every_set: Vec<String>,
    /// Fields of files that differ; the first file's were kept.
    pub differing_fields: Vec<String>,
    /// What LVIS layout does not hold.
    pub losses: Losses,
}

/// Ids that are kept as long as nobody has them.
#[derive(Default)]
struct Ids {
    taken: FxHashSet<i64>,
    next: i64,
}

impl Ids {
    /// This id, or else the smallest free one from 1 on.
    fn claim(&mut self, id: i64, renumbered: &mut usize) -> i64 {
        if self.taken.insert(id) {
            return id;
        }
        *renumbered += 1;
        loop {
            self.next = self.next.wrapping_add(1);
            if self.taken.insert(self.next) {
                return self.next;
            }
        }
    }
}

/// Joins sets, each with a name for messages and folders. Classes are the same where their names are.
///
/// # Errors
/// If two images have one name and that is refused, joined images differ in size, or a set has two classes of
/// one name.
pub fn merge(
    inputs: Vec<(String, Document)>,
    options: MergeOptions,
) -> Result<(Document, MergeReport), CurateError> {
    let mut report = MergeReport::default();
    let federated =
        options.federated || inputs.iter().any(|(_, document)| document.set.layout == Layout::Lvis);
    let mut result = Merged::default();
    let mut class_sets: Vec<FxHashSet<String>> = Vec::new();
    for (name, document) in inputs {
        let document = match document.set.layout {
            Layout::Coco if federated => to_lvis(&document, &mut report.losses),
            _ => document,
        };
        class_sets.push(document.set.categories.iter().map(|c| c.name.clone()).collect());
        result.add(&name, document, options.duplicates, &mut report)?;
    }
    let mut document = result.document;
    document.set.layout = if federated { Layout::Lvis } else { Layout::Coco };
    if !federated {
        let names = document.set.categories.iter().map(|c| &c.name);
        let partial = names.filter(|name| class_sets.iter().any(|set| !set.contains(*name)));
        report.classes_not_in_every_set = partial.cloned().collect();
    }
    settle_federated(&mut document);
    recount(&mut document);
    report.images = document.set.images.len();
    report.boxes = document.set.annotations.len();
    report.classes = document.set.categories.len();
    Ok((document, report))
}

/// A class with boxes is not verified absent, whatever another set says.
fn settle_federated(document: &mut Document) {
    let of_image = document.annotations_by_image();
    let set = &mut document.set;
    for (image, places) in set.images.iter_mut().zip(of_image) {
        let present: FxHashSet<i64> = places.iter().map(|&p| set.annotations[p].category_id).collect();
        for list in
            [&mut image.neg_category_ids, &mut image.not_exhaustive_category_ids].into_iter().flatten()
        {
            let mut seen = FxHashSet::default();
            list.retain(|id| seen.insert(*id));
        }
        if let Some(absent) = &mut image.neg_category_ids {
            absent.retain(|id| !present.contains(id));
        }
    }
}

struct Merged {
    document: Document,
    image_ids: Ids,
    annotation_ids: Ids,
    category_ids: Ids,
    category_of_name: FxHashMap<String, i64>,
    place_of_file: FxHashMap<String, usize>,
    boxes: FxHashSet<(i64, i64, [u64; 4], bool)>,
}

impl Default for Merged {
    fn default() -> Self {
        let empty = AnnotationSet {
            path: None,
            layout: Layout::Coco,
            images: Vec::new(),
            annotations: Vec::new(),
            categories: Vec::new(),
        };
        Self {
            document: Document::new(empty),
            image_ids: Ids::default(),
            annotation_ids: Ids::default(),
            category_ids: Ids::default(),
            category_of_name: FxHashMap::default(),
            place_of_file: FxHashMap::default(),
            boxes: FxHashSet::default(),
        }
    }
}

impl Merged {
    fn add(
        &mut self,
        name: &str,
        input: Document,
        duplicates: Duplicates,
        report: &mut MergeReport,
    ) -> Result<(), CurateError> {
        let Document { set, extras } = input;
        let label = set.label();
        let fail = |entry: String, reason: String| CurateError::Entry { set: label.clone(), entry, reason };
        for (field, value) in extras.header.iter() {
            match self.document.extras.header.get(field) {
                None => self.document.extras.header.push(field, value.clone()),
                Some(known) if known == value => {}
                Some(_) => report.differing_fields.push(format!("{field} of {name}")),
            }
        }
        let mut categories: FxHashMap<i64, i64> = FxHashMap::default();
        let mut own: FxHashSet<String> = FxHashSet::default();
        for (mut category, members) in set.categories.into_iter().zip(extras.categories) {
            let given = category.id;
            if !own.insert(category.name.clone()) {
                let reason =
                    format!("another category is named {:?} too; classes are joined by name", category.name);
                return Err(fail(format!("category {given}"), reason));
            }
            let id = match self.category_of_name.get(&category.name) {
                Some(&id) => {
                    report.renumbered_categories += usize::from(id != given);
                    id
                }
                None => {
                    let id = self.category_ids.claim(given, &mut report.renumbered_categories);
                    self.category_of_name.insert(category.name.clone(), id);
                    category.id = id;
                    self.document.set.categories.push(category);
                    self.document.extras.categories.push(members);
                    id
                }
            };
            categories.insert(given, id);
        }
        let before = self.document.set.images.len();
        let mut images: FxHashMap<i64, i64> = FxHashMap::default();
        for (mut image, members) in set.images.into_iter().zip(extras.images) {
            if duplicates == Duplicates::Prefix {
                image.file_name = format!("{name}/{}", image.file_name);
            }
            for list in
                [&mut image.neg_category_ids, &mut image.not_exhaustive_category_ids].into_iter().flatten()
            {
                list.iter_mut().for_each(|id| *id = categories.get(id).copied().unwrap_or(*id));
            }
            let given = image.id;
            if let Some(&place) = self.place_of_file.get(&image.file_name) {
                let known = &mut self.document.set.images[place];
                let entry = format!("image {given}: file_name {:?}", image.file_name);
                // A name that one set uses twice is that set's own affair.
                if place < before && duplicates == Duplicates::Join {
                    if (known.width, known.height) != (image.width, image.height) {
                        let reason = format!(
                            "it is {} x {} here and {} x {} in another set; these are different images",
                            image.width, image.height, known.width, known.height
                        );
                        return Err(fail(entry, reason));
                    }
                    let join = |list: &mut Option<Vec<i64>>, more: Option<Vec<i64>>| {
                        if let Some(more) = more {
                            list.get_or_insert_default().extend(more);
                        }
                    };
                    join(&mut known.neg_category_ids, image.neg_category_ids);
                    join(&mut known.not_exhaustive_category_ids, image.not_exhaustive_category_ids);
                    report.joined_images += 1;
                    images.insert(given, known.id);
                    continue;
                }
                if place < before {
                    let reason = "another set has an image of this name; say whether they are the same (join) or get \
                                  the set's name as a folder (prefix)";
                    return Err(fail(entry, reason.into()));
                }
            }
            image.id = self.image_ids.claim(given, &mut report.renumbered_images);
            images.insert(given, image.id);
            self.place_of_file.insert(image.file_name.clone(), self.document.set.images.len());
            self.document.set.images.push(image);
            self.document.extras.images.push(members);
        }
        for (annotation, members) in set.annotations.into_iter().zip(extras.annotations) {
            let entry = || format!("annotation {}", annotation.id);
            let (Some(&image_id), Some(&category_id)) =
                (images.get(&annotation.image_id), categories.get(&annotation.category_id))
            else {
                return Err(fail(entry(), "its image_id or category_id is not in the file".into()));
            };
            let key = (image_id, category_id, annotation.bbox.map(f64::to_bits), annotation.iscrowd);
            if !self.boxes.insert(key) && duplicates == Duplicates::Join {
                report.repeated_boxes += 1;
                continue;
            }
            let id = self.annotation_ids.claim(annotation.id, &mut report.renumbered_annotations);
            self.document.set.annotations.push(Annotation { id, image_id, category_id, ..annotation });
            self.document.extras.annotations.push(members);
        }
        Ok(())
    }
}
