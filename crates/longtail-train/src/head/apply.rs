//! A trained head put back into a detector of ours.

use std::path::Path;

use burn::tensor::Device;
use longtail_bank::FeatureLayer;
use longtail_head::{Head, HeadError, HeadFile, Inputs};
use longtail_run::{ClassifierResult, Observer, Position, Results, RunFolder};

use crate::{
    bank::source::{FeatureSource, REPAIRED, frozen_hash},
    checkpoint::Checkpoint,
    data::Validation,
    error::TrainError,
    evaluation::{Scored, detect, score},
    linear::{linear, to_tensors},
    parameters::{CLASSIFIER, HIDDEN, REGRESSION_HIDDEN},
};

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
    let mut results = Results::read(run)?;
    check(head, file, head_path, source, run, &results)?;
    let folder = RunFolder::open(out, false)?;
    let repaired = repaired(head, file, source);
    let mut result = ClassifierResult {
        name: file.name.clone(),
        stage: REPAIRED.into(),
        iterations: file.training.as_ref().map_or(0, |training| training.iterations),
        loss: file.loss.clone(),
        correction: file.correction,
        reports: Default::default(),
        detections: String::new(),
    };
    if evaluate {
        evaluate_into(&mut result, head, file, &repaired, &results, &folder, device, observer)?;
    }
    results.classifiers = vec![result];
    folder.write("config.toml", repaired.recipe.to_toml().as_bytes())?;
    results.write(&folder)?;
    repaired.checkpoint.write(&folder.stage_checkpoint(REPAIRED))?;
    Ok(results)
}

/// Refuses a head that does not belong to the detector or that it cannot hold.
fn check(
    head: &Head,
    file: &HeadFile,
    head_path: &Path,
    source: &FeatureSource,
    run: &Path,
    results: &Results,
) -> Result<(), TrainError> {
    let refused = |reason: String| Err(HeadError::Head { path: head_path.to_owned(), reason }.into());
    if !source.recipe.detector.cascade.is_empty() {
        return refused(format!(
            "is one head, and {} is a cascade, whose heads have a classifier each; train them with a stage of \
             `train = \"classifier\"`",
            run.display()
        ));
    }
    let hash = frozen_hash(&source.checkpoint.model, file.layer);
    let below = match file.layer {
        FeatureLayer::Classifier => CLASSIFIER[0],
        FeatureLayer::Hidden => HIDDEN[0],
    };
    let width = source.checkpoint.model.get(below).map_or(0, |weight| weight.shape()[0]);
    let name = run.display().to_string();
    let inputs =
        Inputs { name: &name, layer: file.layer, width, frozen: Some(&hash), classes: &results.classes };
    file.check(head_path, head.inputs(), &inputs)?;
    if head.unit_inputs {
        return refused(
            "is a cosine classifier, whose inputs are divided by their norm: the detector has no such layer; train \
             a `linear` or `normalized` one"
                .into(),
        );
    }
    Ok(())
}

/// Scores the repaired detector on the validation images, if there are any, and keeps its detections.
fn evaluate_into(
    result: &mut ClassifierResult,
    head: &Head,
    file: &HeadFile,
    repaired: &FeatureSource,
    results: &Results,
    folder: &RunFolder,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<(), TrainError> {
    let recipe = &repaired.recipe;
    let Some(validation) = Validation::open(&recipe.data, recipe.seed, &results.classes, observer)? else {
        return Ok(());
    };
    let device = device.clone().inner();
    let detector = repaired.detector(results.classes.len(), &device)?;
    let loss = file.build_loss()?;
    let scored = Scored::new(&file.name, &[&linear(&head.weight, &head.bias, &device)], loss.as_ref())?;
    let found = detect(
        &detector,
        &[scored],
        &validation.dataset,
        &results.classes,
        &recipe.transform,
        &recipe.test,
        recipe.workers,
        &device,
        observer,
    )?;
    let found = found.into_iter().next().unwrap_or_default();
    result.detections = format!("detections/{REPAIRED}-0.json");
    longtail_eval::write_detections(&folder.join(&result.detections), &found)?;
    result.reports = score(&validation, &found)?.into_iter().collect();
    Ok(())
}

/// The detector with the head's layers instead of its own.
fn repaired(head: &Head, file: &HeadFile, source: &FeatureSource) -> FeatureSource {
    let mut recipe = source.recipe.clone();
    let mut model = source.checkpoint.model.clone();
    let classifier = CLASSIFIER.into_iter().zip(to_tensors(&head.weight, &head.bias));
    model.extend(classifier.map(|(name, data)| (name.to_owned(), data)));
    let hidden = head.hidden.iter().flat_map(|hidden| to_tensors(&hidden.weight, &hidden.bias));
    let brought = HIDDEN.into_iter().zip(hidden);
    let brought: Vec<_> = brought.filter(|(name, data)| model.get(*name) != Some(data)).collect();
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
