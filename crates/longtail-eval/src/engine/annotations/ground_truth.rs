//! Ground truth, checked once and sorted by image, so that everything after it works with indices instead of
//! ids.

use std::sync::Arc;

use longtail_annotations::{Annotation, AnnotationSet, Category, FrequencyGroup, ImageRecord};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use super::{
    masked_set::MaskedSet,
    masks::Mask,
    truth_masks::{MaskOf, TruthMasks, size_for_masks},
};
use crate::{
    checks::{check_box, first_few, unique},
    error::EvalError,
};

/// Index of a class that the ground truth does not know.
pub(crate) const UNKNOWN: u32 = u32::MAX;
/// Index of a class or image that was not chosen; those that take part are below.
pub(crate) const NOT_CHOSEN: u32 = u32::MAX - 1;

/// Largest span of ids that is looked up in a table instead of a hash map.
const TABLE: i64 = 1 << 22;
/// Largest share of the table that may be empty; a few ids that lie far apart are looked up in a hash map.
const SPARSE: i64 = 1 << 10;

/// A class of the ground truth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Class {
    pub id: i64,
    pub name: String,
    pub frequency: Option<FrequencyGroup>,
}

/// A ground-truth box.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TruthBox {
    /// Index of the class, [`NOT_CHOSEN`] or [`UNKNOWN`].
    pub class: u32,
    /// x, y, width, height.
    pub bbox: [f64; 4],
    /// As given, else the mask's, else the box's.
    pub area: f64,
    pub crowd: bool,
    pub ignore: bool,
    /// The references read the match of such a box as no match.
    pub id_is_zero: bool,
    /// Index among the masks, where there are any.
    pub mask: u32,
}

/// Images and categories to evaluate; everything by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chosen {
    /// Image ids.
    pub images: Option<Vec<i64>>,
    /// Category ids. Under a class-agnostic evaluation their order decides ties, as in the references.
    pub categories: Option<Vec<i64>>,
}

/// Classes of a set, or those that were chosen, by ascending id.
#[derive(Debug)]
pub(crate) struct Classes {
    pub list: Vec<Class>,
    index: Indices,
    /// Categories of the file that were not chosen, ascending.
    others: Vec<i64>,
    /// By class: its position among the chosen, else by ascending id; decides ties of class-agnostic
    /// evaluations.
    pub rank: Vec<u32>,
}

impl Classes {
    /// # Errors
    /// If an id is repeated, or a chosen one is not there.
    pub(crate) fn new(categories: &[Category], chosen: Option<&[i64]>) -> Result<Self, String> {
        unique("category", categories.iter().map(|c| c.id))?;
        let order: Vec<i64> = match chosen {
            Some(chosen) => {
                let known: FxHashSet<i64> = categories.iter().map(|c| c.id).collect();
                all_known("category", chosen, |id| known.contains(&id))?;
                let mut seen = FxHashSet::default();
                chosen.iter().copied().filter(|id| seen.insert(*id)).collect()
            }
            None => {
                let mut ids: Vec<i64> = categories.iter().map(|c| c.id).collect();
                ids.sort_unstable();
                ids
            }
        };
        let rank_of: FxHashMap<i64, u32> = order.into_iter().zip(0..).collect();
        let (mut list, mut others) = (Vec::new(), Vec::new());
        for category in categories {
            if rank_of.contains_key(&category.id) {
                let Category { id, name, frequency } = category;
                list.push(Class { id: *id, name: name.clone(), frequency: *frequency });
            } else {
                others.push(category.id);
            }
        }
        list.sort_by_key(|class| class.id);
        others.sort_unstable();
        let index = Indices::new(&list.iter().map(|class| class.id).collect::<Vec<_>>());
        let rank = list.iter().map(|class| rank_of[&class.id]).collect();
        Ok(Self { list, index, others, rank })
    }

    /// Index of a class among the ascending ids, [`NOT_CHOSEN`] or [`UNKNOWN`].
    #[inline]
    pub(crate) fn index(&self, id: i64) -> u32 {
        self.index.of(id).unwrap_or_else(|| match self.others.binary_search(&id) {
            Ok(_) => NOT_CHOSEN,
            Err(_) => UNKNOWN,
        })
    }
}

