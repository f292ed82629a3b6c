//! The data of a run, opened from its recipe.

use std::{path::Path, sync::Arc};

use longtail_annotations::{AnnotationSet, Category, ClassCounts, FrequencyGroup, LabelMap, Layout};
use longtail_bank::{Class, ClassTable};
use longtail_data::{Dataset, ImageFolder, Outlines, Transform};
use longtail_emoji::{Split, World, WorldConfig, WorldLayout, world::Drawn};
use longtail_eval::{Protocol, Scoring};
use longtail_formats::{DataFormat, Document, IndexPlace, OpenImagesLabels, ReadOptions};
use longtail_run::{Event, Observer};

use crate::{
    error::TrainError,
    recipe::{DataRecipe, FileData},
};

/// Training and validation data.
pub struct RunData {
    /// The training set.
    pub train: Arc<Dataset>,
    /// The validation set, if the recipe names one.
    pub validation: Option<Validation>,
    /// The classes by label.
    pub classes: ClassTable,
    /// The rules that sets like the training set are scored by.
    pub scoring: Scoring,
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
    /// Short name for files and tables: `lvis`, `exhaustive`, `coco`, `open-images`.
    pub name: String,
    /// Readable name.
    pub label: String,
    /// The rules.
    pub scoring: Scoring,
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
        let (train, classes, scoring) = match recipe {
            DataRecipe::Emoji(config) => {
                let world = world(config, seed)?;
                let drawn = draw(&world, Split::Train, "drawing training images", observer)?;
                let train = Dataset::new(drawn.annotations, drawn.images)?;
                let subgroup = |label| world.subgroup(label).map(str::to_owned);
                let classes = classes(train.labels(), train.counts(), subgroup);
                (train, classes, of_world(config))
            }
            DataRecipe::Files(files) => {
                let masks = transform.pastes_masks();
                let labels = files.labels.unwrap_or_default();
                let (path, images) = (&files.train_annotations, &files.train_images);
                let train = open_files(path, images, files, "train", labels, &ClassTable::default(), masks)?;
                let classes = classes(train.labels(), train.counts(), |_| None);
                let scoring = of_files(path, &train)?;
                if files.labels.is_some() && scoring != Scoring::OpenImages {
                    let reason = format!("chooses labels of Open Images, which {} is not", path.display());
                    return Err(TrainError::recipe("data.labels", reason));
                }
                (train, classes, scoring)
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
        Ok(Self { train: Arc::new(train), validation, classes, scoring })
    }

    /// Frequency group of every class, by label.
    pub fn groups(&self) -> Vec<FrequencyGroup> {
        self.train.counts().groups()
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
        classes: &ClassTable,
        observer: &mut dyn Observer,
    ) -> Result<Option<Self>, TrainError> {
        match recipe {
            DataRecipe::Emoji(config) => {
                let world = world(config, seed)?;
                let drawn = draw(&world, Split::Validation, "drawing validation images", observer)?;
                let scoring = of_world(config);
                let truth = |name: &str, label: &str, set: &AnnotationSet| {
                    let mut annotations = set.clone();
                    // Validation images are balanced by class: their own counts say nothing.
                    set_groups(&mut annotations, classes, scoring == Scoring::OpenImages);
                    Truth { name: name.into(), label: label.into(), scoring, annotations }
                };
                let (name, label) = match config.layout {
                    WorldLayout::Lvis => ("lvis", "LVIS protocol (sampled negatives)"),
                    WorldLayout::OpenImages => ("open-images", "Open Images challenge (sampled negatives)"),
                };
                let truths = vec![
                    truth(name, label, &drawn.annotations),
                    truth("exhaustive", "exhaustive truth", &drawn.exhaustive),
                ];
                let dataset = Arc::new(Dataset::new(drawn.annotations, drawn.images)?);
                Ok(Some(Self { dataset, truths }))
            }
            DataRecipe::Files(files) => {
                let Some(annotations) = &files.validation_annotations else { return Ok(None) };
                let images = files.validation_images.as_ref().unwrap_or(&files.train_images);
                let labels = files.labels.unwrap_or_default().of_truth();
                let dataset = open_files(annotations, images, files, "val", labels, classes, false)?;
                let scoring = of_files(annotations, &dataset)?;
                let mut annotations = dataset.set().clone();
                // Open Images' tables have no letters, and those counted in the validation part say nothing.
                set_groups(&mut annotations, classes, scoring == Scoring::OpenImages);
                let (name, label) = (scoring.to_string(), label_of(scoring));
                let truth = Truth { name, label, scoring, annotations };
                Ok(Some(Self { dataset: Arc::new(dataset), truths: vec![truth] }))
            }
        }
    }
}

/// The rules that a world is scored by.
fn of_world(config: &WorldConfig) -> Scoring {
    match config.layout {
        WorldLayout::Lvis => Scoring::Annotations(Protocol::Lvis),
        WorldLayout::OpenImages => Scoring::OpenImages,
    }
}

/// The rules that a file's annotations are scored by.
fn of_files(path: &Path, dataset: &Dataset) -> Result<Scoring, TrainError> {
    Ok(match (DataFormat::detect(path)?, dataset.set().layout) {
        (DataFormat::OpenImages, _) => Scoring::OpenImages,
        (_, Layout::Lvis) => Scoring::Annotations(Protocol::Lvis),
        (_, Layout::Coco) => Scoring::Annotations(Protocol::Coco),
    })
}

/// Readable name of rules.
pub(crate) fn label_of(scoring: Scoring) -> String {
    match scoring {
        Scoring::Annotations(protocol) => format!("{} protocol", protocol.to_string().to_uppercase()),
        Scoring::OpenImages => "Open Images challenge".into(),
    }
}

/// Gives categories the frequency groups of the training set: those without one (COCO, custom sets), or all.
fn set_groups(set: &mut AnnotationSet, classes: &ClassTable, all: bool) {
    for category in set.categories.iter_mut().filter(|c| all || c.frequency.is_none()) {
        category.frequency = group_of(classes, category.id);
    }
}

/// Frequency group of a class by its training images; none for another class.
pub(crate) fn group_of(classes: &ClassTable, category_id: i64) -> Option<FrequencyGroup> {
    let class = classes.iter().find(|class| class.category_id == category_id)?;
    class.train_images.map(FrequencyGroup::from_image_count)
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
    labels: OpenImagesLabels,
    classes: &ClassTable,
    masks: bool,
) -> Result<Dataset, TrainError> {
    let options = ReadOptions {
        part: Some(part.to_owned()),
        images: Some(images.to_owned()),
        labels,
        index: IndexPlace::from_environment(),
        ..Default::default()
    };
    let (mut set, outlines) = if masks {
        let document = Document::open(annotations, &options)?;
        let outlines = Outlines::of(&document);
        (document.set, outlines)
    } else {
        (longtail_formats::open_annotations(annotations, &options)?, Outlines::default())
    };
    let category = |c: &Class| Category { id: c.category_id, name: c.name.clone(), frequency: None };
    set.align_categories(&classes.iter().map(category).collect::<Vec<_>>());
    let folder = ImageFolder::new(images).with_max_pixels(files.max_pixels);
    Ok(Dataset::new(set, Arc::new(folder))?.with_outlines(outlines))
}

fn classes(labels: &LabelMap, counts: &ClassCounts, subgroup: impl Fn(u32) -> Option<String>) -> ClassTable {
    let class = |label: u32| {
        let (images, instances) = (counts.images[label as usize], counts.instances[label as usize]);
        let class = Class::counted(labels.category_id(label), labels.name(label), images, instances);
        Class { subgroup: subgroup(label), ..class }
    };
    (0..labels.len() as u32).map(class).collect()
}
