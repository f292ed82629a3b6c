//! An annotation set joined with its images, ready to train on.

use std::{ops::Range, sync::Arc};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    error::DataError,
    mask::{Outline, Outlines},
    sample::{Federated, Sample, Targets},
    source::ImageSource,
};
use longtail_annotations::{Annotation, AnnotationSet, ClassCounts, LabelMap, check_file_name};

/// Images with targets by index.
pub struct Dataset {
    set: AnnotationSet,
    source: Arc<dyn ImageSource>,
    labels: LabelMap,
    counts: ClassCounts,
    /// Usable annotations grouped by image, as places in `set.annotations`.
    order: Vec<u32>,
    of_image: Vec<Range<usize>>,
    dropped: usize,
    outlines: Outlines,
}

impl Dataset {
    /// Joins annotations with their images. Boxes without area inside the image cannot be learnt and are
    /// dropped; [`Self::dropped_boxes`] tells how many.
    ///
    /// # Errors
    /// If there is no image or class, an id is repeated or unknown, or a box is not finite.
    pub fn new(set: AnnotationSet, source: Arc<dyn ImageSource>) -> Result<Self, DataError> {
        let empty = |what| DataError::Empty { set: set.label(), what };
        if set.images.is_empty() {
            return Err(empty("images"));
        }
        if set.categories.is_empty() {
            return Err(empty("categories"));
        }
        let entry = |entry: String, reason: String| DataError::Entry { set: set.label(), entry, reason };
        let labels = LabelMap::new(&set.categories);
        if labels.len() < set.categories.len() {
            return Err(entry("categories".into(), "an id is repeated".into()));
        }
        let mut index_of_image = FxHashMap::default();
        for (index, image) in set.images.iter().enumerate() {
            if index_of_image.insert(image.id, index).is_some() {
                return Err(entry(format!("image {}", image.id), "its id is repeated".into()));
            }
            check_file_name(&image.file_name).map_err(|reason| {
                entry(format!("image {}", image.id), format!("file_name {:?} {reason}", image.file_name))
            })?;
            if image.width == 0 || image.height == 0 {
                return Err(entry(format!("image {}", image.id), "its width or height is 0".into()));
            }
        }
        let mut by_image: Vec<(usize, u32)> = Vec::with_capacity(set.annotations.len());
        let mut seen = FxHashSet::default();
        let mut dropped = 0;
        for (place, annotation) in set.annotations.iter().enumerate() {
            let fail = |reason: String| entry(format!("annotation {}", annotation.id), reason);
            if !seen.insert(annotation.id) {
                return Err(fail("its id is repeated".into()));
            }
            let Some(&index) = index_of_image.get(&annotation.image_id) else {
                return Err(fail(format!("image_id {} is no image of the file", annotation.image_id)));
            };
            if labels.label(annotation.category_id).is_none() {
                return Err(fail(format!(
                    "category_id {} is no category of the file",
                    annotation.category_id
                )));
            }
            if annotation.bbox.iter().any(|v| !v.is_finite()) {
                return Err(fail(format!("bbox {:?} is not finite", annotation.bbox)));
            }
            let image = &set.images[index];
            if clipped(annotation, image.width, image.height).is_some() {
                by_image.push((index, place as u32));
            } else {
                dropped += 1;
            }
        }
        by_image.sort_by_key(|(index, _)| *index);
        let mut of_image = vec![0..0; set.images.len()];
        let mut start = 0;
        for chunk in by_image.chunk_by(|a, b| a.0 == b.0) {
            of_image[chunk[0].0] = start..start + chunk.len();
            start += chunk.len();
        }
        let order = by_image.into_iter().map(|(_, place)| place).collect();
        let counts = ClassCounts::of(&set, &labels);
        Ok(Self { set, source, labels, counts, order, of_image, dropped, outlines: Outlines::default() })
    }

    /// Adds outlines of objects, which copy-paste cuts along.
    #[must_use]
    pub fn with_outlines(self, outlines: Outlines) -> Self {
        Self { outlines, ..self }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.set.images.len()
    }

    /// Never: a data set has images.
    pub fn is_empty(&self) -> bool {
        self.set.images.is_empty()
    }

    /// The annotations as given.
    pub fn set(&self) -> &AnnotationSet {
        &self.set
    }

    /// Category ids and labels.
    pub fn labels(&self) -> &LabelMap {
        &self.labels
    }

    /// Images and boxes of every class.
    pub fn counts(&self) -> &ClassCounts {
        &self.counts
    }

