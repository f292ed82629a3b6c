//! The tables of a part as one annotation set.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    document::{Document, Members, RawJson},
    error::FormatError,
    formats::{OpenImagesLabels, set_frequencies},
    open_images::{
        Hierarchy, ImageLabel, OpenImagesBox, OpenImagesClass, expand_boxes, expand_image_labels, is_expanded,
    },
};
use longtail_annotations::{Annotation, AnnotationSet, Category, ImageRecord, Layout};

/// What the files of a part say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OpenImagesTables {
    /// Boxes.
    pub boxes: Vec<OpenImagesBox>,
    /// Labels that people gave: confidence 1 or 0.
    pub image_labels: Vec<ImageLabel>,
    /// The classes; none: the labels of the boxes, in order.
    pub classes: Option<Vec<OpenImagesClass>>,
}

impl OpenImagesTables {
    /// With boxes and image labels of every class that they imply, or with the most specific boxes alone. Boxes that are
    /// expanded already are not expanded again.
    ///
    /// # Errors
    /// If the tree does not have the label of a box.
    pub fn with_labels(
        mut self,
        labels: OpenImagesLabels,
        hierarchy: &Hierarchy,
    ) -> Result<Self, FormatError> {
        match labels {
            OpenImagesLabels::Plain => {}
            OpenImagesLabels::Expanded => {
                if !is_expanded(hierarchy, &self.boxes) {
                    self.boxes = expand_boxes(hierarchy, &self.boxes)?;
                }
                // Images are labelled with more classes than have boxes. A label that is repeated says nothing new.
                self.image_labels.retain(|label| hierarchy.ancestors(&label.label).is_some());
                self.image_labels = expand_image_labels(hierarchy, &self.image_labels)?;
            }
            OpenImagesLabels::Leaf => self.boxes = without_copies(hierarchy, self.boxes),
        }
        Ok(self)
    }

    /// Ids of the images that have a box or a label, ascending, each once.
    pub fn image_ids(&self) -> Vec<Arc<str>> {
        let of_boxes = self.boxes.iter().map(|b| &b.image_id);
        let ids: BTreeSet<&Arc<str>> =
            of_boxes.chain(self.image_labels.iter().map(|label| &label.image_id)).collect();
        ids.into_iter().cloned().collect()
    }

    /// One set of them, with the flags of the boxes where `extras` are wanted. `images` are records in the order of
    /// [`Self::image_ids`]; their lists of classes are filled in.
    ///
    /// # Errors
    /// With the reason, if a box is of no class or there is not a record for each image.
    pub fn into_document(
        self,
        path: Option<PathBuf>,
        images: Vec<ImageRecord>,
        extras: bool,
    ) -> Result<Document, String> {
        let names = self.image_ids();
        if images.len() != names.len() {
            return Err(format!("{} images for {} ImageIDs", images.len(), names.len()));
        }
        let place: FxHashMap<&str, usize> =
            names.iter().enumerate().map(|(place, name)| (&**name, place)).collect();
        let (categories, members) = categories(self.classes, &self.boxes);
        let ids: FxHashMap<String, i64> = members.iter().map(|(id, label)| (label.clone(), *id)).collect();
        let mut document = Document::new(AnnotationSet {
            path,
            layout: Layout::Lvis,
            images,
            annotations: Vec::with_capacity(self.boxes.len()),
            categories,
        });
        if extras {
            for (members, (_, label)) in document.extras.categories.iter_mut().zip(&members) {
                members.push("label", RawJson::of(label));
            }
        }
        for row in &self.boxes {
            let image = &document.set.images[place[&*row.image_id]];
            let category_id = *ids
                .get(&*row.label)
                .ok_or_else(|| format!("class {} of a box is not among the classes", row.label))?;
            let (width, height) = (f64::from(image.width), f64::from(image.height));
            let bbox = [
                row.x_min * width,
                row.y_min * height,
                (row.x_max - row.x_min) * width,
                (row.y_max - row.y_min) * height,
            ];
            document.set.annotations.push(Annotation {
                id: document.set.annotations.len() as i64 + 1,
                image_id: image.id,
                category_id,
                bbox,
                area: None,
                iscrowd: row.is_group_of == Some(true),
                ignore: false,
            });
            document.extras.annotations.push(if extras { flags(row) } else { Members::default() });
        }
        verified(&mut document, &self.image_labels, &ids, &place);
        set_frequencies(&mut document, false);
        Ok(document)
    }
}

