//! The typed recipe of a run: data, detector, stages, evaluation.
//!
//! A recipe is a TOML file; every key has a default but `data` and `stages`, unknown keys are errors, and
//! `--set stages.0.optimizer.learning_rate=0.02` overrides one value. The resolved recipe is written into the
//! run folder as `config.toml`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use longtail_data::{Augmentation, MAX_PIXELS, Sampler, Transform};
use longtail_detect::{FasterRcnnConfig, TestConfig};
use longtail_emoji::WorldConfig;
use longtail_formats::OpenImagesLabels;
use longtail_head::{
    ClassifierRecipe, Length, Schedule, SettingError, SgdConfig,
    settings::{flatten, set},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// Everything that decides a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Name of the run, used for its folder.
    pub name: String,
    /// Seed of every random choice.
    #[serde(default)]
    pub seed: u64,
    /// Write a checkpoint every so many iterations.
    #[serde(default = "default_checkpoint_every")]
    pub checkpoint_every: u64,
    /// Write a line of metrics every so many iterations.
    #[serde(default = "default_log_every")]
    pub log_every: u64,
    /// Worker threads that prepare batches.
    #[serde(default = "default_workers")]
    pub workers: usize,
    /// A file written by `longtail weights import`, or a run's checkpoint, whose tensors the detector begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// What to train on.
    pub data: DataRecipe,
    /// Resizing, flipping, augmentation and normalisation of training images; evaluation resizes and normalises.
    #[serde(default)]
    pub transform: Transform,
    /// The detector.
    #[serde(default)]
    pub detector: FasterRcnnConfig,
    /// Decoding of detections for evaluation.
    #[serde(default)]
    pub test: TestConfig,
    /// Whether a loss that reads class counts is refused.
    #[serde(default)]
    pub statistics_free: bool,
    /// Stages in order.
    pub stages: Vec<Stage>,
}

fn default_checkpoint_every() -> u64 {
    1000
}
fn default_log_every() -> u64 {
    20
}
fn default_workers() -> usize {
    1
}

/// Where images and annotations come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum DataRecipe {
    /// The embedded benchmark, drawn in memory.
    Emoji(WorldConfig),
    /// Folders of images with annotations in any format that `longtail data convert` reads.
    Files(FileData),
}

impl DataRecipe {
    /// Which boxes of Open Images are trained on, if the recipe says so.
    pub fn labels(&self) -> Option<OpenImagesLabels> {
        match self {
            Self::Emoji(world) => world.labels,
            Self::Files(files) => files.labels,
        }
    }
}

/// Image folders and annotation files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileData {
    /// Annotations to train on: a file, or a folder whose part `train` is taken.
    pub train_annotations: PathBuf,
    /// Folder of the training images.
    pub train_images: PathBuf,
    /// Annotations to evaluate on: a file, or a folder whose part `val` is taken; none: no evaluation.
    #[serde(default)]
    pub validation_annotations: Option<PathBuf>,
    /// Folder of the validation images; none: the training images' folder.
    #[serde(default)]
    pub validation_images: Option<PathBuf>,
    /// Open Images: which boxes are trained on. `plain` and `leaf` give a box one class, `expanded` also every class above it in
    /// the tree of classes; with `leaf` and `expanded` detections are scored against expanded boxes, as in the challenge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<OpenImagesLabels>,
    /// Most pixels of an image; one whose header claims more is refused before it is decoded.
    #[serde(default = "default_max_pixels", skip_serializing_if = "is_default_max_pixels")]
    pub max_pixels: u64,
}

impl FileData {
    /// Training data alone.
    pub fn new(train_annotations: impl Into<PathBuf>, train_images: impl Into<PathBuf>) -> Self {
        Self {
            train_annotations: train_annotations.into(),
            train_images: train_images.into(),
            validation_annotations: None,
            validation_images: None,
            labels: None,
            max_pixels: default_max_pixels(),
        }
    }
}

fn default_max_pixels() -> u64 {
    MAX_PIXELS
}
fn is_default_max_pixels(max_pixels: &u64) -> bool {
    *max_pixels == MAX_PIXELS
}

/// Which parameters a stage trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trained {
    /// The whole detector, as far as `detector.backbone` does not freeze it.
    All,
    /// Only the last classification layer. Everything below is frozen, normalisation included, so any number
    /// of classifiers train side by side on the same RoI features.
    Classifier,
}

