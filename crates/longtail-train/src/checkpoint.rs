//! Checkpoints: one safetensors file with the model, the optimizer, the loss state and the position in the recipe.
//!
//! Tensor names: `model/<path>`, `momentum/<path>`, `classifier.<i>/<path>`, `classifier.<i>.momentum/<path>`.
//! The header's metadata key `longtail` holds the rest as JSON; `longtail-detector` describes an imported detector.

use std::{collections::HashMap, io::Write, path::Path};

use burn::tensor::{DType, TensorData};
use longtail_head::{Classifier, columns::transposed};
use longtail_loss::LossState;
use longtail_run::{Position, write_atomically};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::{
    description::Description,
    error::TrainError,
    linear::to_tensors,
    parameters::{CLASSIFIER, TensorMap, floats},
};

const FORMAT_VERSION: u32 = 2;
/// Metadata key of an imported detector's description.
const DESCRIPTION: &str = "longtail-detector";

/// Everything that a run needs to go on as if it had not stopped.
#[derive(Debug, Clone, Default)]
pub struct Checkpoint {
    /// Where the run stands.
    pub position: Position,
    /// Parameters and buffers of the detector.
    pub model: TensorMap,
    /// Momentum of the detector's parameters.
    pub momentum: TensorMap,
    /// State of the stage-1 loss in every head.
    pub loss_states: Vec<LossState>,
    /// Classifiers trained side by side; empty outside a classifier stage.
    pub classifiers: Vec<ClassifierState>,
    /// What an imported detector is; a run's checkpoint lies beside its recipe and has none.
    pub description: Option<Description>,
}

/// One of the classifiers of a classifier stage.
#[derive(Debug, Clone, Default)]
pub struct ClassifierState {
    /// Its name in the recipe.
    pub name: String,
    /// Weight and bias of every head's layer: `weight`, `bias`, and in a cascade `cascade.0.weight` and so on.
    pub parameters: TensorMap,
    /// Their momentum.
    pub momentum: TensorMap,
    /// State of its loss in every head.
    pub loss_states: Vec<LossState>,
}

impl ClassifierState {
    /// A classifier's part of a checkpoint; layers as the detector has them, their momentum in one row each.
    pub(crate) fn of(classifier: &Classifier) -> Self {
        let flat = |values: Vec<f32>| {
            let length = values.len();
            TensorData::new(values, [length])
        };
        let (mut parameters, mut momentum) = (TensorMap::new(), TensorMap::new());
        let mut velocity = classifier.velocity().chunks_exact(2);
        for (head, layer) in classifier.layers().iter().enumerate() {
            parameters.extend(names(head).into_iter().zip(to_tensors(&layer.weight, &layer.bias)));
            if let Some([weight, bias]) = velocity.next() {
                let [of_weight, of_bias] = names(head);
                momentum.insert(of_weight, flat(transposed(weight, layer.width)));
                momentum.insert(of_bias, flat(bias.clone()));
            }
        }
        let loss_states = classifier.states().to_vec();
        Self { name: classifier.name.clone(), parameters, momentum, loss_states }
    }

    /// Lets a classifier go on from here.
    ///
    /// # Errors
    /// What does not fit.
    pub(crate) fn load(&self, classifier: &mut Classifier) -> Result<(), String> {
        if self.name != classifier.name {
            let (found, expected) = (&self.name, &classifier.name);
            return Err(format!("holds classifier `{found}` where the recipe has `{expected}`"));
        }
        let outputs: Vec<usize> = classifier.layers().iter().map(|layer| layer.bias.len()).collect();
        let take = |tensors: &TensorMap| {
            let mut values = Vec::new();
            for (head, &outputs) in outputs.iter().enumerate() {
                let [weight, bias] = names(head).map(|name| {
                    let data =
                        tensors.get(&name).ok_or_else(|| format!("lacks `{name}` of `{}`", self.name))?;
                    floats(&name, data).map_err(|e| e.to_string())
                });
                values.extend([transposed(&weight?, outputs), bias?]);
            }
            Ok::<_, String>(values)
        };
        let velocity = if self.momentum.is_empty() { Vec::new() } else { take(&self.momentum)? };
        classifier.resume(take(&self.parameters)?, velocity, self.loss_states.clone())
    }

    /// Weight and bias of a head's layer.
    pub fn head(&self, head: usize) -> TensorMap {
        let parts = ["weight", "bias"].into_iter().zip(names(head));
        let found =
            parts.filter_map(|(part, name)| Some((part.to_owned(), self.parameters.get(&name)?.clone())));
        found.collect()
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    position: Position,
    loss_states: Vec<LossState>,
    classifiers: Vec<ClassifierHeader>,
}

#[derive(Serialize, Deserialize)]
struct ClassifierHeader {
    name: String,
    loss_states: Vec<LossState>,
}

/// Names of a head's weight and bias in a checkpoint.
pub(crate) fn names(head: usize) -> [String; 2] {
    ["weight", "bias"].map(|part| match head {
        0 => part.to_owned(),
        _ => format!("cascade.{}.{part}", head - 1),
    })
}

impl Checkpoint {
    /// Width of the detector's classifier, if it has one.
    pub fn classifier_outputs(&self) -> Option<usize> {
        self.model.get(CLASSIFIER[0]).map(|weight| weight.shape()[1])
    }

