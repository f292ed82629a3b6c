//! A trained head as a file: safetensors with `weight [K, D]` and `bias [K]`, and over a hidden layer of its own
//! `hidden.weight [D, H]` and `hidden.bias [D]`; the rest as JSON in the metadata.

use std::{collections::HashMap, path::Path};

use longtail_bank::{ClassTable, FeatureLayer, Header};
use longtail_loss::{ClassificationLoss, LossConfig, LossState, PostHoc};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::{
    columns::transposed,
    error::HeadError,
    hidden::{Hidden, HiddenRecipe},
    layer::{Layer, to_unit_rows},
    recipe::{HeadRecipe, build_loss},
};

const FORMAT_VERSION: u32 = 1;
const HIDDEN_WEIGHT: &str = "hidden.weight";
const HIDDEN_BIAS: &str = "hidden.bias";

/// A linear classifier on slices, if it takes what the last hidden layer sees with that layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Weights, `[K × D]`.
    pub weight: Vec<f32>,
    /// Bias, `[K]`.
    pub bias: Vec<f32>,
    /// D.
    pub width: usize,
    /// Whether features are divided by their norm first (cosine classifiers).
    pub unit_inputs: bool,
    /// The last hidden layer, of D outputs; none if it takes what the classifier sees.
    pub hidden: Option<Hidden>,
}

/// What a head's file says about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadFile {
    /// Version of this block.
    pub version: u32,
    /// Name in tables.
    pub name: String,
    /// The loss that trained it, which gives its columns and scores.
    pub loss: LossConfig,
    /// The correction of its scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correction: Option<PostHoc>,
    /// Classes by label.
    pub classes: ClassTable,
    /// Images that the classes were counted in.
    pub total_images: u64,
    /// The layer whose inputs it takes.
    #[serde(default)]
    pub layer: FeatureLayer,
    /// Hash of the weights that are not its own; none for features from elsewhere.
    pub frozen_sha256: Option<String>,
    /// Whether features are divided by their norm first.
    pub unit_inputs: bool,
    /// How it was trained; none for the classifier of stage 1.
    pub training: Option<TrainingSummary>,
}

/// How a head was trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingSummary {
    /// Every setting.
    pub recipe: HeadRecipe,
    /// Optimizer steps, or evaluations of L-BFGS.
    pub iterations: u64,
    /// Loss of the last step.
    pub loss: f64,
    /// Seconds it took.
    pub seconds: f64,
}

/// Where features come from that a head is to take: a bank, or a detector.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Its name in messages.
    pub name: &'a str,
    /// The layer that sees them.
    pub layer: FeatureLayer,
    /// Their width.
    pub width: usize,
    /// Hash of the weights that made them.
    pub frozen: Option<&'a str>,
    /// Classes by label.
    pub classes: &'a ClassTable,
}

impl<'a> Inputs<'a> {
    /// Those of a bank.
    pub fn of(name: &'a str, bank: &'a Header) -> Self {
        let (layer, width, classes) = (bank.layer, bank.width, &bank.classes);
        Self { name, layer, width, frozen: bank.frozen_sha256.as_deref(), classes }
    }
}

impl HeadFile {
    /// The block of a head on a bank.
    pub fn new(name: &str, loss: LossConfig, bank: &Header) -> Self {
        Self {
            version: FORMAT_VERSION,
            name: name.to_owned(),
            loss,
            correction: None,
            classes: bank.classes.clone(),
            total_images: bank.total_images,
            layer: bank.layer,
            frozen_sha256: bank.frozen_sha256.clone(),
            unit_inputs: false,
            training: None,
        }
    }

    /// Builds its loss.
    ///
    /// # Errors
    /// If the loss refuses its settings.
    pub fn build_loss(&self) -> Result<Box<dyn ClassificationLoss>, HeadError> {
        Ok(build_loss(&self.loss, self.correction, &self.classes, self.total_images, false)?)
    }

    /// Whether its hidden layer is another than the detector's.
    pub fn trained_hidden(&self) -> bool {
        let recipe = self.training.as_ref().map(|training| &training.recipe);
        recipe.is_some_and(|recipe| matches!(recipe.hidden, Some(HiddenRecipe::Trained { .. })))
    }

