//! Ground truth, detections and training counts as Python gives them: taken with the interpreter's lock, read
//! without it.

use std::{collections::BTreeMap, path::PathBuf};

use longtail_annotations::AnnotationSet;
use longtail_eval::{
    Detection, Detections, Evaluation, GroundTruth, ImageCounts, ResultsFormat, Scoring, Settings, Shard,
    read_results, reading::ground_truth::open_ground_truth,
};
use longtail_formats::{Document, IndexPlace, OpenImagesLabels, ReadOptions};
use pyo3::{
    prelude::*,
    types::{PyDict, PyList},
};

use crate::{
    errors::Failure,
    records::{Columns, annotation_set, detections_of_columns, detections_of_dicts},
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

/// A data set, read or still to be read.
pub(crate) enum Set {
    Read(AnnotationSet),
    Path(PathBuf),
}

/// Detections, read or still to be read.
pub(crate) enum List {
    Read(Vec<Detection>),
    Path(PathBuf),
}

/// Training images of each class, read or still to be read.
pub(crate) enum Counts {
    Read(ImageCounts),
    Path(PathBuf),
}

impl Truth<'_> {
    pub(crate) fn take(&self) -> PyResult<Set> {
        Ok(match self {
            Self::Dataset(dataset) => Set::Read(annotation_set(dataset)?),
            Self::Path(path) => Set::Path(path.clone()),
        })
    }
}

impl Found<'_> {
    pub(crate) fn take(&self) -> PyResult<List> {
        Ok(match self {
            Self::Dicts(list) => List::Read(detections_of_dicts(list)?),
            Self::Columns(columns) => List::Read(detections_of_columns(columns)?),
            Self::Path(path) => List::Path(path.clone()),
        })
    }
}

impl Training<'_> {
    pub(crate) fn take(&self) -> PyResult<Counts> {
        Ok(match self {
            Self::Counts(counts) => Counts::Read(ImageCounts::from_counts(counts.clone())),
            Self::Dataset(dataset) => Counts::Read(ImageCounts::of(&annotation_set(dataset)?)),
            Self::Path(path) => Counts::Path(path.clone()),
        })
    }
}

/// How files are read for a protocol.
pub(crate) fn options(scoring: Scoring) -> ReadOptions {
    let labels = match scoring {
        Scoring::OpenImages => OpenImagesLabels::Expanded,
        Scoring::Annotations(_) => OpenImagesLabels::default(),
    };
    ReadOptions { index: IndexPlace::from_environment(), labels, ..ReadOptions::default() }
}

impl Set {
    /// Reads it as leniently as the command line does.
    pub(crate) fn open(self, options: &ReadOptions) -> Result<AnnotationSet, Failure> {
        match self {
            Self::Read(set) => Ok(set),
            Self::Path(path) => Ok(open_ground_truth(&path, options)?),
        }
    }
}

impl Counts {
    pub(crate) fn open(self, options: &ReadOptions) -> Result<ImageCounts, Failure> {
        match self {
            Self::Read(counts) => Ok(counts),
            Self::Path(path) => Ok(ImageCounts::of(&open_ground_truth(&path, options)?)),
        }
    }
}

/// Ground truth, with the frequency groups of the training counts if there are some.
pub(crate) fn open(
    set: Set,
    counts: Option<Counts>,
    scoring: Scoring,
) -> Result<(AnnotationSet, Option<ImageCounts>), Failure> {
    let options = options(scoring);
    let mut set = set.open(&options)?;
    let counts = counts.map(|counts| counts.open(&options)).transpose()?;
    if let Some(counts) = &counts {
        counts.set_frequencies(&mut set)?;
    }
    Ok((set, counts))
}

impl List {
    /// The path, where it is a file.
    pub(crate) fn path(&self) -> Option<String> {
        match self {
            Self::Path(path) => Some(path.display().to_string()),
            Self::Read(_) => None,
        }
    }

    /// All detections.
    pub(crate) fn read(self, set: &AnnotationSet) -> Result<Vec<Detection>, Failure> {
        match self {
            Self::Read(list) => Ok(list),
            Self::Path(path) => {
                let document = Document::new(set.clone());
                Ok(read_results(&path, ResultsFormat::detect(&path), &document)?)
            }
        }
    }

    /// Scored; a file of COCO's results is never held as a whole.
    pub(crate) fn evaluate(
        self,
        set: &AnnotationSet,
        truth: &GroundTruth,
        settings: &Settings,
    ) -> Result<Evaluation, Failure> {
        match self {
            Self::Path(path) if ResultsFormat::detect(&path) == ResultsFormat::Json => {
                Ok(Evaluation::read(truth, &path, settings)?)
            }
            list => {
                let mut all = Detections::new(truth, Shard::WHOLE);
                all.extend(&list.read(set)?)?;
                Ok(Evaluation::new(&all, settings)?)
            }
        }
    }
}
