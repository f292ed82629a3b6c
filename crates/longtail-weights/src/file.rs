//! A file of weights: its tensors by name, whatever the format.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    error::WeightsError,
    formats::{numpy_pickle, safetensors, torch_legacy, torch_zip},
    tensor::Tensor,
};

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
}

/// Groups that hold the weights, most telling first.
const GROUPS: [&str; 5] = ["", "state_dict", "model", "model_state_dict", "module"];
/// What parallel training puts before every name.
const PARALLEL: &str = "module.";

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
        Self::parse_as(bytes, false)
    }

    /// Reads a file that lay in an archive.
    pub(crate) fn parse_inside(bytes: Vec<u8>) -> Result<Self, WeightsError> {
        Self::parse_as(bytes, true)
    }

    fn parse_as(bytes: Vec<u8>, nested: bool) -> Result<Self, WeightsError> {
        let mut file = match Kind::of(&bytes) {
            Kind::Zip => torch_zip::parse(bytes, nested)?,
            Kind::Safetensors => safetensors::parse(bytes)?,
            Kind::Legacy => torch_legacy::parse(bytes)?,
            Kind::Pickle => numpy_pickle::parse(bytes)?,
            Kind::Unknown(found) => return Err(WeightsError::UnknownFormat { found: found.into() }),
        };
        file.choose_group();
        Ok(file)
    }

    /// The weights, by name. A `module.` before every name, left by parallel training, is dropped.
    ///
    /// # Errors
    /// If two tensors share a name.
    pub fn weights(&self) -> Result<BTreeMap<&str, &Tensor>, WeightsError> {
        let mine = || self.tensors.iter().filter(|named| named.group == self.group);
        let parallel = mine().all(|named| named.name.starts_with(PARALLEL));
        let mut weights = BTreeMap::new();
        for named in mine() {
            let name = if parallel { &named.name[PARALLEL.len()..] } else { &named.name };
            if weights.insert(name, &named.tensor).is_some() {
                let reason = "is there twice".into();
                return Err(WeightsError::Tensor { name: name.to_owned(), reason });
            }
        }
        Ok(weights)
    }

    fn choose_group(&mut self) {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for named in &self.tensors {
            *counts.entry(&named.group).or_default() += 1;
        }
        let known = GROUPS.iter().find(|group| counts.contains_key(**group)).copied();
        let largest = counts.iter().max_by_key(|(_, count)| **count).map(|(group, _)| *group);
        self.group = known.or(largest).unwrap_or_default().to_owned();
    }
}

/// What the first bytes tell.
enum Kind {
    Zip,
    Safetensors,
    Legacy,
    Pickle,
    Unknown(&'static str),
}

impl Kind {
    fn of(bytes: &[u8]) -> Self {
        let tar = bytes.get(257..262) == Some(b"ustar");
        match bytes {
            [] => Self::Unknown("it is empty"),
            [b'P', b'K', 3 | 5, ..] => Self::Zip,
            [_, _, _, _, _, _, _, _, b'{', ..] => Self::Safetensors,
            _ if torch_legacy::is_legacy(bytes) => Self::Legacy,
            [0x80, 0..=5, ..] => Self::Pickle,
            [b'v', b'e', b'r', b's', b'i', b'o', b'n', b' ', ..] => {
                Self::Unknown("it is a pointer of Git LFS; fetch the file itself")
            }
            [b'<', ..] => Self::Unknown("it is a web page; the download went wrong"),
            [0x89, b'H', b'D', b'F', ..] => Self::Unknown("it is HDF5"),
            _ if tar => Self::Unknown("it is a tar archive, as torch wrote before 0.1.10"),
            _ => Self::Unknown("its first bytes belong to no known format"),
        }
    }
}