    /// Refuses a bank or detector that the head, of features of `width`, does not belong to.
    ///
    /// # Errors
    /// If layer, frozen weights, width, or number, ids or order of the classes differ.
    pub fn check(&self, path: &Path, width: usize, inputs: &Inputs<'_>) -> Result<(), HeadError> {
        let refuse = |reason: String| Err(HeadError::Head { path: path.to_owned(), reason });
        let Inputs { name: other, frozen, classes, width: other_width, .. } = *inputs;
        if self.layer != inputs.layer {
            let (ours, theirs) = (self.layer.name(), inputs.layer.name());
            return refuse(format!(
                "takes what the {ours} sees, and {other} holds what the {theirs} sees; take the bank it was trained on, or \
                 one of the same `features extract --layer`"
            ));
        }
        if let (Some(ours), Some(theirs)) = (self.frozen_sha256.as_deref(), frozen)
            && ours != theirs
        {
            return refuse(format!(
                "was trained on features of another detector than {other}: frozen weights {}… against {}…; take the bank or \
                 run it was made from",
                &ours[..ours.len().min(12)],
                &theirs[..theirs.len().min(12)]
            ));
        }
        if self.classes.len() != classes.len() {
            let (ours, theirs) = (self.classes.len(), classes.len());
            return refuse(format!("has {ours} classes, {other} has {theirs}"));
        }
        if let Some(label) = self.classes.first_difference(classes) {
            return refuse(format!(
                "has category id {} at label {label}, {other} has {}: the classes are others or in another order",
                self.classes[label].category_id, classes[label].category_id
            ));
        }
        if width != other_width {
            return refuse(format!("takes features of width {width}, {other} has {other_width}"));
        }
        Ok(())
    }
}

impl Head {
    /// Number of columns K.
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Width of the features that it takes.
    pub fn inputs(&self) -> usize {
        self.hidden.as_ref().map_or(self.width, |hidden| hidden.width)
    }

    /// The layer whose inputs it takes.
    pub fn layer(&self) -> FeatureLayer {
        if self.hidden.is_some() { FeatureLayer::Hidden } else { FeatureLayer::Classifier }
    }

    /// What a layer in training amounts to.
    pub fn of_layer(layer: &Layer) -> Self {
        Self {
            weight: layer.linear_weight(),
            bias: layer.bias.clone(),
            width: layer.width,
            unit_inputs: layer.unit_inputs(),
            hidden: layer.hidden.clone(),
        }
    }

    /// The features `[N × D]` as its linear layer sees them, above the hidden layer.
    pub fn prepare(&self, features: &mut [f32]) {
        if self.unit_inputs {
            to_unit_rows(features, self.width);
        }
    }

    /// Weights in the detector's layout, `[D × K]`.
    pub fn detector_weight(&self) -> Vec<f32> {
        transposed(&self.weight, self.width)
    }

