//! A classifier with its loss, and every setting of a head's training. Defaults are those of the published recipe's second
//! stage.

use longtail_bank::{ClassTable, FeatureLayer};
use longtail_data::Sampler;
use longtail_loss::{ClassContext, ClassificationLoss, LossConfig, LossError, PostHoc, Reduction};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    error::HeadError,
    hidden::HiddenRecipe,
    layer::ClassifierKind,
    lbfgs::LbfgsConfig,
    schedule::{Length, Schedule},
    settings::{SettingError, changed, positive},
    sgd::SgdConfig,
};

/// A classifier and the loss that trains it: in a stage of a recipe, and in the recipe of a head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassifierRecipe {
    /// Name in tables and files.
    #[serde(default)]
    pub name: String,
    /// The classification loss.
    pub loss: LossConfig,
    /// A correction of the trained classifier's scores, for softmax losses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correction: Option<PostHoc>,
    /// Weight and normaliser of the loss.
    #[serde(default)]
    pub reduction: Reduction,
    /// Learning rate of this classifier where it differs from the optimizer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
}

impl ClassifierRecipe {
    /// Checks the ranges; `field` is the dotted key of this block for the message.
    ///
    /// # Errors
    /// If the reduction is refused or the learning rate is not above 0.
    pub fn validate(&self, field: &str) -> Result<(), SettingError> {
        let key = |name: &str| if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") };
        self.reduction
            .validate()
            .map_err(|e| SettingError::new(key("reduction"), format!("is refused: {e}")))?;
        self.learning_rate.map_or(Ok(()), |rate| positive(&key("learning_rate"), rate))
    }
}

/// A loss, with its correction, for the classes of a training set of `total_images` images; a loss that reads class counts
/// is refused where they were not counted, and where none may be read (`statistics_free`).
///
/// # Errors
/// If a setting is out of range or a needed class count is missing.
pub fn build_loss(
    loss: &LossConfig,
    correction: Option<PostHoc>,
    classes: &ClassTable,
    total_images: u64,
    statistics_free: bool,
) -> Result<Box<dyn ClassificationLoss>, LossError> {
    let (images, instances) = (classes.image_counts(), classes.instance_counts());
    let context = ClassContext {
        num_classes: classes.len(),
        image_counts: images.as_deref(),
        instance_counts: instances.as_deref(),
        total_images: Some(total_images),
        statistics_free,
    };
    let loss = loss.build(&context)?;
    match correction {
        Some(correction) => correction.correct(loss, &context),
        None => Ok(loss),
    }
}

/// Everything that decides a head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadRecipe {
    /// The classifier and its loss.
    #[serde(flatten)]
    pub classifier: ClassifierRecipe,
    /// What the layer computes.
    #[serde(default, rename = "classifier")]
    pub kind: ClassifierKind,
    /// What becomes of the last hidden layer, on a bank that holds its inputs. None: trained there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<HiddenRecipe>,
    /// Whether it starts from the classifier of stage 1; else from zeros. A hidden layer always starts from that of stage 1.
    #[serde(default = "yes")]
    pub from_stage1: bool,
    /// Seed of order and draws.
    #[serde(default)]
    pub seed: u64,
    /// How long; an epoch is the sampler's pass over the bank's images.
    #[serde(default = "default_length")]
    pub length: Length,
    /// What a step is made of.
    #[serde(default)]
    pub batch: BatchRecipe,
    /// Which images come how often.
    #[serde(default = "default_sampler")]
    pub sampler: Sampler,
    /// The optimizer.
    #[serde(default)]
    pub optimizer: OptimizerRecipe,
    /// Learning rate of stochastic gradient descent over the training.
    #[serde(default)]
    pub schedule: Schedule,
    /// Shards that are read at a time, MiB. A bank above it is trained on in shuffled windows of shards.
    #[serde(default = "default_window")]
    pub window_mib: u64,
}

fn yes() -> bool {
    true
}
fn default_length() -> Length {
    Length::Epochs(12.0)
}
fn default_sampler() -> Sampler {
    Sampler::Shuffled
}
fn default_window() -> u64 {
    4096
}

/// What a step is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchRecipe {
    /// Images, each with the RoIs that training through the detector would sample.
    Images(usize),
    /// RoIs of as many images, shuffled among one another.
    Rois(usize),
}

impl Default for BatchRecipe {
    fn default() -> Self {
        Self::Images(16)
    }
}

