//! Every setting of a head's training. Defaults are those of the published recipe's second stage.

use longtail_bank::FeatureLayer;
use longtail_data::Sampler;
use longtail_loss::{LossConfig, PostHoc, Reduction};
use serde::{Deserialize, Serialize};

use crate::{
    error::TrainError,
    head::hidden::HiddenRecipe,
    head::layer::ClassifierKind,
    head::lbfgs::LbfgsConfig,
    overrides::set,
    recipe::Length,
    schedule::Schedule,
    sgd::{SgdConfig, positive},
};

/// Everything that decides a head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadRecipe {
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
    /// What the layer computes.
    #[serde(default)]
    pub classifier: ClassifierKind,
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
    pub fn of(loss: &str) -> Result<Self, TrainError> {
        let table = format!("loss = {{ kind = {loss:?} }}");
        let known = || {
            let kind = |config: &LossConfig| {
                let value = toml::Value::try_from(config).ok()?;
                value.get("kind")?.as_str().map(str::to_owned)
            };
            LossConfig::defaults().iter().filter_map(kind).collect::<Vec<_>>().join(", ")
        };
        let mut recipe: Self = toml::from_str(&table)
            .map_err(|_| TrainError::recipe("loss", format!("is `{loss}`; it must be one of {}", known())))?;
        recipe.name = loss.to_owned();
        Ok(recipe)
    }

    /// A copy with a value changed, by a key such as `loss.threshold`; the value is TOML, or a bare string. `loss` itself
    /// takes the kind of a loss, and `learning_rate` and `weight_decay` are those of the optimizer.
    ///
    /// # Errors
    /// If there is no such key or the value does not fit it.
    pub fn with(&self, key: &str, value: &str) -> Result<Self, TrainError> {
        let malformed = |e: String| TrainError::recipe(key, format!("cannot be set: {e}"));
        if key == "loss" && !value.trim_start().starts_with('{') {
            let loss = Self::of(value)?.loss;
            return Ok(Self { loss, name: value.to_owned(), ..self.clone() });
        }
        let (full, value) = match (key, key.split_once('.')) {
            ("learning_rate" | "weight_decay" | "momentum", _) => {
                (format!("optimizer.{key}"), value.to_owned())
            }
            // One of two keys: the other one goes.
            (_, Some((table @ ("length" | "batch"), choice))) => {
                (table.to_owned(), format!("{{ {choice} = {value} }}"))
            }
            _ => (key.to_owned(), value.to_owned()),
        };
        let mut table = toml::Table::try_from(self).map_err(|e| malformed(e.to_string()))?;
        set(&mut table, &format!("{full}={value}"))?;
        toml::Value::Table(table).try_into().map_err(|e: toml::de::Error| malformed(e.to_string()))
    }

    /// Reads a recipe file.
    ///
    /// # Errors
    /// If it cannot be read or parsed.
    pub fn read(path: &std::path::Path) -> Result<Self, TrainError> {
        let text = std::fs::read_to_string(path).map_err(TrainError::io("read recipe", path))?;
        toml::from_str(&text)
            .map_err(|e| TrainError::RecipeFile { path: path.to_owned(), reason: e.to_string() })
    }

    /// The recipe on a bank that holds the inputs of a layer: whether a hidden layer is trained is settled.
    ///
    /// # Errors
    /// If the bank holds no inputs of a hidden layer that is to be trained, or the optimizer cannot train it.
    pub fn on(&self, layer: FeatureLayer) -> Result<Self, TrainError> {
        let hidden = match (layer, self.hidden) {
            (FeatureLayer::Hidden, hidden) => Some(hidden.unwrap_or_default()),
            (FeatureLayer::Classifier, Some(HiddenRecipe::Trained { .. })) => {
                let reason = "is `trained`, but the bank holds what the classifier sees; make one with \
                              `longtail features extract RUN --layer hidden`";
                return Err(TrainError::recipe("hidden", reason));
            }
            (FeatureLayer::Classifier, hidden) => hidden,
        };
        let recipe = Self { hidden, ..self.clone() };
        recipe.validate()?;
        Ok(recipe)
    }

    /// Checks every value.
    ///
    /// # Errors
    /// Names the first key that is out of range and what is accepted.
    pub fn validate(&self) -> Result<(), TrainError> {
        match self.length {
            Length::Iterations(0) => {
                return Err(TrainError::recipe("length", "is 0 iterations; it must be at least 1"));
            }
            Length::Epochs(epochs) => positive("length.epochs", epochs)?,
            Length::Iterations(_) => {}
        }
        if let BatchRecipe::Images(0) | BatchRecipe::Rois(0) = self.batch {
            return Err(TrainError::recipe("batch", "is 0; it must be at least 1"));
        }
        self.reduction.validate()?;
        self.schedule.validate("schedule")?;
        self.classifier.validate()?;
        if let Some(hidden) = &self.hidden {
            hidden.validate()?;
        }
        match &self.optimizer {
            OptimizerRecipe::Lbfgs(_) if matches!(self.hidden, Some(HiddenRecipe::Trained { .. })) => {
                let reason = "is `trained`, and the loss is not convex in a hidden layer, which `lbfgs` needs; set \
                              hidden={ kind = \"frozen\" } or use `sgd`";
                Err(TrainError::recipe("hidden", reason))
            }
            OptimizerRecipe::Sgd(sgd) => sgd.validate("optimizer"),
            OptimizerRecipe::Lbfgs(lbfgs) => lbfgs.validate(&self.loss),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_set_by_key() {
        let recipe = HeadRecipe::of("acsl").unwrap();
        let changed = recipe.with("loss.threshold", "0.5").unwrap().with("learning_rate", "0.1").unwrap();
        let LossConfig::Acsl(acsl) = &changed.loss else { panic!("ACSL") };
        assert_eq!(acsl.threshold, 0.5);
        let OptimizerRecipe::Sgd(sgd) = &changed.optimizer else { panic!("SGD") };
        assert_eq!(sgd.learning_rate, 0.1);
        assert_eq!(recipe.with("loss", "bags").unwrap().name, "bags");
        assert_eq!(recipe.with("batch", "{ rois = 64 }").unwrap().batch, BatchRecipe::Rois(64));
        assert_eq!(recipe.with("batch.rois", "64").unwrap().batch, BatchRecipe::Rois(64));
        assert_eq!(recipe.with("length.iterations", "9").unwrap().length, Length::Iterations(9));
        assert_eq!(recipe.with("length.epochs", "1.5").unwrap().length, Length::Epochs(1.5));
        let optimizer = recipe.with("optimizer", "{ kind = \"lbfgs\" }").unwrap().optimizer;
        assert!(matches!(optimizer, OptimizerRecipe::Lbfgs(_)));
        assert!(HeadRecipe::of("nothing").unwrap_err().to_string().contains("softmax-cross-entropy"));
        assert!(recipe.with("loss.treshold", "1").is_err());
        let trained = recipe.with("hidden", "{ kind = \"trained\" }").unwrap();
        assert_eq!(trained.hidden, Some(HiddenRecipe::default()));
        let slower = trained.with("hidden.learning_rate_factor", "0.1").unwrap();
        assert_eq!(slower.hidden, Some(HiddenRecipe::Trained { learning_rate_factor: 0.1 }));
        assert!(slower.with("hidden.learning_rate_factor", "-1").unwrap().validate().is_err());
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
        let lbfgs = recipe.with("optimizer", "{ kind = \"lbfgs\" }").unwrap();
        let message = lbfgs.on(FeatureLayer::Hidden).unwrap_err().to_string();
        assert!(message.contains("not convex") && message.contains("frozen"), "{message}");
        let frozen = HeadRecipe { hidden: Some(HiddenRecipe::Frozen), ..lbfgs };
        frozen.on(FeatureLayer::Hidden).unwrap();
    }
}