    /// Writes the file by rename.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path, file: &HeadFile) -> Result<(), HeadError> {
        self.write_with(path, file, None)
    }

    /// Writes the file with what training needs to go on.
    pub(crate) fn write_with(
        &self,
        path: &Path,
        file: &HeadFile,
        resume: Option<Going<'_>>,
    ) -> Result<(), HeadError> {
        let refused = |reason: String| HeadError::Head { path: path.to_owned(), reason };
        let mut metadata = HashMap::from([("longtail".to_owned(), json(file).map_err(refused)?)]);
        let shape = [self.outputs(), self.width];
        let mut tensors: Vec<(&str, Vec<usize>, &[f32])> =
            vec![("weight", shape.to_vec(), &self.weight), ("bias", vec![shape[0]], &self.bias)];
        if let Some(hidden) = &self.hidden {
            let shape = [hidden.outputs(), hidden.width];
            tensors.push((HIDDEN_WEIGHT, shape.to_vec(), &hidden.weight));
            tensors.push((HIDDEN_BIAS, vec![shape[0]], &hidden.bias));
        }
        if let Some((state, kept)) = resume {
            metadata.insert("resume".to_owned(), json(state).map_err(refused)?);
            tensors.extend(kept.iter().map(|(name, values)| (*name, vec![values.len()], *values)));
        }
        let bytes_of: Vec<Vec<u8>> = tensors
            .iter()
            .map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect())
            .collect();
        let views = tensors
            .iter()
            .zip(&bytes_of)
            .map(|((name, shape, _), bytes)| Ok((*name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(|e| refused(e.to_string()))?;
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| refused(e.to_string()))?;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent).map_err(HeadError::io("create folder", parent))?;
        }
        Ok(longtail_files::write_bytes(path, &bytes)?)
    }

    /// Reads a head.
    ///
    /// # Errors
    /// If the file is missing, damaged or not a head.
    pub fn read(path: &Path) -> Result<(Self, HeadFile), HeadError> {
        let opened = Self::read_with(path)?;
        Ok((opened.head, opened.file))
    }

    /// Reads a head with what its training needs to go on, if it is there.
    pub(crate) fn read_with(path: &Path) -> Result<Opened, HeadError> {
        let refused = |reason: String| HeadError::Head { path: path.to_owned(), reason };
        let bytes = std::fs::read(path).map_err(HeadError::io("read", path))?;
        let damaged =
            |e: &dyn std::fmt::Display| refused(format!("is damaged or not a safetensors file: {e}"));
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(&e))?;
        let entries = metadata.metadata().clone().unwrap_or_default();
        let json = entries.get("longtail").ok_or_else(|| {
            refused("has no `longtail` entry: it was not written by `longtail head`".into())
        })?;
        let file: HeadFile =
            serde_json::from_str(json).map_err(|e| refused(format!("is not a head of this program: {e}")))?;
        if file.version != FORMAT_VERSION {
            return Err(refused(format!(
                "has version {}, this program reads {FORMAT_VERSION}",
                file.version
            )));
        }
        let resume = match entries.get("resume") {
            Some(json) => Some(serde_json::from_str(json).map_err(|e| damaged(&e))?),
            None => None,
        };
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| damaged(&e))?;
        let mut values = HashMap::new();
        let mut shapes = HashMap::new();
        for (name, view) in tensors.iter() {
            if view.dtype() != Dtype::F32 {
                return Err(refused(format!("`{name}` is {:?}, expected F32", view.dtype())));
            }
            shapes.insert(name.to_owned(), view.shape().to_vec());
            let floats: Vec<f32> =
                view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            if floats.iter().any(|value| !value.is_finite()) {
                return Err(refused(format!("`{name}` holds values that are not finite")));
            }
            values.insert(name.to_owned(), floats);
        }
        let sides = |name: &str| shapes.get(name).map_or(&[][..], Vec::as_slice);
        let (weight, bias) = (values.remove("weight"), values.remove("bias"));
        let (Some(weight), Some(bias), [outputs, width]) = (weight, bias, sides("weight")) else {
            return Err(refused("lacks `weight [K, D]` or `bias [K]`".into()));
        };
        let hidden = (values.remove(HIDDEN_WEIGHT), values.remove(HIDDEN_BIAS));
        let hidden = match (hidden, sides(HIDDEN_WEIGHT), file.layer) {
            ((None, None), _, FeatureLayer::Classifier) => None,
            ((Some(weight), Some(bias)), &[outputs, inputs], FeatureLayer::Hidden)
                if [bias.len(), *width] == [outputs; 2] =>
            {
                Some(Hidden { weight, bias, width: inputs })
            }
            _ => {
                return Err(refused(format!(
                    "takes what the {} sees, and its `{HIDDEN_WEIGHT} [{width}, H]` and `{HIDDEN_BIAS} [{width}]` do not \
                     fit that",
                    file.layer.name()
                )));
            }
        };
        let columns = file.build_loss()?.num_outputs(file.classes.len());
        if bias.len() != *outputs || columns != *outputs {
            return Err(refused(format!(
                "has {outputs} columns and {} biases; its loss with {} classes has {columns}",
                bias.len(),
                file.classes.len()
            )));
        }
        let head = Self { weight, bias, width: *width, unit_inputs: file.unit_inputs, hidden };
        Ok(Opened { head, file, resume, tensors: values })
    }
}

/// A head's file with what its training needs to go on.
pub(crate) struct Opened {
    pub head: Head,
    pub file: HeadFile,
    pub resume: Option<Resume>,
    pub tensors: HashMap<String, Vec<f32>>,
}

/// What training needs to go on: where it stands, and tensors by name.
pub(crate) type Going<'a> = (&'a Resume, &'a [(&'a str, &'a [f32])]);

/// Where a training stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Resume {
    pub iteration: u64,
    pub state: LossState,
    pub seconds: f64,
}

fn json(value: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(value).map_err(|e| e.to_string())
}
