//! A file of another framework as a checkpoint.

use std::path::Path;

use burn::tensor::{Device, TensorData};
use longtail_bank::{Class, ClassTable};
use longtail_head::settings::changed;
use longtail_loss::LossConfig;
use longtail_weights::{Array, Arrays, ImportOptions, Naming, Row, WeightFile, names::Unread, transfer};

use super::infer::infer;
use crate::{
    checkpoint::Checkpoint,
    description::Description,
    error::TrainError,
    parameters::{TensorMap, floats, snapshot},
};

/// What is asked of an import.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Naming, where the file does not tell.
    pub naming: Option<Naming>,
    /// The first convolution is on blue, green, red (detectron2's always is).
    pub bgr: bool,
    /// Classes of the data set it was trained on, in the order of the file or with ids that name its columns.
    pub classes: Option<ClassTable>,
    /// Settings that no shape tells, as `detector.backbone.style=caffe`.
    pub overrides: Vec<String>,
}

/// An imported detector.
pub struct Imported {
    /// To be written.
    pub checkpoint: Checkpoint,
    /// What it is.
    pub description: Description,
    /// Naming of the file.
    pub naming: Naming,
    /// A line for every tensor.
    pub rows: Vec<Row>,
    /// Sentences worth reading.
    pub notes: Vec<String>,
}

/// Reads `path` and takes from it what a detector needs.
///
/// # Errors
/// If the file cannot be read, its names belong to no known convention, or its shapes to no detector here.
pub fn import(path: &Path, request: &Request) -> Result<Imported, TrainError> {
    let refused = |reason: String| TrainError::Weights { path: path.to_owned(), reason };
    let file = WeightFile::read(path)?;
    let weights = file.weights()?;
    if let Some(unread) = Unread::detect(weights.keys().copied()) {
        return Err(refused(unread.to_string()));
    }
    let naming = request.naming.or_else(|| Naming::detect(weights.keys().copied()));
    let naming = naming.ok_or_else(|| {
        refused(
            "has names of no known convention; look with `longtail weights inspect` and give --naming".into(),
        )
    })?;
    let inferred = infer(&weights, naming).map_err(refused)?;
    let mut notes = Vec::new();
    let (classes, map) = match inferred.classes {
        None => (ClassTable::default(), None),
        Some(count) => {
            let (classes, map) = classes(count, &file, request.classes.as_ref()).map_err(refused)?;
            if classes.len() != count {
                notes.push(format!(
                    "classifier resized from {count} to {} classes, by their ids",
                    classes.len()
                ));
            }
            (classes, Some(map))
        }
    };
    let bgr = request.bgr || inferred.bgr;
    let mut description = Description {
        source: format!("{} ({})", path.file_name().unwrap_or_default().to_string_lossy(), naming.name()),
        complete: false,
        detector: inferred.detector,
        transform: inferred.transform,
        test: inferred.test,
        loss: LossConfig::default(),
        classes,
    };
    description = changed(&description, &request.overrides)?;
    description.validate()?;

    if description.detector.roi_head.separate_regression {
        let reason = "is true, and no file of another framework has a hidden layer for the box regression alone; import \
                      without it: a training that sets it begins both with the layer of the file";
        return Err(TrainError::recipe("detector.roi_head.separate_regression", reason));
    }
    let count = description.classes.len().max(1);
    let detector = description.detector.init(count, count + 1, 0, &Device::flex());
    let mut wanted = to_arrays(&snapshot(&detector))?;
    if matches!(naming, Naming::TorchvisionResnet | Naming::EfficientnetLite) {
        wanted.retain(|path, _| path.starts_with("backbone."));
    }
    let options = ImportOptions { bgr, classes: map };
    let transfer = transfer::import(&file, naming, &wanted, &options)?;
    let all = snapshot(&detector).len();
    description.complete = transfer.arrays.len() == all;
    if transfer.arrays.is_empty() {
        return Err(refused(format!(
            "holds nothing that a detector needs under the names of {}",
            naming.name()
        )));
    }
    if bgr {
        notes.push("the first convolution was turned from BGR to RGB".into());
    }
    let (mean, std) = (description.transform.mean, description.transform.std);
    notes.push(format!("images are normalised with mean {mean:?} and standard deviation {std:?} of RGB"));
    let checkpoint = Checkpoint {
        model: to_tensors(&transfer.arrays),
        description: Some(description.clone()),
        ..Checkpoint::default()
    };
    Ok(Imported { checkpoint, description, naming, rows: transfer.rows, notes })
}

/// Our classes, and for each the file's.
fn classes(
    count: usize,
    file: &WeightFile,
    given: Option<&ClassTable>,
) -> Result<(ClassTable, Vec<Option<usize>>), String> {
    let same = |classes: ClassTable| (classes, (0..count).map(Some).collect());
    if let Some(given) = given {
        if given.len() == count {
            return Ok(same(given.clone()));
        }
        // COCO's ids go up to 90 for 80 classes; torchvision has a column for each id.
        let column = |class: &Class| {
            usize::try_from(class.category_id).ok().filter(|id| (1..=count).contains(id)).map(|id| id - 1)
        };
        let columns: Option<Vec<_>> = given.iter().map(|class| column(class).map(Some)).collect();
        let columns = columns.ok_or_else(|| {
            format!("has {count} classes, but {} were given whose ids do not name its columns", given.len())
        })?;
        return Ok((given.clone(), columns));
    }
    let names = file.classes.clone().filter(|names| names.len() == count);
    let names = names.unwrap_or_else(|| (1..=count).map(|column| format!("class {column}")).collect());
    Ok(same((1..).zip(names).map(|(category_id, name)| Class::named(category_id, name)).collect()))
}

pub(super) fn to_arrays(tensors: &TensorMap) -> Result<Arrays, TrainError> {
    let array = |(path, data): (&String, &TensorData)| {
        let values = floats(path, data)?;
        Ok((path.clone(), Array { shape: data.shape().to_vec(), values }))
    };
    tensors.iter().map(array).collect()
}

pub(super) fn to_tensors(arrays: &Arrays) -> TensorMap {
    let tensor = |array: &Array| TensorData::new(array.values.clone(), array.shape.clone());
    arrays.iter().map(|(path, array)| (path.clone(), tensor(array))).collect()
}