/// Ground truth that every protocol can score: ids are unique, numbers are finite.
///
/// Images are in ascending order of their ids, classes too; boxes of an image are in file order.
#[derive(Debug)]
pub struct GroundTruth {
    pub(crate) label: String,
    pub(crate) image_ids: Vec<i64>,
    pub(crate) classes: Arc<Classes>,
    boxes: Vec<TruthBox>,
    pub(crate) masks: Option<TruthMasks>,
    /// Where each image's boxes start, and the end.
    starts: Vec<usize>,
    federated: Result<Federated, String>,
    index_of_image: Indices,
    /// Images of the file that were not chosen, ascending.
    other_images: Vec<i64>,
}

/// Classes by image that are verified absent, and that are not exhaustively annotated.
#[derive(Debug)]
pub(crate) struct Federated {
    pub negative: Vec<Vec<u32>>,
    pub not_exhaustive: Vec<Vec<u32>>,
}

impl GroundTruth {
    /// Checks and sorts a set. Boxes of unknown images or classes are left out, as the references do.
    ///
    /// # Errors
    /// If an id is repeated, or a box is not finite or has a negative size.
    pub fn new(set: &AnnotationSet) -> Result<Self, EvalError> {
        Self::chosen(set, &Chosen::default())
    }

    /// The chosen images and categories of a set. Detections of the others are counted and left out.
    ///
    /// # Errors
    /// As [`Self::new`], and if a chosen id is not in the set.
    pub fn chosen(set: &AnnotationSet, chosen: &Chosen) -> Result<Self, EvalError> {
        let fail = |reason: String| EvalError::GroundTruth { set: set.label(), reason };
        unique("annotation", set.annotations.iter().map(|a| a.id)).map_err(fail)?;
        let classes = Classes::new(&set.categories, chosen.categories.as_deref()).map_err(fail)?;
        let (images, annotations) = (&set.images, &set.annotations);
        Self::of(&set.label(), images, annotations, Arc::new(classes), chosen.images.as_deref(), None)
    }

    /// The chosen images and categories of a set with masks, to score masks against.
    ///
    /// # Errors
    /// As [`Self::chosen`], and if an annotation that takes part has no mask, or one that is none or not of
    /// its image's size.
    pub fn masked(masked: &MaskedSet, chosen: &Chosen) -> Result<Self, EvalError> {
        let set = &masked.set;
        let fail = |reason: String| EvalError::GroundTruth { set: set.label(), reason };
        unique("annotation", set.annotations.iter().map(|a| a.id)).map_err(fail)?;
        let classes = Classes::new(&set.categories, chosen.categories.as_deref()).map_err(fail)?;
        let (images, annotations) = (&set.images, &set.annotations);
        let masks: &MaskOf<'_> = &|index| masked.mask(index);
        let chosen = chosen.images.as_deref();
        Self::of(&set.label(), images, annotations, Arc::new(classes), chosen, Some(masks))
    }

