//! Images and annotations of a world.

use std::{ops::Range, sync::Arc};

use longtail_annotations::{Annotation, AnnotationSet, Category, FrequencyGroup, ImageRecord, Layout};
use longtail_data::{DataError, ImageSource, RgbImage};
use longtail_draw::{Purpose, generator};
use rand::{RngExt, seq::SliceRandom};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::{
    artwork::Artwork,
    classes::{self, Class, Emoji},
    config::{WorldConfig, WorldLayout},
    error::EmojiError,
    plan::{self, Plan},
    random::chance,
    scene::{self, Object, Scene},
};

/// Classes verified absent in an image.
const NEGATIVES: usize = 10;
/// Share of the classes with several objects in an image whose boxes the annotators did not finish.
const NOT_EXHAUSTIVE: f32 = 0.1;

/// Part of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Long-tailed, to train on.
    Train,
    /// Balanced by class, to evaluate on.
    Validation,
}

impl Split {
    /// Short name: `train` or `val`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "val",
        }
    }
}

/// A world: its classes and what lies in every image.
pub struct World {
    config: WorldConfig,
    classes: Vec<Class>,
    distractors: Vec<&'static Emoji>,
    artwork: Artwork,
    train: Plan,
    validation: Plan,
}

/// Drawn images with what is annotated in them.
pub struct Drawn {
    /// The images, for a [`longtail_data::Dataset`].
    pub images: Arc<dyn ImageSource>,
    /// As LVIS annotates: about ten classes verified absent an image, some boxes left out and said so. Or as
    /// Open Images does, with the labels that the settings choose; validation images with those that are
    /// scored.
    pub annotations: AnnotationSet,
    /// Every object, or in Open Images layout every box, and every other class absent.
    pub exhaustive: AnnotationSet,
}

/// Called now and then with images done and images in all.
pub type Progress<'a> = &'a mut dyn FnMut(usize, usize);

/// Images drawn between two calls of [`Progress`]; bounds the memory of an export.
pub(crate) const BLOCK: usize = 128;