    /// Boxes left out because they have no area inside their image.
    pub fn dropped_boxes(&self) -> usize {
        self.dropped
    }

    /// Boxes in an image, without crowds.
    pub fn boxes_of(&self, index: usize) -> usize {
        self.annotations_of(index).filter(|a| !a.iscrowd).count()
    }

    /// Label of every box of an image, in the order of its targets.
    pub fn labels_of_boxes(&self, index: usize) -> impl Iterator<Item = u32> {
        let boxes = self.annotations_of(index).filter(|a| !a.iscrowd);
        boxes.filter_map(|a| self.labels.label(a.category_id))
    }

    /// Outline of a box of an image, by its place among the image's targets; `None` where none is known.
    pub fn outline_of(&self, index: usize, place: usize) -> Option<&Outline> {
        let annotation = self.annotations_of(index).filter(|a| !a.iscrowd).nth(place)?;
        self.outlines.get(annotation.id)
    }

    /// Whether the classes of an image are known only as far as its lists say (LVIS): a class that has no box
    /// and is not listed may be there.
    pub fn is_federated(&self, index: usize) -> bool {
        self.set.images[index].neg_category_ids.is_some()
    }

    /// Labels in an image, each once, ascending, without crowds.
    pub fn labels_of(&self, index: usize) -> Vec<u32> {
        let mut labels: Vec<u32> = self.labels_of_boxes(index).collect();
        labels.sort_unstable();
        labels.dedup();
        labels
    }

    /// Pixels and targets of an image.
    ///
    /// # Errors
    /// If the image cannot be read.
    ///
    /// # Panics
    /// If the index is not below [`Self::len`].
    pub fn sample(&self, index: usize) -> Result<Sample, DataError> {
        let record = &self.set.images[index];
        let image = self.source.load(record)?;
        Ok(Sample { image_id: record.id, image, targets: self.targets(index) })
    }

    /// The same in fewer pixels where those are faster to read, at least `least` along x and y; boxes are in
    /// pixels of what was read. Also returns what width and height were divided by.
    ///
    /// # Errors
    /// As [`Self::sample`].
    ///
    /// # Panics
    /// As [`Self::sample`].
    pub fn reduced_sample(&self, index: usize, least: [u32; 2]) -> Result<(Sample, u32), DataError> {
        let record = &self.set.images[index];
        let (image, divisor) = self.source.load_reduced(record, least)?;
        let mut targets = self.targets(index);
        // A power of two: nothing is rounded.
        let scale = 1.0 / divisor as f32;
        targets.boxes.iter_mut().chain(&mut targets.crowd_boxes).flatten().for_each(|v| *v *= scale);
        Ok((Sample { image_id: record.id, image, targets }, divisor))
    }

    fn annotations_of(&self, index: usize) -> impl Iterator<Item = &Annotation> {
        self.order[self.of_image[index].clone()].iter().map(|&place| &self.set.annotations[place as usize])
    }

    fn targets(&self, index: usize) -> Targets {
        let record = &self.set.images[index];
        let mut targets = Targets::default();
        for annotation in self.annotations_of(index) {
            let inside = clipped(annotation, record.width, record.height);
            let label = self.labels.label(annotation.category_id);
            if let (Some(inside), Some(label)) = (inside, label) {
                if annotation.iscrowd {
                    targets.crowd_boxes.push(inside);
                } else {
                    targets.boxes.push(inside);
                    targets.labels.push(label);
                }
            }
        }
        let known = |ids: &Option<Vec<i64>>| -> Vec<u32> {
            ids.iter().flatten().filter_map(|&id| self.labels.label(id)).collect()
        };
        targets.federated = Federated {
            verified_absent: known(&record.neg_category_ids),
            not_exhaustive: known(&record.not_exhaustive_category_ids),
        };
        targets
    }
}

/// The box inside the image as x1, y1, x2, y2; `None` if nothing is left.
fn clipped(annotation: &Annotation, width: u32, height: u32) -> Option<[f32; 4]> {
    let [x, y, w, h] = annotation.bbox;
    let (width, height) = (f64::from(width), f64::from(height));
    let (x1, y1) = (x.clamp(0.0, width), y.clamp(0.0, height));
    let (x2, y2) = ((x + w).clamp(0.0, width), (y + h).clamp(0.0, height));
    let corners = [x1 as f32, y1 as f32, x2 as f32, y2 as f32];
    (corners[2] > corners[0] && corners[3] > corners[1]).then_some(corners)
}
