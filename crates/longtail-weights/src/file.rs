//! A file of weights: its tensors by name, whatever the format.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use crate::{error::WeightsError, formats, tensor::Tensor};

/// Format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Safetensors.
    Safetensors,
    /// Zip archive of torch 1.6 and later.
    TorchZip,
    /// Stream of pickles and storages of torch before 1.6.
    TorchLegacy,
    /// One pickle with numpy arrays, as detectron2's model zoo.
    NumpyPickle,
}

impl Format {
    /// As printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::TorchZip => "torch (zip)",
            Self::TorchLegacy => "torch (legacy, before 1.6)",
            Self::NumpyPickle => "pickle of numpy arrays",
        }
    }
}

/// A tensor with its name.
#[derive(Debug, Clone)]
pub struct Named {
    /// Keys of the containers around it, joined by dots: `state_dict`, `model`, or nothing.
    pub group: String,
    /// Its own key.
    pub name: String,
    /// The tensor.
    pub tensor: Tensor,
}

/// Objects of one class that were passed over: argument lists, paths, histories, enum values. Nothing of them was
/// executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Module and name of the class, or of the function that would have made them.
    pub class: String,
    /// Keys of the first of them, joined by dots.
    pub path: String,
    /// How many there are.
    pub count: usize,
    /// Tensors inside of them, which are not read.
    pub tensors: usize,
}

/// What a file holds.
#[derive(Debug, Clone)]
pub struct WeightFile {
    /// Format.
    pub format: Format,
    /// Group that holds the weights; others hold an optimizer's state and the like.
    pub group: String,
    /// All tensors in the order of the file.
    pub tensors: Vec<Named>,
    /// Numbers and short strings next to the tensors, by dotted path.
    pub metadata: BTreeMap<String, String>,
    /// Names of the classes, if the file tells.
    pub classes: Option<Vec<String>>,
    /// What was passed over, by class.
    pub skipped: Vec<Skipped>,
}

/// Whether a file lay in an archive: archives are not unpacked in archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nesting {
    /// It is what was given.
    Outermost,
    /// It lay in an archive.
    Inside,
}

/// Groups that hold the weights, most telling first.
const GROUPS: [&str; 7] = ["state_dict", "model", "model_state_dict", "module", "network", "weights", ""];
/// What training in parallel, `torch.compile` and other wrappers put before every name.
const WRAPPERS: [&str; 3] = ["module.", "_orig_mod.", "model."];
/// What averaging of weights counts beside them.
const COUNTERS: [&str; 2] = ["n_averaged", "steps"];

impl WeightFile {
    /// Reads a file. Nothing in it is executed.
    ///
    /// # Errors
    /// If it cannot be read, is damaged or cut short, or asks for anything but tensors and plain containers.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        let bytes = std::fs::read(path);
        let bytes =
            bytes.map_err(|source| WeightsError::Io { action: "read", path: path.to_owned(), source })?;
        Self::parse(bytes)
            .map_err(|error| WeightsError::File { path: path.to_owned(), source: Box::new(error) })
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(bytes: Vec<u8>) -> Result<Self, WeightsError> {
        formats::parse(bytes, Nesting::Outermost)
    }

    /// The weights, by name. What parallel training (`module.`), `torch.compile` (`_orig_mod.`) and a module around the
    /// model (`model.`) put before every name is dropped.
    ///
    /// # Errors
    /// If two tensors share a name.
    pub fn weights(&self) -> Result<BTreeMap<&str, &Tensor>, WeightsError> {
        let mut weights: Vec<(&str, &Tensor)> = self
            .tensors
            .iter()
            .filter(|named| named.group == self.group)
            .map(|named| (named.name.as_str(), &named.tensor))
            .collect();
        let counts = |name: &str| COUNTERS.contains(&name);
        while let Some(wrapper) = WRAPPERS.iter().find(|wrapper| {
            let mut wrapped = weights.iter().filter(|(name, _)| !counts(name)).peekable();
            wrapped.peek().is_some() && wrapped.all(|(name, _)| name.starts_with(**wrapper))
        }) {
            for (name, _) in &mut weights {
                *name = name.strip_prefix(wrapper).unwrap_or(name);
            }
        }
        let mut by_name = BTreeMap::new();
        for (name, tensor) in weights {
            if by_name.insert(name, tensor).is_some() {
                let reason = "is there twice".into();
                return Err(WeightsError::Tensor { name: name.to_owned(), reason });
            }
        }
        Ok(by_name)
    }

    pub(crate) fn choose_group(&mut self) {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for named in self.tensors.iter().filter(|named| !is_of_training(&named.group)) {
            *counts.entry(&named.group).or_default() += 1;
        }
        // A lone tensor beside the containers is not the weights. Of equals the first counts.
        let known = GROUPS.iter().rev().filter_map(|group| Some((group, counts.get(group)?)));
        let known = known.max_by_key(|(_, count)| **count).map(|(group, _)| *group);
        let largest = counts.iter().max_by_key(|(_, count)| **count).map(|(group, _)| *group);
        self.group = known.or(largest).unwrap_or_default().to_owned();
    }

    /// Refuses a pickle whose weights lie inside of objects that are not made here, or that has none.
    pub(crate) fn check_reachable(&self) -> Result<(), WeightsError> {
        if self.tensors.iter().any(|named| !is_of_training(&named.group)) {
            return Ok(());
        }
        let telling = |skipped: &&Skipped| (skipped.tensors, GROUPS.contains(&skipped.path.as_str()));
        let Some(skipped) = self.skipped.iter().rev().max_by_key(telling) else {
            let found = "it is a pickle without a tensor of weights".to_owned();
            return Err(WeightsError::UnknownFormat { found });
        };
        let (class, script) = (&skipped.class, skipped.class.starts_with("__torch__"));
        let found = match skipped.path.as_str() {
            "" if script => format!("a TorchScript program of class `{class}`"),
            "" => format!("an object of class `{class}`"),
            path => format!("`{path}`, an object of class `{class}`"),
        };
        let remedy = if script {
            "torch.save(torch.jit.load(path).state_dict(), ...)"
        } else {
            "torch.save(model.state_dict(), ...)"
        };
        Err(WeightsError::WholeModel { found, remedy })
    }
}

/// Whether a group holds what training needs to go on, and not the weights.
fn is_of_training(group: &str) -> bool {
    let first = group.split('.').next().unwrap_or(group);
    ["optim", "lr_sched", "sched", "param_sched", "scaler", "message_hub", "rng", "loops"]
        .iter()
        .any(|start| first.starts_with(start))
}
