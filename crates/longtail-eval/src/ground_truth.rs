//! Ground truth, checked once and sorted by image, so that everything after it works with places instead of ids.

use longtail_annotations::{AnnotationSet, FrequencyGroup};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use crate::error::EvalError;

/// Ids named in a message; more would hide the rest of it.
const NAMED: usize = 3;

/// Place of a detection's class that the ground truth does not know.
pub(crate) const UNKNOWN: u32 = u32::MAX;

/// Largest span of ids that is looked up in a table instead of a hash map.
const TABLE: i64 = 1 << 22;

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
    /// Place of the class, or [`UNKNOWN`].
    pub class: u32,
    /// x, y, width, height.
    pub bbox: [f64; 4],
    /// As given, else the box's.
    pub area: f64,
    pub crowd: bool,
    pub ignore: bool,
    /// The references read the match of such a box as no match.
    pub id_is_zero: bool,
}

/// Ground truth that every protocol can score: ids are unique, numbers are finite.
///
/// Images are in ascending order of their ids, classes too; boxes of an image are in file order.
#[derive(Debug)]
pub struct GroundTruth {
    pub(crate) label: String,
    pub(crate) image_ids: Vec<i64>,
    pub(crate) classes: Vec<Class>,
    boxes: Vec<TruthBox>,
    /// Where each image's boxes start, and the end.
    starts: Vec<usize>,
    federated: Result<Federated, String>,
    place_of_image: Places,
    place_of_class: Places,
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
        let fail = |reason: String| EvalError::GroundTruth { set: set.label(), reason };
        unique("image", set.images.iter().map(|i| i.id)).map_err(fail)?;
        unique("category", set.categories.iter().map(|c| c.id)).map_err(fail)?;
        unique("annotation", set.annotations.iter().map(|a| a.id)).map_err(fail)?;
        let mut images: Vec<_> = set.images.iter().collect();
        images.sort_by_key(|image| image.id);
        let image_ids: Vec<i64> = images.iter().map(|image| image.id).collect();
        let mut classes: Vec<Class> = set
            .categories
            .iter()
            .map(|c| Class { id: c.id, name: c.name.clone(), frequency: c.frequency })
            .collect();
        classes.sort_by_key(|class| class.id);
        let place_of_image = Places::new(&image_ids);
        let place_of_class = Places::new(&classes.iter().map(|c| c.id).collect::<Vec<_>>());
        let class_of = |id: &i64| place_of_class.of(*id).unwrap_or(UNKNOWN);

        let mut boxes = Vec::with_capacity(set.annotations.len());
        for annotation in &set.annotations {
            let about = |reason: String| fail(format!("annotation {}: {reason}", annotation.id));
            check_box(&annotation.bbox).map_err(about)?;
            let [_, _, width, height] = annotation.bbox;
            let area = annotation.area.unwrap_or(width * height);
            if area.is_nan() {
                return Err(about("`area` is NaN; leave it out to use the box's".into()));
            }
            if let Some(image) = place_of_image.of(annotation.image_id) {
                let truth = TruthBox {
                    class: class_of(&annotation.category_id),
                    bbox: annotation.bbox,
                    area,
                    crowd: annotation.iscrowd,
                    ignore: annotation.ignore,
                    id_is_zero: annotation.id == 0,
                };
                boxes.push((image, truth));
            }
        }
        boxes.sort_by_key(|(image, _)| *image);
        let starts = (0..=image_ids.len())
            .map(|image| boxes.partition_point(|(place, _)| (*place as usize) < image))
            .collect();

