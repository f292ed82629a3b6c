//! A trained head as a file: safetensors with `weight [K, D]` and `bias [K]`, the rest as JSON in the metadata.

use std::{collections::HashMap, io::Write, path::Path};

use burn::nn::Linear;
use longtail_bank::{Class, Header, disk::write_by_rename};
use longtail_loss::{ClassContext, ClassificationLoss, LossConfig, LossState, PostHoc};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::{error::TrainError, head::recipe::HeadRecipe};

const FORMAT_VERSION: u32 = 1;

/// A linear classifier on slices.
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
    pub classes: Vec<Class>,
    /// Images that the classes were counted in.
    pub total_images: u64,
    /// Hash of the weights below the classifier; none for features from elsewhere.
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
            frozen_sha256: bank.frozen_sha256.clone(),
            unit_inputs: false,
            training: None,
        }
    }

    /// Builds its loss.
    ///
    /// # Errors
    /// If the loss refuses its settings.
    pub fn build_loss(&self) -> Result<Box<dyn ClassificationLoss>, TrainError> {
        build_loss(&self.loss, self.correction, &self.classes, self.total_images)
    }

    /// Refuses a bank or detector that the head does not belong to.
    ///
    /// # Errors
    /// If frozen weights, width, or number, ids or order of the classes differ.
    pub fn check(
        &self,
        path: &Path,
        width: usize,
        other: &str,
        frozen: Option<&str>,
        classes: &[Class],
        other_width: usize,
    ) -> Result<(), TrainError> {
        let refuse = |reason: String| Err(TrainError::Head { path: path.to_owned(), reason });
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
        let differs = |(ours, theirs): (&Class, &Class)| ours.category_id != theirs.category_id;
        if let Some(label) = self.classes.iter().zip(classes).position(differs) {
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

/// A loss, with its correction, for the classes of a bank.
///
/// # Errors
/// If the loss refuses its settings.
pub fn build_loss(
    loss: &LossConfig,
    correction: Option<PostHoc>,
    classes: &[Class],
    total_images: u64,
) -> Result<Box<dyn ClassificationLoss>, TrainError> {
    let images: Vec<u64> = classes.iter().map(|class| class.train_images).collect();
    let boxes: Vec<u64> = classes.iter().map(|class| class.train_instances).collect();
    let context = ClassContext {
        num_classes: classes.len(),
        image_counts: Some(&images),
        instance_counts: Some(&boxes),
        total_images: Some(total_images),
        statistics_free: false,
    };
    let loss = loss.build(&context)?;
    Ok(match correction {
        Some(correction) => correction.correct(loss, &context)?,
        None => loss,
    })
}

impl Head {
    /// Number of columns K.
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// The head of a layer as the detector has it, `[D, K]`.
    pub fn of_linear(linear: &Linear) -> Self {
        let values = |data: burn::tensor::TensorData| data.try_to_vec::<f32>().unwrap_or_default();
        let [width, outputs] = linear.weight.dims();
        let weight = transposed(&values(linear.weight.val().into_data()), outputs);
        let bias = linear.bias.as_ref().map_or(vec![0.0; outputs], |bias| values(bias.val().into_data()));
        Self { weight, bias, width, unit_inputs: false }
    }

    /// Weights in the detector's layout, `[D × K]`.
    pub fn detector_weight(&self) -> Vec<f32> {
        transposed(&self.weight, self.width)
    }

    /// Writes the file by rename.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path, file: &HeadFile) -> Result<(), TrainError> {
        self.write_with(path, file, None)
    }

    /// Writes the file with what training needs to go on.
    pub(crate) fn write_with(
        &self,
        path: &Path,
        file: &HeadFile,
        resume: Option<(&Resume, &[&[f32]; 4])>,
    ) -> Result<(), TrainError> {
        let refused = |reason: String| TrainError::Head { path: path.to_owned(), reason };
        let mut metadata = HashMap::from([("longtail".to_owned(), json(file).map_err(refused)?)]);
        let shape = [self.outputs(), self.width];
        let mut tensors: Vec<(&str, Vec<usize>, &[f32])> =
            vec![("weight", shape.to_vec(), &self.weight), ("bias", vec![shape[0]], &self.bias)];
        if let Some((state, [weight, bias, weight_velocity, bias_velocity])) = resume {
            metadata.insert("resume".to_owned(), json(state).map_err(refused)?);
            tensors.push(("trained.weight", vec![weight.len()], weight));
            tensors.push(("trained.bias", vec![bias.len()], bias));
            tensors.push(("velocity.weight", vec![weight_velocity.len()], weight_velocity));
            tensors.push(("velocity.bias", vec![bias_velocity.len()], bias_velocity));
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
            std::fs::create_dir_all(parent).map_err(TrainError::io("create folder", parent))?;
        }
        Ok(write_by_rename(path, |out| out.write_all(&bytes))?)
    }

    /// Reads a head.
    ///
    /// # Errors
    /// If the file is missing, damaged or no head.
    pub fn read(path: &Path) -> Result<(Self, HeadFile), TrainError> {
        let opened = Self::read_with(path)?;
        Ok((opened.head, opened.file))
    }

    /// Reads a head with what its training needs to go on, if it is there.
    pub(crate) fn read_with(path: &Path) -> Result<Opened, TrainError> {
        let refused = |reason: String| TrainError::Head { path: path.to_owned(), reason };
        let bytes = std::fs::read(path).map_err(TrainError::io("read", path))?;
        let damaged = |e: &dyn std::fmt::Display| refused(format!("is damaged or no safetensors file: {e}"));
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(&e))?;
        let entries = metadata.metadata().clone().unwrap_or_default();
        let json = entries.get("longtail").ok_or_else(|| {
            refused("has no `longtail` entry: it was not written by `longtail head`".into())
        })?;
        let file: HeadFile =
            serde_json::from_str(json).map_err(|e| refused(format!("is no head of this program: {e}")))?;
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
        let mut shape = Vec::new();
        for (name, view) in tensors.iter() {
            if view.dtype() != Dtype::F32 {
                return Err(refused(format!("`{name}` is {:?}, expected F32", view.dtype())));
            }
            if name == "weight" {
                shape = view.shape().to_vec();
            }
            let floats: Vec<f32> =
                view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            if floats.iter().any(|value| !value.is_finite()) {
                return Err(refused(format!("`{name}` holds values that are not finite")));
            }
            values.insert(name.to_owned(), floats);
        }
        let (weight, bias) = (values.remove("weight"), values.remove("bias"));
        let (Some(weight), Some(bias), [outputs, width]) = (weight, bias, shape.as_slice()) else {
            return Err(refused("lacks `weight [K, D]` or `bias [K]`".into()));
        };
        let columns = file.build_loss()?.num_outputs(file.classes.len());
        if bias.len() != *outputs || columns != *outputs {
            return Err(refused(format!(
                "has {outputs} columns and {} biases; its loss with {} classes has {columns}",
                bias.len(),
                file.classes.len()
            )));
        }
        let head = Self { weight, bias, width: *width, unit_inputs: file.unit_inputs };
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

/// `[columns × rows]` of values `[rows × columns]`.
pub(crate) fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len().checked_div(columns).unwrap_or(0);
    let mut result = Vec::with_capacity(values.len());
    for column in 0..columns {
        result.extend((0..rows).map(|row| values[row * columns + column]));
    }
    result
}
