//! A world as Open Images annotates: a tree of classes, boxes around groups, and classes verified present or
//! absent.
//!
//! | | |
//! | --- | --- |
//! | classes | emoji, then their Unicode subgroups, then their groups; the tree is everything → group → subgroup → emoji |
//! | labels | `/emoji/1f600` by code points, `/subgroup/face-smiling`, `/group/SmileysAndEmotion`; the root is `/everything` |
//! | boxes | every object as its emoji, none left out |
//! | group boxes | one box (`IsGroupOf`) in the place of [`GROUP_OF`] or more objects of a class in an image, each of which is near another: the gap between their boxes is at most half their mean side along both axes |
//! | verified present | the classes of the boxes |
//! | verified absent | the world's sampled negatives, and the classes above each that have no object in the image |

use std::{collections::BTreeSet, sync::Arc};

use longtail_annotations::{AnnotationSet, ImageRecord};
use longtail_formats::{
    OpenImagesLabels, OpenImagesTables,
    open_images::{Hierarchy, HierarchyNode, ImageLabel, OpenImagesBox, OpenImagesClass},
};

use crate::{
    classes::{Class, Emoji},
    error::EmojiError,
    scene::Object,
    world::{Split, World},
};

/// Objects from which on one box stands for a group; Open Images takes five, but a scene has at most four of
/// a class.
pub const GROUP_OF: usize = 3;

/// What [`AnnotationSet`]s of a world are called in messages.
const NAME: &str = "embedded benchmark";

impl Emoji {
    /// `LabelName`s of the emoji, its subgroup and its group.
    pub fn open_images_labels(&self) -> [String; 3] {
        [
            format!("/emoji/{}", self.codepoints),
            format!("/subgroup/{}", self.subgroup),
            format!("/group/{}", self.group),
        ]
    }
}

impl World {
    /// Emoji with the ids that they have in every layout, then subgroups and groups in the order of their
    /// first emoji.
    pub fn open_images_classes(&self) -> Vec<OpenImagesClass> {
        let mut classes: Vec<OpenImagesClass> = Vec::new();
        for level in 0..3 {
            for Class { emoji, .. } in self.classes() {
                let label = emoji.open_images_labels()[level].clone();
                if classes.iter().all(|class| class.label != label) {
                    let name = [&emoji.name, &emoji.subgroup, &emoji.group][level].clone();
                    classes.push(OpenImagesClass { id: classes.len() as i64 + 1, label, name });
                }
            }
        }
        classes
    }

    /// The tree of the classes.
    ///
    /// # Errors
    /// If the embedded table is damaged.
    pub fn hierarchy(&self) -> Result<Hierarchy, EmojiError> {
        let node = |label: &str| HierarchyNode {
            label: label.to_owned(),
            subcategories: Vec::new(),
            parts: Vec::new(),
        };
        let mut root = node("/everything");
        for class in self.classes() {
            let mut at = &mut root;
            for label in class.emoji.open_images_labels().iter().rev() {
                let place = at.subcategories.iter().position(|child| child.label == *label);
                let place = place.unwrap_or_else(|| {
                    at.subcategories.push(node(label));
                    at.subcategories.len() - 1
                });
                at = &mut at.subcategories[place];
            }
        }
        let damaged = |reason| EmojiError::Embedded { what: "class table".into(), reason };
        Hierarchy::new(root).map_err(damaged)
    }

    /// `ImageID` of an image.
    pub fn open_images_id(split: Split, index: usize) -> String {
        format!("{}_{:06}", split.name(), index + 1)
    }

    /// Tables of drawn images, as published: neither boxes nor labels are expanded. With `exhaustive` every
    /// class that is not in an image is verified absent there, not only some.
    pub fn open_images_tables(
        &self,
        split: Split,
        objects: &[Vec<Object>],
        exhaustive: bool,
    ) -> OpenImagesTables {
        let side = f64::from(self.config().image_size);
        let names: Vec<[Arc<str>; 3]> =
            self.classes().iter().map(|class| class.emoji.open_images_labels().map(Into::into)).collect();
        let (federated, all) = self.annotate(split, objects);
        let records = if exhaustive { all.images } else { federated.images };
        let (mut boxes, mut image_labels) = (Vec::new(), Vec::new());
        for (index, (objects, record)) in objects.iter().zip(&records).enumerate() {
            let image_id: Arc<str> = Self::open_images_id(split, index).into();
            for (label, corners, group) in boxes_of(objects) {
                let [x_min, y_min, x_max, y_max] = corners.map(|corner| f64::from(corner) / side);
                let (label, corners) = (names[label as usize][0].clone(), [x_min, x_max, y_min, y_max]);
                boxes.push(OpenImagesBox {
                    confidence: Some(1.0),
                    ..OpenImagesBox::new(image_id.clone(), label, corners, group)
                });
            }
            let present: BTreeSet<u32> = objects.iter().map(|object| object.label).collect();
            let above: BTreeSet<&Arc<str>> = present.iter().flat_map(|&l| &names[l as usize][1..]).collect();
            let mut said: BTreeSet<&Arc<str>> = BTreeSet::new();
            let mut say = |label: &Arc<str>, confidence| {
                let (image_id, label) = (image_id.clone(), label.clone());
                let source = Some("verification".into());
                image_labels.push(ImageLabel { image_id, label, source, confidence });
            };
            present.iter().for_each(|&label| say(&names[label as usize][0], 1.0));
            for id in record.neg_category_ids.iter().flatten() {
                let [leaf, higher @ ..] = &names[(id - 1) as usize];
                say(leaf, 0.0);
                for label in higher {
                    if !above.contains(label) && said.insert(label) {
                        say(label, 0.0);
                    }
                }
            }
        }
        OpenImagesTables { boxes, image_labels, classes: Some(self.open_images_classes()) }
    }