/// The optimizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum OptimizerRecipe {
    /// Stochastic gradient descent with momentum.
    Sgd(SgdConfig),
    /// L-BFGS over all RoIs at once, weighted by how often they would come; for convex losses.
    Lbfgs(LbfgsConfig),
}

impl Default for OptimizerRecipe {
    fn default() -> Self {
        Self::Sgd(SgdConfig { learning_rate: 0.02, ..SgdConfig::default() })
    }
}

impl HeadRecipe {
    /// A recipe for a loss by its kind, such as `acsl`, everything else as published.
    ///
    /// # Errors
    /// If there is no such loss.
    pub fn of(loss: &str) -> Result<Self, SettingError> {
        let table = format!("loss = {{ kind = {loss:?} }}");
        let known = || {
            let kind = |config: &LossConfig| {
                let value = toml::Value::try_from(config).ok()?;
                value.get("kind")?.as_str().map(str::to_owned)
            };
            LossConfig::defaults().iter().filter_map(kind).collect::<Vec<_>>().join(", ")
        };
        let mut recipe: Self = toml::from_str(&table)
            .map_err(|_| SettingError::new("loss", format!("is `{loss}`; it must be one of {}", known())))?;
        recipe.classifier.name = loss.to_owned();
        Ok(recipe)
    }

    /// A copy with values changed by entries such as `loss.threshold=0.5` (see [`crate::settings`]). A head that gets another
    /// loss by its kind, `loss=acsl`, is named after it.
    ///
    /// # Errors
    /// If there is no such key or a value does not fit it.
    pub fn with(&self, entries: &[impl AsRef<str>]) -> Result<Self, SettingError> {
        let mut recipe = changed(self, entries)?;
        for entry in entries {
            if let Some(kind) = entry.as_ref().strip_prefix("loss=").filter(|kind| !kind.contains('{')) {
                recipe.classifier.name = kind.to_owned();
            }
        }
        Ok(recipe)
    }

    /// Reads a recipe file.
    ///
    /// # Errors
    /// If it cannot be read or parsed.
    pub fn read(path: &std::path::Path) -> Result<Self, HeadError> {
        let text = std::fs::read_to_string(path).map_err(HeadError::io("read recipe", path))?;
        toml::from_str(&text)
            .map_err(|e| HeadError::RecipeFile { path: path.to_owned(), reason: e.to_string() })
    }

    /// The recipe on a bank that holds the inputs of a layer: whether a hidden layer is trained is settled, and the learning
    /// rate is the optimizer's.
    ///
    /// # Errors
    /// If the bank holds no inputs of a hidden layer that is to be trained, or the optimizer cannot train it.
    pub fn on(&self, layer: FeatureLayer) -> Result<Self, SettingError> {
        let hidden = match (layer, self.hidden) {
            (FeatureLayer::Hidden, hidden) => Some(hidden.unwrap_or_default()),
            (FeatureLayer::Classifier, Some(HiddenRecipe::Trained { .. })) => {
                let reason = "is `trained`, but the bank holds what the classifier sees; make one with \
                              `longtail features extract RUN --layer hidden`";
                return Err(SettingError::new("hidden", reason));
            }
            (FeatureLayer::Classifier, hidden) => hidden,
        };
        let mut recipe = Self { hidden, ..self.clone() };
        if let (OptimizerRecipe::Sgd(sgd), Some(rate)) =
            (&mut recipe.optimizer, recipe.classifier.learning_rate.take())
        {
            sgd.learning_rate = rate;
        }
        recipe.validate()?;
        Ok(recipe)
    }