impl World {
    /// Plans a world; nothing is drawn yet.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(config: &WorldConfig) -> Result<Self, EmojiError> {
        let classes = classes::choose(config)?;
        Ok(Self {
            train: plan::train(&classes, config.images, config.seed),
            validation: plan::validation(&classes, config.validation_images, config.seed),
            distractors: classes::distractors()?,
            artwork: Artwork::default(),
            config: config.clone(),
            classes,
        })
    }

    /// The classes by label; category ids are labels + 1.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// Its settings.
    pub fn config(&self) -> &WorldConfig {
        &self.config
    }

    /// Group of look-alikes that a class belongs to; `None` for the classes above emoji.
    pub fn subgroup(&self, label: u32) -> Option<&str> {
        Some(&self.classes.get(label as usize)?.emoji.subgroup)
    }

    /// Number of images of a split.
    pub fn len(&self, split: Split) -> usize {
        self.plan(split).len()
    }

    /// Draws one image.
    ///
    /// # Errors
    /// If a drawing is missing.
    pub fn draw(&self, split: Split, index: usize) -> Result<Scene, EmojiError> {
        let stream = match split {
            Split::Train => Purpose::WorldTrainScene,
            Split::Validation => Purpose::WorldValidationScene,
        };
        let mut generator = generator(self.config.seed, stream.at(index as u64));
        let labels = &self.plan(split)[index];
        let side = self.config.image_size;
        scene::draw(&self.classes, &self.distractors, &self.artwork, labels, side, &mut generator)
    }

    /// Draws all images of a split into memory.
    ///
    /// # Errors
    /// If a drawing is missing.
    pub fn draw_all(&self, split: Split, progress: Progress<'_>) -> Result<Drawn, EmojiError> {
        let mut pixels = FxHashMap::default();
        let mut objects = Vec::new();
        for block in self.blocks(split) {
            let scenes: Result<Vec<Scene>, EmojiError> =
                block.into_par_iter().map(|index| self.draw(split, index)).collect();
            for scene in scenes? {
                objects.push(scene.objects);
                pixels.insert(objects.len() as i64, scene.image);
            }
            progress(objects.len(), self.len(split));
        }
        let (annotations, exhaustive) = match self.config.layout {
            WorldLayout::Lvis => self.annotate(split, &objects),
            WorldLayout::OpenImages => {
                let labels = self.config.labels.unwrap_or_default();
                let labels = if split == Split::Train { labels } else { labels.of_truth() };
                let annotate = |exhaustive| self.annotate_open_images(split, &objects, labels, exhaustive);
                (annotate(false)?, annotate(true)?)
            }
        };
        Ok(Drawn { images: Arc::new(MemoryImages { pixels }), annotations, exhaustive })
    }

    /// The images of a split in blocks.
    pub(crate) fn blocks(&self, split: Split) -> impl Iterator<Item = Range<usize>> {
        let total = self.len(split);
        (0..total).step_by(BLOCK).map(move |start| start..(start + BLOCK).min(total))
    }

    /// Annotations of drawn images: as LVIS makes them, and exhaustive.
    pub fn annotate(&self, split: Split, objects: &[Vec<Object>]) -> (AnnotationSet, AnnotationSet) {
        let stream = match split {
            Split::Train => Purpose::WorldTrainAnnotation,
            Split::Validation => Purpose::WorldValidationAnnotation,
        };
        let (mut federated, mut exhaustive) = (self.empty_set(), self.empty_set());
        let mut next_id = 1;
        for (index, objects) in objects.iter().enumerate() {
            let mut generator = generator(self.config.seed, stream.at(index as u64));
            let image_id = index as i64 + 1;
            let mut present: Vec<u32> = objects.iter().map(|o| o.label).collect();
            present.sort_unstable();
            present.dedup();
            let absent: Vec<u32> = (0..self.classes.len() as u32)
                .filter(|label| present.binary_search(label).is_err())
                .collect();
            let mut negatives = absent.clone();
            let (chosen, _) = negatives.partial_shuffle(&mut generator, NEGATIVES);
            let mut negatives = chosen.to_vec();
            negatives.sort_unstable();
            let open: Vec<u32> = present
                .iter()
                .copied()
                .filter(|label| {
                    let several = objects.iter().filter(|o| o.label == *label).count() > 1;
                    several && chance(&mut generator, NOT_EXHAUSTIVE)
                })
                .collect();
            for object in objects {
                let annotation = Annotation {
                    id: next_id,
                    image_id,
                    category_id: i64::from(object.label) + 1,
                    bbox: object.bbox.map(f64::from),
                    area: Some(f64::from(object.area)),
                    iscrowd: false,
                    ignore: false,
                };
                next_id += 1;
                // Of an unfinished class the first box always stays: the class is known to be present.
                let first = federated
                    .annotations
                    .iter()
                    .rev()
                    .take_while(|a| a.image_id == image_id)
                    .all(|a| a.category_id != annotation.category_id);
                if first || !open.contains(&object.label) || generator.random::<bool>() {
                    federated.annotations.push(annotation.clone());
                }
                exhaustive.annotations.push(annotation);
            }
            let ids = |labels: &[u32]| Some(labels.iter().map(|&l| i64::from(l) + 1).collect());
            let record = |negatives: &[u32], open: &[u32]| ImageRecord {
                id: image_id,
                file_name: format!("{}/{image_id:06}.png", split.name()),
                width: self.config.image_size,
                height: self.config.image_size,
                neg_category_ids: ids(negatives),
                not_exhaustive_category_ids: ids(open),
            };
            federated.images.push(record(&negatives, &open));
            exhaustive.images.push(record(&absent, &[]));
        }
        (federated, exhaustive)
    }

    fn plan(&self, split: Split) -> &Plan {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
        }
    }

    fn empty_set(&self) -> AnnotationSet {
        let category = |(label, class): (usize, &Class)| Category {
            id: label as i64 + 1,
            name: class.emoji.name.clone(),
            frequency: Some(FrequencyGroup::from_image_count(class.images)),
        };
        AnnotationSet {
            path: None,
            layout: Layout::Lvis,
            images: Vec::new(),
            annotations: Vec::new(),
            categories: self.classes.iter().enumerate().map(category).collect(),
        }
    }
}

/// Images kept in memory by id.
struct MemoryImages {
    pixels: FxHashMap<i64, RgbImage>,
}

impl ImageSource for MemoryImages {
    fn load(&self, record: &ImageRecord) -> Result<RgbImage, DataError> {
        self.pixels.get(&record.id).cloned().ok_or_else(|| DataError::Entry {
            set: "embedded benchmark".into(),
            entry: format!("image {}", record.id),
            reason: "it belongs to another world".into(),
        })
    }
}
