//! Evaluation by every protocol: out comes the report as JSON, the layout that the command line writes.

use std::{collections::BTreeMap, path::PathBuf};

use longtail_annotations::AnnotationSet;
use longtail_eval::{
    ClassBins, Detection, Detections, EvalReport, Evaluation, GroundTruth, ImageCounts, MaxDetections,
    OpenImagesEvaluation, OpenImagesPredictions, OpenImagesSet, OpenImagesTruth, Parameters, ResultsFormat,
    Scoring, Settings, Shard, read_results,
};
use longtail_formats::{
    Document, IndexPlace, OpenImagesLabels, ReadOptions, open_annotations,
    open_images::{
        Hierarchy, expand_boxes, expand_image_labels, is_expanded, read_boxes, read_classes,
        read_image_labels,
    },
};
use pyo3::{
    exceptions::PyRuntimeError,
    prelude::*,
    types::{PyDict, PyList},
};

use crate::{
    errors::{Bad, Failure},
    records::{Columns, annotation_set, detections_of_columns, detections_of_dicts},
    threads::work,
};

/// Ground truth as Python gives it.
#[derive(FromPyObject)]
pub(crate) enum Truth<'py> {
    /// A data set in memory.
    Dataset(Bound<'py, PyDict>),
    /// A file or folder.
    Path(PathBuf),
}

/// Detections as Python gives them.
#[derive(FromPyObject)]
pub(crate) enum Found<'py> {
    /// A list of dicts.
    Dicts(Bound<'py, PyList>),
    /// Arrays.
    Columns(Columns<'py>),
    /// A file or folder.
    Path(PathBuf),
}

/// Where the frequency groups come from.
#[derive(FromPyObject)]
pub(crate) enum Training<'py> {
    /// Image counts by category id.
    Counts(BTreeMap<i64, u64>),
    /// A data set in memory.
    Dataset(Bound<'py, PyDict>),
    /// A file or folder.
    Path(PathBuf),
}

/// A data set, read or still to be read where the GIL is not held.
enum Set {
    Read(AnnotationSet),
    Path(PathBuf),
}

enum List {
    Read(Vec<Detection>),
    Path(PathBuf),
}

enum Counts {
    Read(ImageCounts),
    Path(PathBuf),
}

impl Truth<'_> {
    fn take(&self) -> PyResult<Set> {
        Ok(match self {
            Self::Dataset(dataset) => Set::Read(annotation_set(dataset)?),
            Self::Path(path) => Set::Path(path.clone()),
        })
    }
}

impl Found<'_> {
    fn take(&self) -> PyResult<List> {
        Ok(match self {
            Self::Dicts(list) => List::Read(detections_of_dicts(list)?),
            Self::Columns(columns) => List::Read(detections_of_columns(columns)?),
            Self::Path(path) => List::Path(path.clone()),
        })
    }
}

impl Training<'_> {
    fn take(&self) -> PyResult<Counts> {
        Ok(match self {
            Self::Counts(counts) => Counts::Read(ImageCounts::from_counts(counts.clone())),
            Self::Dataset(dataset) => Counts::Read(ImageCounts::of(&annotation_set(dataset)?)),
            Self::Path(path) => Counts::Path(path.clone()),
        })
    }
}

fn options(scoring: Scoring) -> ReadOptions {
    let labels = match scoring {
        Scoring::OpenImages => OpenImagesLabels::Expanded,
        Scoring::Annotations(_) => OpenImagesLabels::default(),
    };
    ReadOptions { index: IndexPlace::from_environment(), labels, ..ReadOptions::default() }
}

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
    let options = options(scoring);
    let mut set = match set {
        Set::Read(set) => set,
        Set::Path(path) => open_annotations(&path, &options)?,
    };
    let counts = match counts {
        Some(Counts::Read(counts)) => Some(counts),
        Some(Counts::Path(path)) => Some(ImageCounts::of(&open_annotations(&path, &options)?)),
        None => None,
    };
    if let Some(counts) = &counts {
        counts.set_frequencies(&mut set)?;
    }
    let bins = match counts {
        Some(counts) if !bins.is_empty() => Some(ClassBins::new(counts, bins)?),
        None if !bins.is_empty() => {
            return Err(Bad::of("bins are by training images; give frequencies_from too").into());
        }
        _ => None,
    };
    let path = match &list {
        List::Path(path) => Some(path.display().to_string()),
        List::Read(_) => None,
    };
    let mut report = match scoring {
        Scoring::Annotations(protocol) => {
            let parameters = Parameters::default();
            let settings = Settings { protocol, max_detections, corrected_ids, parameters };
            let truth = GroundTruth::new(&set)?;
            let evaluation = match list {
                List::Path(path) if ResultsFormat::detect(&path) == ResultsFormat::Json => {
                    Evaluation::read(&truth, &path, &settings)?
                }
                list => {
                    let mut all = Detections::new(&truth, Shard::WHOLE);
                    all.extend(&read(list, &set)?)?;
                    Evaluation::new(&all, &settings)?
                }
            };
            evaluation.report(bins.as_ref())
        }
        Scoring::OpenImages => {
            if max_detections != MaxDetections::Protocol || corrected_ids {
                return Err(
                    Bad::of("max_detections and corrected_ids have no meaning under open-images").into()
                );
            }
            OpenImagesSet::new(&set)?.evaluate(&read(list, &set)?, bins.as_ref())?
        }
    };
    if let Some(path) = path {
        report.provenance.insert("detections".into(), path);
    }
    Ok(report)
}

fn read(list: List, set: &AnnotationSet) -> Result<Vec<Detection>, Failure> {
    match list {
        List::Read(list) => Ok(list),
        List::Path(path) => {
            let document = Document::new(set.clone());
            Ok(read_results(&path, ResultsFormat::detect(&path), &document)?)
        }
    }
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

fn json(report: &EvalReport) -> PyResult<String> {
    serde_json::to_string(report).map_err(|error| PyRuntimeError::new_err(error.to_string()))
}