    /// The tables as a set: boxes around groups are crowds, as in [`longtail_formats::formats`]. Images have
    /// the ids that they have in every layout.
    ///
    /// # Errors
    /// If the embedded table is damaged.
    pub fn annotate_open_images(
        &self,
        split: Split,
        objects: &[Vec<Object>],
        labels: OpenImagesLabels,
        exhaustive: bool,
    ) -> Result<AnnotationSet, EmojiError> {
        let tables = self.open_images_tables(split, objects, exhaustive);
        let tables = tables.with_labels(labels, &self.hierarchy()?)?;
        let side = self.config().image_size;
        let record = |index: usize| ImageRecord {
            id: index as i64 + 1,
            file_name: format!("{}.png", Self::open_images_id(split, index)),
            width: side,
            height: side,
            neg_category_ids: Some(Vec::new()),
            not_exhaustive_category_ids: Some(Vec::new()),
        };
        let mut records: Vec<ImageRecord> = (0..objects.len()).map(record).collect();
        // The order of the names, which from a million images on is not that of the numbers.
        records.sort_by(|a, b| a.file_name.cmp(&b.file_name));
        let document = tables.into_document(None, records, false);
        document
            .map(|document| document.set)
            .map_err(|reason| EmojiError::Embedded { what: NAME.into(), reason })
    }
}

/// Label, corners and whether it is around a group, of every box of an image: objects back to front, a group
/// in the place of its first.
fn boxes_of(objects: &[Object]) -> Vec<(u32, [u32; 4], bool)> {
    // Smallest place of the objects that each is linked with, over any number of others.
    let mut group: Vec<usize> = (0..objects.len()).collect();
    for (place, object) in objects.iter().enumerate() {
        for other in 0..place {
            if is_near(object, &objects[other]) && group[place] != group[other] {
                let (kept, gone) = (group[place].min(group[other]), group[place].max(group[other]));
                group.iter_mut().filter(|g| **g == gone).for_each(|g| *g = kept);
            }
        }
    }
    let mut found = Vec::new();
    for (place, object) in objects.iter().enumerate() {
        let members = || objects.iter().zip(&group).filter(|(_, g)| **g == group[place]).map(|(o, _)| o);
        let [x, y, w, h] = object.bbox;
        if members().count() < GROUP_OF {
            found.push((object.label, [x, y, x + w, y + h], false));
        } else if group[place] == place {
            let around = members().map(|o| o.bbox).fold([x, y, x + w, y + h], |a, [x, y, w, h]| {
                [a[0].min(x), a[1].min(y), a[2].max(x + w), a[3].max(y + h)]
            });
            found.push((object.label, around, true));
        }
    }
    found
}

/// Whether two objects of a class have a gap of at most half their mean side along both axes.
fn is_near(a: &Object, b: &Object) -> bool {
    let side = |o: &Object| o.bbox[2].max(o.bbox[3]);
    let gap = |axis: usize| {
        let end = |o: &Object| o.bbox[axis] + o.bbox[axis + 2];
        a.bbox[axis].max(b.bbox[axis]).saturating_sub(end(a).min(end(b)))
    };
    a.label == b.label && 4 * gap(0).max(gap(1)) <= side(a) + side(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(label: u32, bbox: [u32; 4]) -> Object {
        Object { label, bbox, area: bbox[2] * bbox[3], visible: 1.0 }
    }

    #[test]
    fn three_in_a_row_are_a_group_and_two_are_not() {
        let row = [object(1, [0, 0, 20, 20]), object(2, [5, 5, 9, 9]), object(1, [30, 0, 20, 10])];
        assert!(boxes_of(&row).iter().all(|(_, _, group)| !group));
        // The third is near the second alone.
        let row = [&row[..], &[object(1, [60, 10, 20, 20]), object(1, [80, 90, 20, 20])]].concat();
        let expected =
            [(1, [0, 0, 80, 30], true), (2, [5, 5, 14, 14], false), (1, [80, 90, 100, 110], false)];
        assert_eq!(boxes_of(&row), expected);
        // A gap of 11 is more than half of the mean side of 20.
        assert!(!is_near(&object(1, [0, 0, 20, 20]), &object(1, [31, 0, 20, 20])));
        assert!(is_near(&object(1, [0, 0, 20, 20]), &object(1, [30, 30, 20, 20])));
    }
}
