//! Ground truth of Open Images: boxes and image-level labels, checked and sorted once.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use longtail_annotations::FrequencyGroup;
use longtail_formats::open_images::{ImageLabel, OpenImagesBox, OpenImagesClass};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::{bins::ImageCounts, error::EvalError};

/// Corners of a box in the challenge's order: y min, x min, y max, x max.
pub(super) type Corners = [f64; 4];

/// Largest id of a class: the mean over classes has a cell for every id below.
const MOST_CLASSES: i64 = 1 << 24;

/// Boxes and labels of a set's images. Both must be expanded already where a hierarchy is in use.
///
/// Images are those that have a box or a label, in ascending order of their ids as text; classes are in
/// ascending order of their ids.
#[derive(Debug)]
pub struct OpenImagesTruth {
    pub(super) label: String,
    images: usize,
    pub(super) classes: Vec<Class>,
    /// Whether the classes were given, so that a label outside of them is a mistake.
    pub(super) closed: bool,
    index_of_image: FxHashMap<Arc<str>, u32>,
    index_of_label: FxHashMap<Arc<str>, u32>,
    /// Verified classes, ascending, by image.
    verified: Vec<Vec<u32>>,
    /// By image, then class.
    cells: Vec<Cell>,
    /// By image, class, whether it is a group; else in file order.
    boxes: Vec<Corners>,
}

/// A class with its number of boxes.
#[derive(Debug, Clone)]
pub(super) struct Class {
    pub id: i64,
    pub label: Arc<str>,
    pub name: String,
    pub frequency: Option<FrequencyGroup>,
    /// Boxes around single objects.
    pub plain: u64,
    /// Boxes around groups.
    pub groups: u64,
}

/// Boxes of an image and class.
#[derive(Debug, Clone)]
struct Cell {
    image: u32,
    class: u32,
    plain: Range<usize>,
    groups: Range<usize>,
}

impl OpenImagesTruth {
    /// Checks and sorts. `label` names the set in messages. Without `classes`, they are the labels that
    /// occur, by ascending text, numbered from 1.
    ///
    /// # Errors
    /// If there is no image, a box is not finite or its corners are swapped, a label is outside of the
    /// classes, or a confidence is neither 0 nor 1, as those of machines are: they verify nothing.
    pub fn new(
        label: String,
        boxes: &[OpenImagesBox],
        labels: &[ImageLabel],
        classes: Option<Vec<OpenImagesClass>>,
    ) -> Result<Self, EvalError> {
        let fail = |what: &str, row: usize, reason: String| EvalError::GroundTruth {
            set: label.clone(),
            reason: format!("{what} {row} (counted from 0): {reason}"),
        };
        let closed = classes.is_some();
        let classes = classes.map_or_else(
            || occurring(boxes, labels),
            |classes| {
                let class = |c: OpenImagesClass| Class {
                    id: c.id,
                    label: c.label.into(),
                    name: c.name,
                    frequency: None,
                    plain: 0,
                    groups: 0,
                };
                classes.into_iter().map(class).collect()
            },
        );
        let mut classes: Vec<Class> = classes;
        classes.sort_by_key(|class| class.id);
        if let Some(class) = classes.last().filter(|class| class.id > MOST_CLASSES) {
            let reason = format!("class `{}`: id {} is too large; ids count from 1", class.label, class.id);
            return Err(EvalError::GroundTruth { set: label, reason });
        }
        let index_of_label: FxHashMap<Arc<str>, u32> =
            classes.iter().map(|class| class.label.clone()).zip(0..).collect();

        let ids = boxes.iter().map(|b| &b.image_id).chain(labels.iter().map(|l| &l.image_id));
        let ids: FxHashSet<&Arc<str>> = ids.collect();
        let mut ids: Vec<Arc<str>> = ids.into_iter().cloned().collect();
        ids.sort_unstable();
        if ids.is_empty() {
            let reason = "neither boxes nor image-level labels".into();
            return Err(EvalError::GroundTruth { set: label, reason });
        }
        let images = ids.len();
        let index_of_image: FxHashMap<Arc<str>, u32> = ids.into_iter().zip(0..).collect();

        let class_of = |what: &str, row: usize, name: &Arc<str>| {
            index_of_label.get(name).copied().ok_or_else(|| {
                fail(
                    what,
                    row,
                    format!("label `{name}` is not among the classes; is it the file of the same release?"),
                )
            })
        };
        let mut verified: Vec<Vec<u32>> = vec![Vec::new(); images];
        for (row, image_label) in labels.iter().enumerate() {
            if image_label.confidence != 0.0 && image_label.confidence != 1.0 {
                let reason = format!(
                    "confidence {} is neither 1 for present nor 0 for absent; leave out labels of machines",
                    image_label.confidence
                );
                return Err(fail("image-level label", row, reason));
            }
            let class = class_of("image-level label", row, &image_label.label)?;
            verified[index_of_image[&image_label.image_id] as usize].push(class);
        }
        let mut sorted: Vec<(u32, u32, bool, Corners)> = Vec::with_capacity(boxes.len());
        for (row, b) in boxes.iter().enumerate() {
            let corners = [b.y_min, b.x_min, b.y_max, b.x_max];
            check_corners(&corners).map_err(|reason| fail("box", row, reason))?;
            let (image, class) = (index_of_image[&b.image_id], class_of("box", row, &b.label)?);
            verified[image as usize].push(class);
            let group = b.is_group_of.unwrap_or(false);
            let count = &mut classes[class as usize];
            if group {
                count.groups += 1
            } else {
                count.plain += 1
            }
            sorted.push((image, class, group, corners));
        }
        for classes in &mut verified {
            classes.sort_unstable();
            classes.dedup();
        }
        sorted.sort_by_key(|&(image, class, group, _)| (image, class, group));
        let (mut cells, mut start) = (Vec::new(), 0);
        for cell in sorted.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let groups_from = start + cell.iter().filter(|b| !b.2).count();
            let end = start + cell.len();
            let (image, class, ..) = cell[0];
            cells.push(Cell { image, class, plain: start..groups_from, groups: groups_from..end });
            start = end;
        }
        let boxes = sorted.into_iter().map(|(.., corners)| corners).collect();
        Ok(Self { label, images, classes, closed, index_of_image, index_of_label, verified, cells, boxes })
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Training images of each class, from a boxes file; groups do not count, nor do labels outside of the
    /// classes.
    pub fn image_counts(&self, training: &[OpenImagesBox]) -> ImageCounts {
        let mut counts: BTreeMap<i64, u64> = self.classes.iter().map(|class| (class.id, 0)).collect();
        let mut seen = FxHashSet::default();
        for b in training.iter().filter(|b| b.is_group_of != Some(true)) {
            if let Some(class) = self.class(&b.label)
                && seen.insert((&b.image_id, class))
            {
                *counts.entry(self.classes[class as usize].id).or_default() += 1;
            }
        }
        ImageCounts::from_counts(counts)
    }