/// Boxes without the copies for ancestors that expanded tables have: where another box of the image has the same
/// corners and a class below.
fn without_copies(hierarchy: &Hierarchy, boxes: Vec<OpenImagesBox>) -> Vec<OpenImagesBox> {
    type Place = (Arc<str>, [u64; 4]);
    let place = |b: &OpenImagesBox| -> Place {
        (b.image_id.clone(), [b.x_min, b.x_max, b.y_min, b.y_max].map(f64::to_bits))
    };
    let mut implied: FxHashSet<(Place, Arc<str>)> = FxHashSet::default();
    for row in &boxes {
        for ancestor in hierarchy.ancestors(&row.label).unwrap_or_default() {
            implied.insert((place(row), ancestor.clone()));
        }
    }
    boxes.into_iter().filter(|row| !implied.contains(&(place(row), row.label.clone()))).collect()
}

/// Id of a class, and its `LabelName`.
type IdAndLabel = (i64, String);

/// Categories with the ids and labels of their classes; without descriptions, the labels of the boxes in order.
fn categories(
    classes: Option<Vec<OpenImagesClass>>,
    boxes: &[OpenImagesBox],
) -> (Vec<Category>, Vec<IdAndLabel>) {
    let classes: Vec<(i64, String, String)> = match classes {
        Some(classes) => classes.into_iter().map(|c| (c.id, c.label, c.name)).collect(),
        None => {
            let labels: BTreeSet<&str> = boxes.iter().map(|b| &*b.label).collect();
            (1..).zip(labels).map(|(id, label)| (id, label.to_owned(), label.to_owned())).collect()
        }
    };
    let mut uses: FxHashMap<&str, usize> = FxHashMap::default();
    classes.iter().for_each(|(_, _, name)| *uses.entry(name).or_default() += 1);
    let category = |(id, label, name): &(i64, String, String)| {
        // Names tell classes apart everywhere else.
        let name = if uses[&**name] > 1 { format!("{name} ({label})") } else { name.clone() };
        Category { id: *id, name, frequency: None }
    };
    let categories = classes.iter().map(category).collect();
    (categories, classes.into_iter().map(|(id, label, _)| (id, label)).collect())
}

/// What a box says beside its place; `group_of` is the set's `iscrowd`.
fn flags(row: &OpenImagesBox) -> Members {
    let mut members = Members::default();
    let flags = [
        ("occluded", row.is_occluded),
        ("truncated", row.is_truncated),
        ("depiction", row.is_depiction),
        ("inside", row.is_inside),
    ];
    for (name, value) in flags {
        if let Some(value) = value {
            members.push(name, RawJson::of(&u8::from(value)));
        }
    }
    if let Some(source) = &row.source {
        members.push("source", RawJson::of(&**source));
    }
    members
}

/// Lists of absent and not exhaustively annotated classes.
fn verified(
    document: &mut Document,
    labels: &[ImageLabel],
    ids: &FxHashMap<String, i64>,
    place: &FxHashMap<&str, usize>,
) {
    let boxed: FxHashSet<(i64, i64)> =
        document.set.annotations.iter().map(|a| (a.image_id, a.category_id)).collect();
    let mut seen = FxHashSet::default();
    for label in labels {
        // Labels of classes without boxes, such as `Snow`.
        let Some(&id) = ids.get(&*label.label) else { continue };
        let image = &mut document.set.images[place[&*label.image_id]];
        if boxed.contains(&(image.id, id)) || !seen.insert((image.id, id)) {
            continue;
        }
        let list = if label.confidence == 0.0 {
            &mut image.neg_category_ids
        } else {
            &mut image.not_exhaustive_category_ids
        };
        list.get_or_insert_default().push(id);
    }
}
