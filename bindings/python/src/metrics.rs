//! Evaluation by every protocol: out comes the report as JSON, the layout that the command line writes.

use std::path::PathBuf;

use longtail_eval::{
    ClassBins, EvalReport, GroundTruth, IouType, MaxDetections, OpenImagesEvaluation, OpenImagesPredictions,
    OpenImagesSet, OpenImagesTruth, Parameters, Scoring, Settings,
};
use longtail_formats::open_images::{
    Hierarchy, expand_boxes, expand_image_labels, is_expanded, read_boxes, read_classes, read_image_labels,
};
use pyo3::{exceptions::PyRuntimeError, prelude::*};
use serde::Serialize;

use crate::{
    errors::{Bad, Failure},
    inputs::{self, Counts, Found, List, Set, Training, Truth},
    threads::work,
};

/// Scores detections; the report comes as JSON.
#[pyfunction]
#[pyo3(signature = (truth, detections, protocol, frequencies_from, bins, max_detections, corrected_ids, threads))]
pub(crate) fn evaluate(
    py: Python<'_>,
    truth: Truth<'_>,
    detections: Found<'_>,
    protocol: &str,
    frequencies_from: Option<Training<'_>>,
    bins: Vec<u64>,
    max_detections: Option<&str>,
    corrected_ids: bool,
    threads: Option<usize>,
) -> PyResult<String> {
    let scoring = protocol.parse::<Scoring>().map_err(|error| Failure::Eval(error.into()))?;
    let cap: MaxDetections =
        max_detections.map_or(Ok(MaxDetections::Protocol), str::parse).map_err(Bad::of)?;
    let (set, list) = (truth.take()?, detections.take()?);
    let counts = frequencies_from.map(|training| training.take()).transpose()?;
    let report = work(py, threads, move || score(scoring, cap, corrected_ids, set, list, counts, bins))??;
    json(&report)
}

fn score(
    scoring: Scoring,
    max_detections: MaxDetections,
    corrected_ids: bool,
    set: Set,
    list: List,
    counts: Option<Counts>,
    bins: Vec<u64>,
) -> Result<EvalReport, Failure> {
    let (set, counts) = inputs::open(set, counts, scoring)?;
    let bins = match counts {
        Some(counts) if !bins.is_empty() => Some(ClassBins::new(counts, bins)?),
        None if !bins.is_empty() => {
            return Err(Bad::of("bins are by training images; give frequencies_from too").into());
        }
        _ => None,
    };
    let path = list.path();
    let mut report = match scoring {
        Scoring::Annotations(protocol) => {
            let parameters = Parameters::default();
            let iou_type = IouType::default();
            let settings = Settings { protocol, iou_type, max_detections, corrected_ids, parameters };
            let truth = GroundTruth::new(&set)?;
            let evaluation = list.evaluate(&set, &truth, &settings)?;
            evaluation.report(bins.as_ref())
        }
        Scoring::OpenImages => {
            if max_detections != MaxDetections::Protocol || corrected_ids {
                return Err(
                    Bad::of("max_detections and corrected_ids have no meaning under open-images").into()
                );
            }
            OpenImagesSet::new(&set)?.evaluate(&list.read(&set)?, bins.as_ref())?
        }
    };
    if let Some(path) = path {
        report.provenance.insert("detections".into(), path);
    }
    Ok(report)
}

/// Scores predictions against the tables of the Open Images challenge; the report comes as JSON.
#[pyfunction]
#[pyo3(signature = (boxes, predictions, image_labels, classes, hierarchy, group_of_weight, threads))]
pub(crate) fn evaluate_open_images(
    py: Python<'_>,
    boxes: PathBuf,
    predictions: PathBuf,
    image_labels: PathBuf,
    classes: Option<PathBuf>,
    hierarchy: Option<PathBuf>,
    group_of_weight: f64,
    threads: Option<usize>,
) -> PyResult<String> {
    let task = move || -> Result<EvalReport, Failure> {
        let classes = classes.as_deref().map(read_classes).transpose()?;
        let (mut given, mut labels) = (read_boxes(&boxes)?, read_image_labels(&image_labels)?);
        if let Some(path) = &hierarchy {
            let tree = Hierarchy::read(path)?;
            if is_expanded(&tree, &given) {
                let reason = format!("{} is expanded already; leave out hierarchy", boxes.display());
                return Err(Bad { path: Some(boxes.display().to_string()), ..Bad::of(reason) }.into());
            }
            given = expand_boxes(&tree, &given)?;
            labels = expand_image_labels(&tree, &labels)?;
        }
        let truth = OpenImagesTruth::new(boxes.display().to_string(), &given, &labels, classes)?;
        let mut all = OpenImagesPredictions::new(&truth);
        all.read(&predictions)?;
        let mut report = OpenImagesEvaluation::new(&all, group_of_weight)?.report(None);
        report.provenance.insert("image_labels".into(), image_labels.display().to_string());
        report.provenance.insert("detections".into(), predictions.display().to_string());
        Ok(report)
    };
    json(&work(py, threads, task)??)
}

/// A result as JSON, which Python files parse.
pub(crate) fn json(result: &impl Serialize) -> PyResult<String> {
    serde_json::to_string(result).map_err(|error| PyRuntimeError::new_err(error.to_string()))
}
