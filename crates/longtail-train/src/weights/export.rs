//! A trained detector under another framework's names, as safetensors.

use std::{collections::BTreeMap, io::Write, path::Path};

use longtail_loss::Column;
use longtail_run::write_atomically;
use longtail_weights::{Naming, transfer, write::to_bytes};

use super::import::to_arrays;
use crate::{error::TrainError, predict::Predictor};

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Names with their shapes.
    pub tensors: Vec<(String, Vec<usize>)>,
    /// Sentences worth reading.
    pub notes: Vec<String>,
}

/// Writes the detector of `predictor` to `path`.
///
/// # Errors
/// If its classifier has other columns than background and classes, a layer has no name there, or the file cannot be
/// written.
pub fn export(predictor: &Predictor, naming: Naming, path: &Path) -> Result<Exported, TrainError> {
    let refused = |reason: String| TrainError::Weights { path: path.to_owned(), reason };
    let columns = predictor.columns();
    let plain = std::iter::once(Column::Background).chain((0..predictor.classes.len()).map(Column::Class));
    if !columns.iter().copied().eq(plain) {
        let name = &predictor.classifier;
        return Err(refused(format!(
            "cannot hold classifier `{name}`: {} needs one column for background and one for each class",
            naming.name()
        )));
    }
    if predictor.detector_config().roi_head.separate_regression {
        return Err(refused(format!(
            "cannot hold a box regression with a last hidden layer of its own (roi_head.separate_regression): {} has none; \
             export the run before its hidden layer was trained again",
            naming.name()
        )));
    }
    let arrays = to_arrays(&predictor.parameters())?;
    let (named, left) = transfer::export(&arrays, naming)?;
    if let Some(first) = left.first() {
        let reason = format!(
            "cannot hold `{first}` and {} more: {} has no name for it",
            left.len() - 1,
            naming.name()
        );
        return Err(refused(reason));
    }
    let (transform, detector) = (predictor.transform(), predictor.detector_config());
    let names: Vec<&str> = predictor.classes.iter().map(|class| class.name.as_str()).collect();
    let json = |value: serde_json::Value| value.to_string();
    let metadata = BTreeMap::from([
        ("format".to_owned(), "pt".to_owned()),
        ("naming".to_owned(), naming.name().to_owned()),
        ("classes".to_owned(), json(serde_json::json!(names))),
        ("mean".to_owned(), json(serde_json::json!(transform.mean))),
        ("std".to_owned(), json(serde_json::json!(transform.std))),
        ("channels".to_owned(), "RGB".to_owned()),
        ("scores".to_owned(), predictor.score_function().to_owned()),
        ("detector".to_owned(), serde_json::to_string(detector).map_err(|e| refused(e.to_string()))?),
    ]);
    let bytes = to_bytes(&named, &metadata)?;
    write_atomically(path, |file| file.write_all(&bytes))?;
    let mut notes = Vec::new();
    if predictor.score_function() != "softmax" {
        notes.push(format!(
            "classifier `{}` was trained for {} scores; {} would apply softmax: its scores differ until that is changed",
            predictor.classifier,
            predictor.score_function(),
            naming.name()
        ));
    }
    Ok(Exported { tensors: named.iter().map(|(name, a)| (name.clone(), a.shape.clone())).collect(), notes })
}