    /// Checks every value.
    ///
    /// # Errors
    /// Names the first key that is out of range and what is accepted.
    pub fn validate(&self) -> Result<(), SettingError> {
        self.length.validate("length")?;
        if let BatchRecipe::Images(0) | BatchRecipe::Rois(0) = self.batch {
            return Err(SettingError::new("batch", "is 0; it must be at least 1"));
        }
        self.classifier.validate("")?;
        self.schedule.validate("schedule")?;
        self.kind.validate()?;
        if let Some(hidden) = &self.hidden {
            hidden.validate()?;
        }
        match &self.optimizer {
            OptimizerRecipe::Lbfgs(_) if matches!(self.hidden, Some(HiddenRecipe::Trained { .. })) => {
                let reason = "is `trained`, and the loss is not convex in a hidden layer, which `lbfgs` needs; set \
                              hidden={ kind = \"frozen\" } or use `sgd`";
                Err(SettingError::new("hidden", reason))
            }
            OptimizerRecipe::Sgd(sgd) => sgd.validate("optimizer"),
            OptimizerRecipe::Lbfgs(lbfgs) => lbfgs.validate(&self.classifier.loss, self.kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_set_by_key() {
        let recipe = HeadRecipe::of("acsl").unwrap();
        let with = |entry: &str| recipe.with(&[entry]);
        let changed = recipe.with(&["loss.threshold=0.5", "learning_rate=0.1"]).unwrap();
        let LossConfig::Acsl(acsl) = &changed.classifier.loss else { panic!("ACSL") };
        assert_eq!(acsl.threshold, 0.5);
        let OptimizerRecipe::Sgd(sgd) = changed.on(FeatureLayer::Classifier).unwrap().optimizer else {
            panic!("SGD")
        };
        assert_eq!((changed.classifier.learning_rate, sgd.learning_rate), (Some(0.1), 0.1));
        assert_eq!(with("loss=bags").unwrap().classifier.name, "bags");
        assert_eq!(with("batch={ rois = 64 }").unwrap().batch, BatchRecipe::Rois(64));
        assert_eq!(with("batch.rois=64").unwrap().batch, BatchRecipe::Rois(64));
        assert_eq!(with("length.iterations=9").unwrap().length, Length::Iterations(9));
        assert_eq!(with("length.epochs=1.5").unwrap().length, Length::Epochs(1.5));
        assert!(matches!(with("optimizer=lbfgs").unwrap().optimizer, OptimizerRecipe::Lbfgs(_)));
        assert!(HeadRecipe::of("nothing").unwrap_err().to_string().contains("softmax-cross-entropy"));
        for unknown in ["loss.treshold=1", "treshold=1", "optimizer.momentun=0.5"] {
            assert!(with(unknown).is_err(), "{unknown}");
        }
        let trained = with("hidden={ kind = \"trained\" }").unwrap();
        assert_eq!(trained.hidden, Some(HiddenRecipe::default()));
        let slower = trained.with(&["hidden.learning_rate_factor=0.1"]).unwrap();
        assert_eq!(slower.hidden, Some(HiddenRecipe::Trained { learning_rate_factor: 0.1 }));
        assert!(slower.with(&["hidden.learning_rate_factor=-1"]).unwrap().validate().is_err());
    }

    /// Files of heads hold their recipe: its keys stay where they were.
    #[test]
    fn a_recipe_is_written_and_read_without_loss() {
        let recipe = HeadRecipe::of("sigmoid-bce").unwrap();
        let json = serde_json::to_string(&recipe).unwrap();
        assert!(json.starts_with(r#"{"name":"sigmoid-bce","loss":{"kind":"sigmoid-bce""#), "{json}");
        assert!(json.contains(r#""classifier":{"kind":"linear"},"from_stage1":true,"seed":0,"#), "{json}");
        assert_eq!(serde_json::from_str::<HeadRecipe>(&json).unwrap(), recipe);
    }

    #[test]
    fn a_hidden_layer_is_trained_where_its_inputs_are() {
        let recipe = HeadRecipe::of("softmax-cross-entropy").unwrap();
        assert_eq!(recipe.on(FeatureLayer::Classifier).unwrap().hidden, None);
        assert_eq!(recipe.on(FeatureLayer::Hidden).unwrap().hidden, Some(HiddenRecipe::default()));
        let frozen = HeadRecipe { hidden: Some(HiddenRecipe::Frozen), ..recipe.clone() };
        assert_eq!(frozen.on(FeatureLayer::Hidden).unwrap(), frozen);
        let trained = HeadRecipe { hidden: Some(HiddenRecipe::default()), ..recipe.clone() };
        let message = trained.on(FeatureLayer::Classifier).unwrap_err().to_string();
        assert!(message.contains("--layer hidden"), "{message}");
        let lbfgs = recipe.with(&["optimizer=lbfgs"]).unwrap();
        let message = lbfgs.on(FeatureLayer::Hidden).unwrap_err().to_string();
        assert!(message.contains("not convex") && message.contains("frozen"), "{message}");
        let frozen = HeadRecipe { hidden: Some(HiddenRecipe::Frozen), ..lbfgs };
        frozen.on(FeatureLayer::Hidden).unwrap();
    }
}
