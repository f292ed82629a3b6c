//! The trained detector whose features are kept.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use burn::tensor::{Device, TensorData};
use longtail_bank::FeatureLayer;
use longtail_detect::FasterRcnn;
use longtail_loss::{LossConfig, PostHoc};
use longtail_run::Results;
use sha2::{Digest, Sha256};

use crate::{
    checkpoint::Checkpoint,
    error::TrainError,
    parameters::{CLASSIFIER, HIDDEN, REGRESSION_HIDDEN, TensorMap, restore},
    recipe::{FileData, Recipe, Trained},
};

/// Name of the stage that a repaired run ends with.
pub const REPAIRED: &str = "repaired";

/// A trained detector, frozen, with the recipe and loss that made it.
pub struct FeatureSource {
    /// The recipe of its run.
    pub recipe: Recipe,
    /// The checkpoint's file.
    pub path: PathBuf,
    /// What it holds.
    pub checkpoint: Checkpoint,
    /// The loss that trained its classifier.
    pub loss: LossConfig,
    /// The correction of its scores.
    pub correction: Option<PostHoc>,
}

impl FeatureSource {
    /// Opens a run folder, at the end of `stage` or of its last stage that trains everything, or as it was repaired; or a
    /// checkpoint in the `checkpoints` folder of a run. `data` replaces the recipe's, `overrides` change it, as in training.
    ///
    /// # Errors
    /// If there is no such checkpoint, or the recipe cannot be read.
    pub fn open(
        path: &Path,
        stage: Option<&str>,
        data: Option<&FileData>,
        overrides: &[String],
    ) -> Result<Self, TrainError> {
        let given = |reason: String| TrainError::Checkpoint { path: path.to_owned(), reason };
        let (run, file) = if path.is_dir() {
            (path.to_owned(), None)
        } else {
            let run = path.parent().and_then(Path::parent).filter(|run| run.join("config.toml").is_file());
            let run = run.ok_or_else(|| {
                given("lies in no run folder: `config.toml` is missing beside `checkpoints`".into())
            })?;
            (run.to_owned(), path.file_stem().map(|stem| stem.to_string_lossy().into_owned()))
        };
        let recipe = Recipe::read_with_data(&run.join("config.toml"), data, overrides)?;
        let asked = stage.or(file.as_deref().filter(|stem| *stem != "last"));
        let repaired = run.join(format!("checkpoints/{REPAIRED}.safetensors"));
        if asked.unwrap_or(REPAIRED) == REPAIRED && repaired.exists() {
            let classifier = Results::read(&run)?.classifiers.pop();
            let (loss, correction) = classifier
                .map_or((LossConfig::default(), None), |classifier| (classifier.loss, classifier.correction));
            let checkpoint = Checkpoint::read(&repaired)?;
            return Ok(Self { recipe, checkpoint, path: repaired, loss, correction });
        }
        let known = || recipe.stages.iter().map(|s| format!("`{}`", s.name)).collect::<Vec<_>>().join(", ");
        let index = match asked {
            Some(name) => recipe
                .stages
                .iter()
                .position(|s| s.name == name)
                .ok_or_else(|| given(format!("has no stage `{name}`; its stages are {}", known())))?,
            None => recipe.stages.iter().rposition(|s| s.train == Trained::All).unwrap_or(0),
        };
        let checkpoint_path = run.join(format!("checkpoints/{}.safetensors", recipe.stages[index].name));
        let checkpoint = Checkpoint::read(&checkpoint_path)?;
        // The detector holds the classifier of the last stage that had one alone; the first always has.
        let own = recipe.stages[..=index].iter().rev().find(|s| s.classifiers.len() == 1);
        let (loss, correction) = own.map_or((LossConfig::default(), None), |stage| {
            (stage.classifiers[0].loss.clone(), stage.classifiers[0].correction)
        });
        Ok(Self { recipe, path: checkpoint_path, checkpoint, loss, correction })
    }