    /// Writes the file by write-and-rename: a kill leaves the older one whole.
    ///
    /// # Errors
    /// If the file cannot be written, for instance because the disk is full.
    pub fn write(&self, path: &Path) -> Result<(), TrainError> {
        let header = Header {
            version: FORMAT_VERSION,
            position: self.position,
            loss_states: self.loss_states.clone(),
            classifiers: self
                .classifiers
                .iter()
                .map(|c| ClassifierHeader { name: c.name.clone(), loss_states: c.loss_states.clone() })
                .collect(),
        };
        let damaged = |reason: String| TrainError::Checkpoint { path: path.to_owned(), reason };
        let json = serde_json::to_string(&header).map_err(|e| damaged(e.to_string()))?;
        let mut groups = vec![("model".to_owned(), &self.model), ("momentum".to_owned(), &self.momentum)];
        for (index, classifier) in self.classifiers.iter().enumerate() {
            groups.push((format!("classifier.{index}"), &classifier.parameters));
            groups.push((format!("classifier.{index}.momentum"), &classifier.momentum));
        }
        let mut views = Vec::new();
        for (group, tensors) in groups {
            for (name, data) in tensors {
                let view = TensorView::new(Dtype::F32, data.shape().to_vec(), data.as_bytes())
                    .map_err(|e| damaged(e.to_string()))?;
                views.push((format!("{group}/{name}"), view));
            }
        }
        let mut metadata = HashMap::from([("longtail".to_owned(), json)]);
        if let Some(description) = &self.description {
            let json = serde_json::to_string(description).map_err(|e| damaged(e.to_string()))?;
            metadata.insert(DESCRIPTION.to_owned(), json);
        }
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| damaged(e.to_string()))?;
        Ok(write_atomically(path, |file| file.write_all(&bytes))?)
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// If the file is missing, cut short, or not one of ours.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let damaged = |reason: String| TrainError::Checkpoint { path: path.to_owned(), reason };
        let bytes = std::fs::read(path).map_err(TrainError::io("read", path))?;
        let unreadable = |e: &dyn std::fmt::Display| {
            damaged(format!(
                "is damaged or not a safetensors file ({e}); use an older checkpoint or start again"
            ))
        };
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| unreadable(&e))?;
        let json =
            metadata.metadata().as_ref().and_then(|m| m.get("longtail")).ok_or_else(|| {
                damaged("has no `longtail` entry: it was not written by longtail train".into())
            })?;
        let mut header: Header = serde_json::from_str(json).map_err(|e| unreadable(&e))?;
        if header.version != FORMAT_VERSION {
            let found = header.version;
            return Err(damaged(format!("has format version {found}, this program reads {FORMAT_VERSION}")));
        }
        let description = metadata.metadata().as_ref().and_then(|m| m.get(DESCRIPTION));
        let description =
            description.map(|json| serde_json::from_str(json)).transpose().map_err(|e| unreadable(&e))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| unreadable(&e))?;
        let mut groups: HashMap<&str, TensorMap> = HashMap::new();
        for (name, view) in tensors.iter() {
            let Some((group, path)) = name.split_once('/') else {
                return Err(damaged(format!("holds a tensor of unknown kind `{name}`")));
            };
            if view.dtype() != Dtype::F32 {
                return Err(damaged(format!("`{name}` is {:?}, expected F32", view.dtype())));
            }
            let data = TensorData::from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), DType::F32);
            groups.entry(group).or_default().insert(path.to_owned(), data);
        }
        let mut take = |group: &str| groups.remove(group).unwrap_or_default();
        let (model, momentum) = (take("model"), take("momentum"));
        let classifiers = std::mem::take(&mut header.classifiers)
            .into_iter()
            .enumerate()
            .map(|(index, classifier)| ClassifierState {
                name: classifier.name,
                parameters: take(&format!("classifier.{index}")),
                momentum: take(&format!("classifier.{index}.momentum")),
                loss_states: classifier.loss_states,
            })
            .collect();
        let Header { position, loss_states, .. } = header;
        Ok(Self { position, model, momentum, loss_states, classifiers, description })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Checkpoint {
        let tensor = |values: Vec<f32>| TensorData::new(values, [2, 2]);
        Checkpoint {
            position: Position { stage: 1, iteration: 7 },
            model: TensorMap::from([("neck.weight".into(), tensor(vec![1.0, -0.0, f32::MIN_POSITIVE, 4.0]))]),
            momentum: TensorMap::from([("neck.weight".into(), tensor(vec![0.1, 0.2, 0.3, 0.4]))]),
            loss_states: vec![LossState::default()],
            classifiers: vec![ClassifierState {
                name: "ACSL".into(),
                parameters: TensorMap::from([("linear.weight".into(), tensor(vec![5.0, 6.0, 7.0, 8.0]))]),
                ..Default::default()
            }],
            description: None,
        }
    }

    #[test]
    fn what_is_written_is_read_back_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last.safetensors");
        sample().write(&path).unwrap();
        let back = Checkpoint::read(&path).unwrap();
        assert_eq!(back.position, sample().position);
        assert_eq!(back.model["neck.weight"].as_bytes(), sample().model["neck.weight"].as_bytes());
        assert_eq!(back.momentum["neck.weight"].as_bytes(), sample().momentum["neck.weight"].as_bytes());
        assert_eq!(back.classifiers[0].name, "ACSL");
        let weight = "linear.weight";
        assert_eq!(
            back.classifiers[0].parameters[weight].as_bytes(),
            sample().classifiers[0].parameters[weight].as_bytes()
        );
    }

    #[test]
    fn a_file_cut_short_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last.safetensors");
        sample().write(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for length in [0, 5, 40, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let message = Checkpoint::read(&path).unwrap_err().to_string();
            assert!(message.contains("last.safetensors") && message.contains("damaged"), "{message}");
        }
    }
}
