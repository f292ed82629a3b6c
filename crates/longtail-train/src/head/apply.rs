//! A trained head put back: into a detector of ours, or as a file of the classifier alone for another framework.

use std::{collections::HashMap, io::Write, path::Path};

use burn::tensor::{Device, TensorData};
use longtail_bank::{Class, FeatureLayer, disk::write_by_rename};
use longtail_loss::Column;
use safetensors::tensor::{Dtype, TensorView};

use crate::{
    bank::source::{CLASSIFIER, FeatureSource, HIDDEN, REGRESSION_HIDDEN, frozen_hash},
    checkpoint::{Checkpoint, Position},
    data::Validation,
    error::TrainError,
    evaluation::{Scored, detect, score},
    head::{
        evaluate::linear,
        file::{Head, HeadFile, Inputs, transposed},
        hidden::Hidden,
    },
    observer::Observer,
    results::{ClassifierResult, Results},
    run_folder::RunFolder,
};

/// Name of the stage that a repaired run ends with.
pub const STAGE: &str = "repaired";

/// Writes a run folder at `out` whose detector is that of the run `source` with the head as its classifier: `predict` takes
/// it as any other run. With `evaluate` the whole detector runs over the validation images. If the head brings another
/// last hidden layer, the box regression keeps the detector's as one of its own (`roi_head.separate_regression`).
///
/// # Errors
/// If head and run do not belong together, or `out` holds a run already.
pub fn apply(
    head: &Head,
    file: &HeadFile,
    head_path: &Path,
    source: &FeatureSource,
    run: &Path,
    out: &Path,
    evaluate: bool,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<Results, TrainError> {
    if !source.recipe.detector.cascade.is_empty() {
        return Err(TrainError::Head {
            path: head_path.to_owned(),
            reason: format!(
                "is one head, and {} is a cascade, whose heads have a classifier each; train them with a stage of \
                 `train = \"classifier\"`",
                run.display()
            ),
        });
    }
    let mut results = Results::read(run)?;
    let classes: Vec<Class> = results
        .classes
        .iter()
        .map(|class| Class {
            category_id: class.category_id,
            name: class.name.clone(),
            train_images: class.train_images,
            train_instances: class.train_instances,
        })
        .collect();
    let hash = frozen_hash(&source.checkpoint.model, file.layer);
    let below = match file.layer {
        FeatureLayer::Classifier => CLASSIFIER[0],
        FeatureLayer::Hidden => HIDDEN[0],
    };
    let width = source.checkpoint.model.get(below).map_or(0, |weight| weight.shape()[0]);
    let name = run.display().to_string();
    let inputs = Inputs { name: &name, layer: file.layer, width, frozen: Some(&hash), classes: &classes };
    file.check(head_path, head.inputs(), &inputs)?;
    if head.unit_inputs {
        return Err(TrainError::Head {
            path: head_path.to_owned(),
            reason: "is a cosine classifier, whose inputs are divided by their norm: the detector has no such layer; train \
                     a `linear` or `normalized` one"
                .into(),
        });
    }
    let folder = RunFolder::open(out, false)?;
    let repaired = repaired(head, file, source);
    let mut result = ClassifierResult {
        name: file.name.clone(),
        stage: STAGE.into(),
        iterations: file.training.as_ref().map_or(0, |training| training.iterations),
        loss: file.loss.clone(),
        correction: file.correction,
        reports: Default::default(),
        detections: String::new(),
    };
    if evaluate {
        let device = device.clone().inner();
        let detector = repaired.detector(classes.len(), &device)?;
        let recipe = &repaired.recipe;
        let validation = Validation::open(&recipe.data, recipe.seed, &results.classes, observer)?;
        if let Some(validation) = validation {
            let loss = file.build_loss()?;
            let scored = Scored::new(&[&linear(head, &device)], loss.as_ref())?;
            let labels = longtail_data::LabelMap::new(&validation.dataset.set().categories);
            let mut found = detect(
                &detector,
                &[scored],
                &validation.dataset,
                &labels,
                &recipe.transform,
                &recipe.test,
                recipe.workers,
                &device,
                observer,
            )?;
            let found = found.pop().unwrap_or_default();
            result.detections = format!("detections/{STAGE}-0.json");
            longtail_eval::write_detections(&folder.join(&result.detections), &found)?;
            result.reports = score(&validation, &found)?.into_iter().collect();
        }
    }
    results.classifiers = vec![result];
    folder.write("config.toml", repaired.recipe.to_toml().as_bytes())?;
    folder.write("results.json", &serde_json::to_vec_pretty(&results).unwrap_or_default())?;
    repaired.checkpoint.write(&folder.stage_checkpoint(STAGE))?;
    Ok(results)
}

/// The detector with the head's layers in the place of its own.
fn repaired(head: &Head, file: &HeadFile, source: &FeatureSource) -> FeatureSource {
    let mut recipe = source.recipe.clone();
    let mut model = source.checkpoint.model.clone();
    let outputs = head.outputs();
    let weight = TensorData::new(head.detector_weight(), [head.width, outputs]);
    model.insert(CLASSIFIER[0].into(), weight);
    model.insert(CLASSIFIER[1].into(), TensorData::new(head.bias.clone(), [outputs]));
    let brought = HIDDEN.into_iter().zip(head.hidden.iter().flat_map(Hidden::to_detector));
    let brought: Vec<(&str, TensorData)> =
        brought.filter(|(name, data)| model.get(*name) != Some(data)).collect();
    if !brought.is_empty() && !recipe.detector.roi_head.separate_regression {
        recipe.detector.roi_head.separate_regression = true;
        for (own, shared) in REGRESSION_HIDDEN.into_iter().zip(HIDDEN) {
            if let Some(data) = model.get(shared).cloned() {
                model.insert(own.into(), data);
            }
        }
    }
    model.extend(brought.into_iter().map(|(name, data)| (name.to_owned(), data)));
    let position = Position { stage: recipe.stages.len(), iteration: 0 };
    let checkpoint = Checkpoint { position, model, ..Checkpoint::default() };
    FeatureSource {
        recipe,
        path: source.path.clone(),
        checkpoint,
        loss: file.loss.clone(),
        correction: file.correction,
    }
}

/// Whose names and order of columns a file of the classifier alone has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// `roi_heads.box_predictor.cls_score.*`, background first.
    Torchvision,
    /// `roi_head.bbox_head.fc_cls.*`, background last.
    Mmdetection,
    /// `roi_heads.box_predictor.cls_score.*`, background last.
    Detectron2,
}