    /// Images and annotations whose classes are sorted already. Annotation ids need not be unique.
    pub(crate) fn of(
        label: &str,
        images: &[ImageRecord],
        annotations: &[Annotation],
        classes: Arc<Classes>,
        chosen_images: Option<&[i64]>,
        masks: Option<&MaskOf<'_>>,
    ) -> Result<Self, EvalError> {
        let fail = |reason: String| EvalError::GroundTruth { set: label.to_owned(), reason };
        unique("image", images.iter().map(|i| i.id)).map_err(fail)?;
        let all_images = images;
        let chosen: Option<FxHashSet<i64>> = chosen_images.map(|ids| ids.iter().copied().collect());
        let takes_part = |id: i64| chosen.as_ref().is_none_or(|chosen| chosen.contains(&id));
        let mut images: Vec<_> = all_images.iter().filter(|image| takes_part(image.id)).collect();
        images.sort_by_key(|image| image.id);
        let image_ids: Vec<i64> = images.iter().map(|image| image.id).collect();
        let index_of_image = Indices::new(&image_ids);
        all_known("image", chosen_images.unwrap_or_default(), |id| index_of_image.of(id).is_some())
            .map_err(fail)?;
        let mut other_images: Vec<i64> =
            all_images.iter().map(|image| image.id).filter(|id| !takes_part(*id)).collect();
        other_images.sort_unstable();

        let sizes: Vec<[u32; 2]> = images.iter().map(|image| [image.height, image.width]).collect();
        let mask = |(index, annotation): (usize, &Annotation)| -> Result<Option<Mask>, EvalError> {
            let Some(masks) = masks else { return Ok(None) };
            let image = index_of_image.of(annotation.image_id);
            let Some(image) = image.filter(|_| classes.index(annotation.category_id) < NOT_CHOSEN) else {
                return Ok(None);
            };
            let about = |reason: String| fail(format!("annotation {}: {reason}", annotation.id));
            let size = size_for_masks(sizes[image as usize]).map_err(about)?;
            let missing = || about("`segmentation` is missing, and masks are scored".into());
            let given = masks(index).map_err(about)?.ok_or_else(missing)?;
            let mask = Mask::new(given, size).map_err(|error| about(format!("`segmentation`: {error}")))?;
            Ok(Some(mask))
        };
        let found: Vec<Option<Mask>> =
            annotations.par_iter().enumerate().map(mask).collect::<Result<_, _>>()?;
        let mut list = Vec::new();

        let mut boxes = Vec::with_capacity(annotations.len());
        for (annotation, mask) in annotations.iter().zip(found) {
            let about = |reason: String| fail(format!("annotation {}: {reason}", annotation.id));
            check_box(&annotation.bbox).map_err(about)?;
            let [_, _, width, height] = annotation.bbox;
            let area_of_mask = mask.as_ref().map(Mask::area);
            let area = annotation.area.or(area_of_mask).unwrap_or(width * height);
            if area.is_nan() {
                return Err(about("`area` is NaN; leave it out to use the box's".into()));
            }
            if let Some(image) = index_of_image.of(annotation.image_id) {
                let truth = TruthBox {
                    class: classes.index(annotation.category_id),
                    bbox: annotation.bbox,
                    area,
                    crowd: annotation.iscrowd,
                    ignore: annotation.ignore,
                    id_is_zero: annotation.id == 0,
                    mask: list.len() as u32,
                };
                list.extend(mask);
                boxes.push((image, truth));
            }
        }
        boxes.sort_by_key(|(image, _)| *image);
        let starts = (0..=image_ids.len())
            .map(|image| boxes.partition_point(|(index, _)| (*index as usize) < image))
            .collect();

        let lists = |field: &str, list: fn(&ImageRecord) -> Option<&Vec<i64>>| {
            let of_image = |image: &&ImageRecord| {
                let ids = list(image).ok_or_else(|| {
                    format!(
                        "image {} has no `{field}`, which the LVIS protocols need; score COCO ground truth with \
                         --protocol coco",
                        image.id
                    )
                })?;
                Ok(ids.iter().map(|id| classes.index(*id)).filter(|class| *class < NOT_CHOSEN).collect())
            };
            images.iter().map(of_image).collect::<Result<Vec<Vec<u32>>, String>>()
        };
        let federated = lists("neg_category_ids", |i| i.neg_category_ids.as_ref()).and_then(|negative| {
            let not_exhaustive =
                lists("not_exhaustive_category_ids", |i| i.not_exhaustive_category_ids.as_ref())?;
            Ok(Federated { negative, not_exhaustive })
        });
        let boxes = boxes.into_iter().map(|(_, truth)| truth).collect();
        let label = label.to_owned();
        let masks = masks.map(|_| TruthMasks::new(list, sizes));
        Ok(Self { label, image_ids, classes, boxes, masks, starts, federated, index_of_image, other_images })
    }

