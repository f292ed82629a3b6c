//! The data of a run, opened from its recipe.

use std::{path::Path, sync::Arc};

use longtail_data::{
    AnnotationSet, Category, ClassCounts, Dataset, Document, FrequencyGroup, ImageFolder, IndexPlace,
    LabelMap, Layout, Outlines, ReadOptions, Transform,
};
use longtail_emoji::{Split, World, WorldConfig, world::Drawn};
use longtail_eval::Protocol;
use serde::{Deserialize, Serialize};

use crate::{
    error::TrainError,
    observer::{Event, Observer},
    recipe::{DataRecipe, FileData},
};

/// Training and validation data.
pub struct RunData {
    /// The training set.
    pub train: Arc<Dataset>,
    /// The validation set, if the recipe names one.
    pub validation: Option<Validation>,
    /// The classes by label.
    pub classes: Vec<Class>,
}

/// A class of the training set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Class {
    /// The file's category id.
    pub category_id: i64,
    /// Name.
    pub name: String,
    /// Group by training images.
    pub frequency: FrequencyGroup,
    /// Training images that hold the class.
    pub train_images: u64,
    /// Training boxes of the class.
    pub train_instances: u64,
    /// A group of look-alikes, where the data knows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subgroup: Option<String>,
}

/// Validation images with one or more truths to score against.
pub struct Validation {
    /// The images.
    pub dataset: Arc<Dataset>,
    /// What detections are scored against.
    pub truths: Vec<Truth>,
}

/// Annotations with the protocol that scores them.
pub struct Truth {
    /// Short name for files and tables: `lvis`, `exhaustive`, `coco`.
    pub name: String,
    /// Readable name.
    pub label: String,
    /// The protocol.
    pub protocol: Protocol,
    /// The annotations.
    pub annotations: AnnotationSet,
}

impl RunData {
    /// Opens what the recipe names; the embedded benchmark is drawn into memory.
    ///
    /// # Errors
    /// If a file cannot be read, holds something training cannot use, or the world cannot be made.
    pub fn open(
        recipe: &DataRecipe,
        transform: &Transform,
        seed: u64,
        observer: &mut dyn Observer,
    ) -> Result<Self, TrainError> {
        let (train, classes) = match recipe {
            DataRecipe::Emoji(config) => {
                let world = world(config, seed)?;
                let drawn = draw(&world, Split::Train, "drawing training images", observer)?;
                let train = Dataset::new(drawn.annotations, drawn.images)?;
                let classes =
                    classes(train.labels(), train.counts(), |label| Some(world.subgroup(label).to_owned()));
                (train, classes)
            }
            DataRecipe::Files(files) => {
                let masks = transform.pastes_masks();
                let train =
                    open_files(&files.train_annotations, &files.train_images, files, "train", &[], masks)?;
                let classes = classes(train.labels(), train.counts(), |_| None);
                (train, classes)
            }
        };
        if train.dropped_boxes() > 0 {
            let note = format!(
                "{} boxes without area inside their image are left out; `longtail data check` lists them",
                train.dropped_boxes()
            );
            observer.observe(Event::Note(&note));
        }
        let validation = Validation::open(recipe, seed, &classes, observer)?;
        Ok(Self { train: Arc::new(train), validation, classes })
    }

    /// Frequency group of every class, by label.
    pub fn groups(&self) -> Vec<FrequencyGroup> {
        self.classes.iter().map(|class| class.frequency).collect()
    }
}

impl Validation {
    /// Opens the validation data of a recipe, if it names any. `classes` are those of the training set.
    ///
    /// # Errors
    /// As [`RunData::open`].
    pub fn open(
        recipe: &DataRecipe,
        seed: u64,
        classes: &[Class],
        observer: &mut dyn Observer,
    ) -> Result<Option<Self>, TrainError> {
        match recipe {
            DataRecipe::Emoji(config) => {
                let world = world(config, seed)?;
                let drawn = draw(&world, Split::Validation, "drawing validation images", observer)?;
                let truth = |name: &str, label: &str, annotations: &AnnotationSet| Truth {
                    name: name.into(),
                    label: label.into(),
                    protocol: Protocol::Lvis,
                    annotations: annotations.clone(),
                };
                let truths = vec![
                    truth("lvis", "LVIS protocol (sampled negatives)", &drawn.annotations),
                    truth("exhaustive", "exhaustive truth", &drawn.exhaustive),
                ];
                let dataset = Arc::new(Dataset::new(drawn.annotations, drawn.images)?);
                Ok(Some(Self { dataset, truths }))
            }
            DataRecipe::Files(files) => {
                let Some(annotations) = &files.validation_annotations else { return Ok(None) };
                let images = files.validation_images.as_ref().unwrap_or(&files.train_images);
                let dataset = open_files(annotations, images, files, "val", classes, false)?;
                let mut annotations = dataset.set().clone();
                // A file without frequency letters (COCO, custom sets) gets the training set's groups.
                for category in annotations.categories.iter_mut().filter(|c| c.frequency.is_none()) {
                    let class = classes.iter().find(|class| class.category_id == category.id);
                    category.frequency = class.map(|class| class.frequency);
                }
                let (name, label, protocol) = match annotations.layout {
                    Layout::Lvis => ("lvis", "LVIS protocol", Protocol::Lvis),
                    Layout::Coco => ("coco", "COCO protocol", Protocol::Coco),
                };
                let truth = Truth { name: name.into(), label: label.into(), protocol, annotations };
                Ok(Some(Self { dataset: Arc::new(dataset), truths: vec![truth] }))
            }
        }
    }
}

fn world(config: &WorldConfig, seed: u64) -> Result<World, TrainError> {
    Ok(World::new(&WorldConfig { seed, ..config.clone() })?)
}

fn draw(world: &World, split: Split, task: &str, observer: &mut dyn Observer) -> Result<Drawn, TrainError> {
    let mut progress = |done, total| {
        observer.observe(Event::Progress { task, done: done as u64, total: total as u64 });
    };
    Ok(world.draw_all(split, &mut progress)?)
}

/// Opens annotations of any format. The part matters where a data set has several; `classes` give the ids where a
/// format has only names. With `masks` the outlines of objects are read too.
fn open_files(
    annotations: &Path,
    images: &Path,
    files: &FileData,
    part: &str,
    classes: &[Class],
    masks: bool,
) -> Result<Dataset, TrainError> {
    let options = ReadOptions {
        part: Some(part.to_owned()),
        images: Some(images.to_owned()),
        index: IndexPlace::from_environment(),
        ..Default::default()
    };
    let (mut set, outlines) = if masks {
        let document = Document::open(annotations, &options)?;
        let outlines = Outlines::of(&document);
        (document.set, outlines)
    } else {
        (AnnotationSet::open(annotations, &options)?, Outlines::default())
    };
    let category = |c: &Class| Category { id: c.category_id, name: c.name.clone(), frequency: None };
    set.align_categories(&classes.iter().map(category).collect::<Vec<_>>());
    let folder = ImageFolder::new(images).with_max_pixels(files.max_pixels);
    Ok(Dataset::new(set, Arc::new(folder))?.with_outlines(outlines))
}

fn classes(labels: &LabelMap, counts: &ClassCounts, subgroup: impl Fn(u32) -> Option<String>) -> Vec<Class> {
    let groups = counts.groups();
    (0..labels.len() as u32)
        .map(|label| Class {
            category_id: labels.category_id(label),
            name: labels.name(label).to_owned(),
            frequency: groups[label as usize],
            train_images: counts.images[label as usize],
            train_instances: counts.instances[label as usize],
            subgroup: subgroup(label),
        })
        .collect()
}