/// One stage of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Name: letters, digits, `-`, `_`; its checkpoint is `checkpoints/<name>.safetensors`.
    pub name: String,
    /// What the stage trains.
    pub train: Trained,
    /// How long.
    pub length: Length,
    /// Images in a batch.
    pub batch_size: usize,
    /// The classifiers with their losses. A stage that trains `all` has exactly one; a `classifier` stage trains
    /// each from the previous stage's classifier on the same batches.
    pub classifiers: Vec<ClassifierRecipe>,
    /// Optimizer.
    #[serde(default)]
    pub optimizer: SgdConfig,
    /// Learning rate over the stage.
    #[serde(default)]
    pub schedule: Schedule,
    /// Order of the images.
    #[serde(default = "default_sampler")]
    pub sampler: Sampler,
    /// Landscape and portrait images in batches of their own, so that less of a batch is padding.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub aspect_grouping: bool,
    /// Evaluate every so many iterations besides the end of the stage; 0: only at the end.
    #[serde(default)]
    pub evaluate_every: u64,
}

fn default_sampler() -> Sampler {
    Sampler::Shuffled
}

impl Recipe {
    /// Reads a recipe file, applies `key=value` overrides and checks it. Paths in the file are relative to its
    /// folder, those of overrides to the working folder; both become absolute.
    ///
    /// # Errors
    /// If the file cannot be read or parsed, holds an unknown key, or a value is out of range.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, TrainError> {
        Self::read_with_data(path, None, overrides)
    }

    /// Parses a recipe and applies overrides; all paths are relative to the working folder.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(text: &str, overrides: &[String]) -> Result<Self, TrainError> {
        Self::from_table(text, None, overrides, None)
    }

    /// Reads a recipe file as [`Self::read`] does, with other data.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) fn read_with_data(
        path: &Path,
        data: Option<&FileData>,
        overrides: &[String],
    ) -> Result<Self, TrainError> {
        let not_a_recipe =
            |reason: &str| TrainError::RecipeFile { path: path.to_owned(), reason: reason.to_owned() };
        if path.is_dir() {
            return Err(not_a_recipe("is a folder; a recipe is a TOML file, such as configs/small.toml"));
        }
        let text = std::fs::read_to_string(path).map_err(TrainError::io("read recipe", path))?;
        // Annotations, most likely: the parser would show all of them as the line that it cannot read.
        if text.trim_start().starts_with('{') {
            return Err(not_a_recipe(
                "is JSON, not a recipe; give a TOML file, and annotations by --set data.train_annotations=FILE",
            ));
        }
        Self::from_table(&text, data, overrides, path.parent()).map_err(|error| match error {
            TrainError::Setting(SettingError { field, reason }) if field.is_empty() => {
                TrainError::RecipeFile { path: path.to_owned(), reason }
            }
            other => other,
        })
    }

    fn from_table(
        text: &str,
        data: Option<&FileData>,
        overrides: &[String],
        folder: Option<&Path>,
    ) -> Result<Self, TrainError> {
        let malformed = |e: toml::de::Error| TrainError::recipe("", one_screen(&e));
        let mut table: toml::Table = toml::from_str(text).map_err(malformed)?;
        make_absolute(&mut table, folder)?;
        if let Some(data) = data {
            let data = DataRecipe::Files(data.clone());
            let data = toml::Value::try_from(data).map_err(|e| TrainError::recipe("data", e.to_string()))?;
            table.insert("data".into(), data);
        }
        overrides.iter().try_for_each(|entry| set(&mut table, entry))?;
        // Those that came with the overrides; the others are absolute by now.
        make_absolute(&mut table, None)?;
        let recipe = toml::Value::Table(table).try_into().map_err(|error: toml::de::Error| {
            // The text itself, where that is at fault, shows the line.
            malformed(toml::from_str::<Self>(text).err().unwrap_or(error))
        });
        let recipe: Self = recipe?;
        recipe.validate()?;
        Ok(recipe)
    }

    /// The recipe as TOML.
    ///
    /// # Panics
    /// Never for a recipe that was parsed or built from finite values.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a recipe is made of plain values")
    }

    /// Keys whose values differ in another recipe, sorted; those that cannot change a result are left out.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let flat = |recipe: &Self| {
            let mut values = BTreeMap::new();
            if let Ok(value) = toml::Value::try_from(recipe) {
                flatten(String::new(), &value, &mut values);
            }
            values
        };
        let (ours, theirs) = (flat(self), flat(other));
        let keys: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        keys.into_iter()
            .filter(|key| *key != "workers" && ours.get(*key) != theirs.get(*key))
            .cloned()
            .collect()
    }

    /// Checks every value.
    ///
    /// # Errors
    /// Names the first key that is out of range and what is accepted.
    pub fn validate(&self) -> Result<(), TrainError> {
        if self.stages.is_empty() {
            return Err(TrainError::recipe("stages", "is empty; a run needs at least one stage"));
        }
        let plain = |name: &str| {
            !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
        };
        if !plain(&self.name) {
            return Err(TrainError::recipe("name", "must be letters, digits, `-` and `_`"));
        }
        for (field, value) in [("checkpoint_every", self.checkpoint_every), ("log_every", self.log_every)] {
            if value == 0 {
                return Err(TrainError::recipe(field, "is 0; it must be at least 1"));
            }
        }
        self.transform.validate()?;
        let pastes = |a: &Augmentation| matches!(a, Augmentation::CopyPaste(_));
        if self.data.labels() == Some(OpenImagesLabels::Expanded)
            && self.transform.augmentations.iter().any(pastes)
        {
            let reason = "is `expanded`, but copy-paste takes an object with one of its boxes alone; choose `leaf`, or leave it out";
            return Err(TrainError::recipe("data.labels", reason));
        }
        self.detector.validate()?;
        self.test.validate()?;
        for (index, stage) in self.stages.iter().enumerate() {
            let key = |name: &str| format!("stages.{index}.{name}");
            if !plain(&stage.name) || stage.name == "last" {
                return Err(TrainError::recipe(
                    key("name"),
                    "must be letters, digits, `-` and `_`, and not `last`",
                ));
            }
            if self.stages[..index].iter().any(|earlier| earlier.name == stage.name) {
                return Err(TrainError::recipe(key("name"), format!("repeats `{}`", stage.name)));
            }
            if stage.batch_size == 0 {
                return Err(TrainError::recipe(key("batch_size"), "is 0; it must be at least 1"));
            }
            stage.length.validate(&key("length"))?;
            stage.optimizer.validate(&key("optimizer"))?;
            stage.schedule.validate(&key("schedule"))?;
            stage.validate_classifiers(index)?;
        }
        if self.stages[0].train != Trained::All {
            return Err(TrainError::recipe(
                "stages.0.train",
                "is `classifier`, but no earlier stage trains what it would freeze; begin with `all`",
            ));
        }
        Ok(())
    }
}