    /// Gives the classes the frequency groups that follow from training images.
    ///
    /// # Errors
    /// If no class has a training image.
    pub fn set_frequencies(&mut self, counts: &ImageCounts) -> Result<(), EvalError> {
        if self.classes.iter().all(|class| counts.of_category(class.id) == 0) {
            let reason = "no class is in the training boxes; are the two files of the same data set?";
            return Err(EvalError::GroundTruth { set: self.label.clone(), reason: reason.into() });
        }
        for class in &mut self.classes {
            class.frequency = Some(FrequencyGroup::from_image_count(counts.of_category(class.id)));
        }
        Ok(())
    }

    /// Index of an image.
    pub(super) fn image(&self, id: &str) -> Option<u32> {
        self.index_of_image.get(id).copied()
    }

    /// Index of a class.
    pub(super) fn class(&self, label: &str) -> Option<u32> {
        self.index_of_label.get(label).copied()
    }

    /// Whether it is known if an image has the class.
    pub(super) fn is_verified(&self, image: u32, class: u32) -> bool {
        self.verified[image as usize].binary_search(&class).is_ok()
    }

    /// Boxes that count of each class; summed image by image as the reference does, which matters for
    /// fractions.
    pub(super) fn countable(&self, group_of_weight: f64) -> Vec<f64> {
        let mut countable = vec![0.0; self.classes.len()];
        for cell in &self.cells {
            countable[cell.class as usize] +=
                cell.plain.len() as f64 + group_of_weight * cell.groups.len() as f64;
        }
        countable
    }

    /// Boxes around single objects and around groups of an image and class, each in file order.
    pub(super) fn boxes_of(&self, image: u32, class: u32) -> [&[Corners]; 2] {
        match self.cells.binary_search_by_key(&(image, class), |cell| (cell.image, cell.class)) {
            Ok(index) => {
                let cell = &self.cells[index];
                [&self.boxes[cell.plain.clone()], &self.boxes[cell.groups.clone()]]
            }
            Err(_) => [&[], &[]],
        }
    }
}

/// Classes that occur, numbered by ascending label.
fn occurring(boxes: &[OpenImagesBox], labels: &[ImageLabel]) -> Vec<Class> {
    let names = boxes.iter().map(|b| &b.label).chain(labels.iter().map(|l| &l.label));
    let names: FxHashSet<&Arc<str>> = names.collect();
    let mut names: Vec<&Arc<str>> = names.into_iter().collect();
    names.sort_unstable();
    let class = |(label, id): (&Arc<str>, i64)| Class {
        id,
        label: label.clone(),
        name: label.to_string(),
        frequency: None,
        plain: 0,
        groups: 0,
    };
    names.into_iter().zip(1..).map(class).collect()
}

/// Refuses a ground-truth box that is not finite or whose corners are swapped. Empty ones count, and cannot
/// be found.
fn check_corners(corners: &Corners) -> Result<(), String> {
    let [y_min, x_min, y_max, x_max] = *corners;
    if corners.iter().any(|v| !v.is_finite()) {
        return Err(format!("XMin {x_min}, XMax {x_max}, YMin {y_min}, YMax {y_max} are not all finite"));
    }
    for (name, least, most) in [("X", x_min, x_max), ("Y", y_min, y_max)] {
        if least > most {
            return Err(format!("{name}Min {least} is above {name}Max {most}"));
        }
    }
    Ok(())
}