        let lists = |field: &str, list: fn(&longtail_annotations::ImageRecord) -> Option<&Vec<i64>>| {
            let of_image = |image: &&longtail_annotations::ImageRecord| {
                let ids = list(image).ok_or_else(|| {
                    format!(
                        "image {} has no `{field}`, which the LVIS protocols need; score COCO ground truth with \
                         --protocol coco",
                        image.id
                    )
                })?;
                Ok(ids.iter().map(class_of).filter(|&class| class != UNKNOWN).collect())
            };
            images.iter().map(of_image).collect::<Result<Vec<Vec<u32>>, String>>()
        };
        let federated = lists("neg_category_ids", |i| i.neg_category_ids.as_ref()).and_then(|negative| {
            let not_exhaustive =
                lists("not_exhaustive_category_ids", |i| i.not_exhaustive_category_ids.as_ref())?;
            Ok(Federated { negative, not_exhaustive })
        });
        let boxes = boxes.into_iter().map(|(_, truth)| truth).collect();
        let label = set.label();
        Ok(Self { label, image_ids, classes, boxes, starts, federated, place_of_image, place_of_class })
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.image_ids.len()
    }

    /// Boxes of an image in file order.
    pub(crate) fn boxes_of(&self, image: usize) -> &[TruthBox] {
        &self.boxes[self.starts[image]..self.starts[image + 1]]
    }

    /// Place of an image among the ascending ids.
    pub(crate) fn image(&self, id: i64) -> Option<u32> {
        self.place_of_image.of(id)
    }

    /// Place of a class among the ascending ids, or [`UNKNOWN`].
    pub(crate) fn class(&self, id: i64) -> u32 {
        self.place_of_class.of(id).unwrap_or(UNKNOWN)
    }

    /// The lists of a federated set.
    pub(crate) fn federated(&self) -> Result<&Federated, EvalError> {
        let fail =
            |reason: &String| EvalError::GroundTruth { set: self.label.clone(), reason: reason.clone() };
        self.federated.as_ref().map_err(fail)
    }
}

/// Places of ids in an ascending list: a table where the ids lie close together, else a hash map.
#[derive(Debug)]
enum Places {
    Table { least: i64, places: Vec<u32> },
    Map(FxHashMap<i64, u32>),
}

impl Places {
    /// Of ascending ids without repetition.
    fn new(ids: &[i64]) -> Self {
        let (least, most) = (ids.first().copied().unwrap_or(0), ids.last().copied().unwrap_or(0));
        match most.checked_sub(least) {
            Some(span) if span < TABLE => {
                let mut places = vec![UNKNOWN; span as usize + 1];
                for (id, place) in ids.iter().zip(0..) {
                    places[(id - least) as usize] = place;
                }
                Self::Table { least, places }
            }
            _ => Self::Map(ids.iter().copied().zip(0..).collect()),
        }
    }

    #[inline]
    fn of(&self, id: i64) -> Option<u32> {
        match self {
            Self::Table { least, places } => {
                let offset = usize::try_from(id.checked_sub(*least)?).ok()?;
                places.get(offset).copied().filter(|&place| place != UNKNOWN)
            }
            Self::Map(map) => map.get(&id).copied(),
        }
    }
}

/// Refuses a box, x, y, width, height, that is not finite or has a negative size. Empty boxes are left to the
/// protocols, which differ about them.
pub(crate) fn check_box(bbox: &[f64; 4]) -> Result<(), String> {
    if bbox.iter().any(|v| !v.is_finite()) {
        return Err(format!("`bbox` {bbox:?} is not finite"));
    }
    if bbox[2] < 0.0 || bbox[3] < 0.0 {
        return Err(format!(
            "`bbox` {bbox:?} has a negative width or height; expected x, y, width, height, not two corners"
        ));
    }
    Ok(())
}

/// Refuses repeated ids: the references keep the last entry of an id without a word.
pub(crate) fn unique(what: &str, ids: impl Iterator<Item = i64>) -> Result<(), String> {
    let mut seen = FxHashSet::default();
    let mut repeated = ids.filter(|&id| !seen.insert(id)).peekable();
    if repeated.peek().is_none() {
        return Ok(());
    }
    Err(format!("{what} id {} is repeated; give every {what} its own", first_few(repeated)))
}

/// The first few different ids, for a message.
pub(crate) fn first_few(ids: impl Iterator<Item = i64>) -> String {
    let mut different: Vec<i64> = Vec::new();
    for id in ids {
        if !different.contains(&id) {
            if different.len() == NAMED {
                let named: Vec<String> = different.iter().map(i64::to_string).collect();
                return format!("{}, …", named.join(", "));
            }
            different.push(id);
        }
    }
    different.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}