    /// The detector, without autodiff.
    ///
    /// # Errors
    /// If the weights do not fit the recipe or are not finite.
    pub fn detector(&self, num_classes: usize, device: &Device) -> Result<FasterRcnn, TrainError> {
        let refused = |reason: String| TrainError::Checkpoint { path: self.path.clone(), reason };
        for (name, data) in &self.checkpoint.model {
            let values = data.as_slice::<f32>().map_err(|e| refused(format!("`{name}`: {e:?}")))?;
            if values.iter().any(|value| !value.is_finite()) {
                return Err(refused(format!("`{name}` holds values that are not finite")));
            }
        }
        let outputs = self
            .checkpoint
            .classifier_outputs()
            .ok_or_else(|| refused("has no classifier; it is not a checkpoint of a detector".into()))?;
        let detector = self.recipe.detector.init(num_classes, outputs, 0, &device.clone().inner());
        restore(detector, &self.checkpoint.model).map_err(|reason| {
            refused(format!("does not fit the {num_classes} classes of the data: {reason}"))
        })
    }
}

/// SHA-256 over names, shapes and values of everything that a head does not bring: banks and checkpoints with the same one
/// belong together. A head of the classifier brings that alone. One with the last hidden layer brings that too, but not
/// for the box regression: the layer that the regression reads counts, under its own name, whether it is shared or not.
/// So a detector and its repaired one, whose boxes are the same, have the same hash.
pub fn frozen_hash(model: &TensorMap, layer: FeatureLayer) -> String {
    let hidden = layer == FeatureLayer::Hidden;
    let brought = |name: &str| CLASSIFIER.contains(&name) || (hidden && HIDDEN.contains(&name));
    let names = model.iter().map(|(name, data)| (name.as_str(), data));
    let mut frozen: BTreeMap<&str, &TensorData> = names.filter(|(name, _)| !brought(name)).collect();
    if hidden {
        for (own, shared) in REGRESSION_HIDDEN.into_iter().zip(HIDDEN) {
            if let Some(data) = model.get(shared) {
                frozen.entry(own).or_insert(data);
            }
        }
    }
    let mut hash = Sha256::new();
    for (name, data) in frozen {
        hash.update(name.as_bytes());
        hash.update([0]);
        for side in data.shape().to_vec() {
            hash.update((side as u64).to_le_bytes());
        }
        hash.update(data.as_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_tells_frozen_weights_apart_and_not_classifiers() {
        let tensor = |value: f32, shape: [usize; 2]| TensorData::new(vec![value; 4], shape);
        let model = |trunk: f32, head: f32, shape| {
            TensorMap::from([
                ("neck.weight".into(), tensor(trunk, shape)),
                (CLASSIFIER[0].into(), tensor(head, [2, 2])),
            ])
        };
        for layer in [FeatureLayer::Classifier, FeatureLayer::Hidden] {
            let hash = |trunk, head, shape| frozen_hash(&model(trunk, head, shape), layer);
            let first = hash(1.0, 1.0, [2, 2]);
            assert_eq!(first, hash(1.0, 2.0, [2, 2]));
            assert_ne!(first, hash(1.5, 1.0, [2, 2]));
            assert_ne!(first, hash(1.0, 1.0, [1, 4]));
        }
    }

    #[test]
    fn with_the_hidden_layer_the_hash_is_about_the_one_that_boxes_read() {
        let model = |hidden: f32, own: Option<f32>| {
            let tensor = |value: f32| TensorData::new(vec![value; 4], [2, 2]);
            let mut model = TensorMap::from([("neck.weight".into(), tensor(3.0))]);
            HIDDEN.into_iter().for_each(|name| drop(model.insert(name.into(), tensor(hidden))));
            for (name, own) in REGRESSION_HIDDEN.into_iter().zip([own; 2]) {
                own.map(|own| model.insert(name.into(), tensor(own)));
            }
            model
        };
        let hash = |hidden, own| frozen_hash(&model(hidden, own), FeatureLayer::Hidden);
        let first = hash(1.0, None);
        assert_eq!(first, hash(1.0, Some(1.0)));
        // Repaired: the classifier reads another layer, boxes the one they read.
        assert_eq!(first, hash(2.0, Some(1.0)));
        assert_ne!(first, hash(2.0, None));
        assert_ne!(first, hash(1.0, Some(2.0)));
        let of_classifier = |hidden, own| frozen_hash(&model(hidden, own), FeatureLayer::Classifier);
        assert_ne!(of_classifier(1.0, None), of_classifier(1.0, Some(1.0)));
        assert_ne!(of_classifier(1.0, None), first);
    }
}