/// Writes the classifier alone as safetensors, `[columns, D]`. A sigmoid head without background column gets a background of
/// weight 0 and the smallest bias there is any use for, since these frameworks have the column.
///
/// # Errors
/// If the head has other columns than background and the classes, brings another hidden layer, or is a cosine classifier.
pub fn export(
    head: &Head,
    file: &HeadFile,
    head_path: &Path,
    format: ExportFormat,
    out: &Path,
) -> Result<(), TrainError> {
    let refused = |reason: String| TrainError::Head { path: head_path.to_owned(), reason };
    if head.unit_inputs {
        return Err(refused("is a cosine classifier, which a linear layer there cannot hold".into()));
    }
    if file.trained_hidden() {
        return Err(refused(
            "brings its own last hidden layer, which box regression there shares: with it boxes would change, without it \
             scores. Put it back with --run, or train on a bank of `--layer classifier`, or with hidden={ kind = \"frozen\" }"
                .into(),
        ));
    }
    let classes = file.classes.len();
    let loss = file.build_loss()?;
    let columns = loss.columns(classes);
    let mut corrected = head.detector_weight();
    loss.final_weights(&mut corrected, columns.len())?;
    let corrected = transposed(&corrected, columns.len());
    let row_of = |column: Column| columns.iter().position(|other| *other == column);
    let extra = columns.iter().any(|c| !matches!(c, Column::Background | Column::Class(_)));
    let of_classes: Option<Vec<usize>> = (0..classes).map(|class| row_of(Column::Class(class))).collect();
    let (false, Some(of_classes)) = (extra, of_classes) else {
        return Err(refused(format!(
            "has {} columns for {classes} classes, and these are not background and the classes; only such heads have a \
             place there",
            columns.len()
        )));
    };
    let (mut weight, mut bias) = (Vec::with_capacity((classes + 1) * head.width), Vec::new());
    let mut add = |row: Option<usize>| match row {
        Some(row) => {
            weight.extend_from_slice(&corrected[row * head.width..(row + 1) * head.width]);
            bias.push(head.bias[row]);
        }
        None => {
            weight.extend(std::iter::repeat_n(0.0, head.width));
            bias.push(-100.0);
        }
    };
    let background = row_of(Column::Background);
    let names = match format {
        ExportFormat::Torchvision => {
            add(background);
            of_classes.iter().for_each(|&row| add(Some(row)));
            "roi_heads.box_predictor.cls_score"
        }
        ExportFormat::Mmdetection | ExportFormat::Detectron2 => {
            of_classes.iter().for_each(|&row| add(Some(row)));
            add(background);
            match format {
                ExportFormat::Detectron2 => "roi_heads.box_predictor.cls_score",
                _ => "roi_head.bbox_head.fc_cls",
            }
        }
    };
    let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let (weight, bias) = (bytes(&weight), bytes(&bias));
    let made = TensorView::new(Dtype::F32, vec![classes + 1, head.width], &weight)
        .and_then(|weight| Ok((weight, TensorView::new(Dtype::F32, vec![classes + 1], &bias)?)))
        .and_then(|(weight, bias)| {
            let views = [(format!("{names}.weight"), weight), (format!("{names}.bias"), bias)];
            let ids: Vec<i64> = file.classes.iter().map(|class| class.category_id).collect();
            let metadata = HashMap::from([
                ("format".to_owned(), "pt".to_owned()),
                ("loss".to_owned(), serde_json::to_string(&file.loss).unwrap_or_default()),
                ("category_ids".to_owned(), serde_json::to_string(&ids).unwrap_or_default()),
            ]);
            safetensors::serialize(views, Some(metadata))
        })
        .map_err(|e| refused(format!("cannot be exported: {e}")))?;
    Ok(write_by_rename(out, |target| target.write_all(&made))?)
}