    /// Some of its images.
    ///
    /// # Errors
    /// If it does not have one.
    pub(crate) fn part(&self, image_ids: &[i64]) -> Result<Self, String> {
        let mut images: Vec<u32> = Vec::with_capacity(image_ids.len());
        for &id in image_ids {
            images.extend(self.index_of_image.of(id));
        }
        all_known("image", image_ids, |id| self.index_of_image.of(id).is_some())?;
        images.sort_unstable();
        images.dedup();
        let (mut boxes, mut starts) = (Vec::new(), vec![0]);
        let mut masks = self.masks.as_ref().map(|_| TruthMasks::default());
        for &image in &images {
            let of_image = boxes.len();
            boxes.extend_from_slice(self.boxes_of(image as usize));
            if let (Some(part), Some(all)) = (&mut masks, &self.masks) {
                part.push_size_of(all, image as usize);
                for truth in boxes[of_image..].iter_mut().filter(|truth| truth.class < NOT_CHOSEN) {
                    let mask = all.of(truth.mask).clone();
                    truth.mask = part.push(mask);
                }
            }
            starts.push(boxes.len());
        }
        let of_images = |lists: &[Vec<u32>]| images.iter().map(|&i| lists[i as usize].clone()).collect();
        let federated = self.federated.as_ref().map_err(Clone::clone).map(|lists| Federated {
            negative: of_images(&lists.negative),
            not_exhaustive: of_images(&lists.not_exhaustive),
        });
        let image_ids: Vec<i64> = images.iter().map(|&image| self.image_ids[image as usize]).collect();
        Ok(Self {
            label: self.label.clone(),
            index_of_image: Indices::new(&image_ids),
            image_ids,
            classes: self.classes.clone(),
            boxes,
            masks,
            starts,
            federated,
            other_images: Vec::new(),
        })
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.image_ids.len()
    }

    /// Whether some images of the file were not chosen.
    pub(crate) fn has_other_images(&self) -> bool {
        !self.other_images.is_empty()
    }

    /// Boxes of an image in file order.
    pub(crate) fn boxes_of(&self, image: usize) -> &[TruthBox] {
        &self.boxes[self.starts[image]..self.starts[image + 1]]
    }

    /// Index of an image among the ascending ids, [`NOT_CHOSEN`], or `None` if it is unknown.
    #[inline]
    pub(crate) fn image(&self, id: i64) -> Option<u32> {
        let other = || self.other_images.binary_search(&id).is_ok().then_some(NOT_CHOSEN);
        self.index_of_image.of(id).or_else(other)
    }

    /// The lists of a federated set.
    pub(crate) fn federated(&self) -> Result<&Federated, EvalError> {
        let fail =
            |reason: &String| EvalError::GroundTruth { set: self.label.clone(), reason: reason.clone() };
        self.federated.as_ref().map_err(fail)
    }
}

/// Refuses chosen ids that the set does not have.
fn all_known(what: &str, chosen: &[i64], is_known: impl Fn(i64) -> bool) -> Result<(), String> {
    let mut unknown = chosen.iter().copied().filter(|id| !is_known(*id)).peekable();
    if unknown.peek().is_none() {
        return Ok(());
    }
    Err(format!("{what} id {} was chosen, but the set does not have it", first_few(unknown)))
}

/// Indices of ids in an ascending list: a table where the ids lie close together, else a hash map.
#[derive(Debug)]
enum Indices {
    Table { least: i64, indices: Vec<u32> },
    Map(FxHashMap<i64, u32>),
}

impl Indices {
    /// Of ascending ids without repetition.
    fn new(ids: &[i64]) -> Self {
        let (least, most) = (ids.first().copied().unwrap_or(0), ids.last().copied().unwrap_or(0));
        match most.checked_sub(least) {
            Some(span) if span < TABLE && span <= SPARSE.saturating_mul(ids.len() as i64) => {
                let mut indices = vec![UNKNOWN; span as usize + 1];
                for (id, index) in ids.iter().zip(0..) {
                    indices[(id - least) as usize] = index;
                }
                Self::Table { least, indices }
            }
            _ => Self::Map(ids.iter().copied().zip(0..).collect()),
        }
    }

    #[inline]
    fn of(&self, id: i64) -> Option<u32> {
        match self {
            Self::Table { least, indices } => {
                let offset = usize::try_from(id.checked_sub(*least)?).ok()?;
                indices.get(offset).copied().filter(|&index| index != UNKNOWN)
            }
            Self::Map(map) => map.get(&id).copied(),
        }
    }
}