impl Stage {
    fn validate_classifiers(&self, index: usize) -> Result<(), TrainError> {
        let key = format!("stages.{index}.classifiers");
        if self.classifiers.is_empty() || (self.train == Trained::All && self.classifiers.len() != 1) {
            let needed = if self.train == Trained::All { "exactly one" } else { "at least one" };
            let found = self.classifiers.len();
            return Err(TrainError::recipe(key, format!("has {found} entries; this stage takes {needed}")));
        }
        for (index, classifier) in self.classifiers.iter().enumerate() {
            if classifier.name.is_empty()
                || self.classifiers[..index].iter().any(|other| other.name == classifier.name)
            {
                return Err(TrainError::recipe(format!("{key}.{index}.name"), "is empty or repeated"));
            }
            classifier.validate(&format!("{key}.{index}"))?;
        }
        Ok(())
    }
}

/// Keys of `data` that hold a path.
const PATHS: [&str; 4] = ["train_annotations", "train_images", "validation_annotations", "validation_images"];

/// The parser's message with the line that it is about, or without it where that is longer than a screen is
/// wide.
fn one_screen(error: &toml::de::Error) -> String {
    let text = error.to_string();
    if text.lines().all(|line| line.chars().count() <= 120) {
        return text;
    }
    format!("{}: {}", text.lines().next().unwrap_or_default(), error.message())
}

/// Makes the relative paths of a recipe absolute, from `folder` or the working folder: the run folder's copy of the
/// recipe must name the same files.
fn make_absolute(table: &mut toml::Table, folder: Option<&Path>) -> Result<(), TrainError> {
    let absolute = |table: &mut toml::Table, key: &str| -> Result<(), TrainError> {
        if let Some(toml::Value::String(path)) = table.get_mut(key) {
            let joined = folder.map_or_else(|| PathBuf::from(&*path), |folder| folder.join(&*path));
            let found = std::path::absolute(&joined).map_err(TrainError::io("resolve", &joined))?;
            let shown = found.display().to_string();
            let found = found.into_os_string().into_string();
            *path = found.map_err(|_| TrainError::recipe(key, format!("is {shown}, which is not UTF-8")))?;
        }
        Ok(())
    };
    absolute(table, "weights")?;
    match table.get_mut("data").and_then(toml::Value::as_table_mut) {
        Some(data) => PATHS.iter().try_for_each(|key| absolute(data, key)),
        None => Ok(()),
    }
}
