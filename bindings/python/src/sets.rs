//! Data sets counted, checked, converted and split.

use std::path::{Path, PathBuf};

use longtail_annotations::AnnotationSet;
use longtail_curate::{
    CheckOptions, CurateError, Statistics, check,
    curation::{Groups, SplitOptions, split},
};
use longtail_data::ImageFolder;
use longtail_formats::{DataFormat, Document, Placement, ReadOptions, WriteOptions, inspect_annotations};
use pyo3::{
    exceptions::{PyFileExistsError, PyValueError},
    prelude::*,
};
use serde_json::json;

use crate::{
    errors::{Bad, Failure},
    inputs::{Truth, options},
    metrics::json as to_json,
    threads::work,
};

/// Counts of a data set; JSON.
#[pyfunction]
pub(crate) fn data_stats(py: Python<'_>, truth: Truth<'_>, threads: Option<usize>) -> PyResult<String> {
    let set = truth.take()?;
    let options = options(longtail_eval::Scoring::Annotations(longtail_eval::Protocol::Coco));
    let counted = work(py, threads, move || set.open(&options).map(|set| Statistics::of(&set)))??;
    to_json(&counted)
}

/// Everything that is wrong with a data set; JSON.
#[pyfunction]
#[pyo3(signature = (annotations, part, images, against, against_images, threads))]
pub(crate) fn data_check(
    py: Python<'_>,
    annotations: PathBuf,
    part: Option<String>,
    images: Option<PathBuf>,
    against: Option<PathBuf>,
    against_images: Option<PathBuf>,
    threads: Option<usize>,
) -> PyResult<String> {
    let task = move || -> Result<_, Failure> {
        let read = |path: &Path, images: &Option<PathBuf>| {
            let options = ReadOptions { part: part.clone(), images: images.clone(), ..Default::default() };
            inspect_annotations(path, &options)
        };
        let (set, remarks) = read(&annotations, &images)?;
        let other: Option<AnnotationSet> = match &against {
            None => None,
            Some(path) => {
                let (other, remarks) = read(path, &against_images)?;
                // What cannot be read of the other set is for a check of its own.
                remarks.refuse_unreadable(path)?;
                Some(other)
            }
        };
        let (folder, other_folder) =
            (images.as_deref().map(ImageFolder::new), against_images.as_deref().map(ImageFolder::new));
        let options = CheckOptions {
            remarks: Some(&remarks),
            images: folder.as_ref(),
            against: other.as_ref(),
            against_images: other_folder.as_ref(),
        };
        Ok(check(&set, &options, &|| ()).findings)
    };
    to_json(&work(py, threads, task)??)
}

/// Where a data set goes.
struct Target {
    path: PathBuf,
    format: DataFormat,
    options: WriteOptions,
    overwrite: bool,
}

impl Target {
    /// A target, with its format by name or by the ending of its path.
    fn new(
        path: &Path,
        document: &Document,
        format: Option<&str>,
        images: Option<(PathBuf, Placement)>,
        overwrite: bool,
    ) -> PyResult<Self> {
        let format = match format {
            Some(name) => {
                name.parse::<DataFormat>().map_err(|error| PyValueError::new_err(error.to_string()))?
            }
            None => DataFormat::of_target(path, document.set.layout).ok_or_else(|| {
                let reason = format!("{}: its ending does not tell the format; give format", path.display());
                PyErr::from(Bad::of(reason))
            })?,
        };
        let options = WriteOptions { images, ..WriteOptions::default() };
        Ok(Self { path: path.to_owned(), format, options, overwrite })
    }

    fn write(&self, document: &Document, part: Option<&str>) -> PyResult<longtail_formats::Losses> {
        let path = match (part, self.format) {
            (Some(part), DataFormat::Csv) => self.path.join(format!("{part}.csv")),
            (Some(part), DataFormat::Coco | DataFormat::Lvis) => self.path.join(format!("{part}.json")),
            _ => self.path.clone(),
        };
        if !self.format.is_folder() && path.exists() && !self.overwrite {
            let reason = "exists already; choose another name or give overwrite=True";
            return Err(PyFileExistsError::new_err((17, reason, path.display().to_string())));
        }
        let mut options = self.options.clone();
        if let Some(part) = part {
            options.part = part.to_owned();
        }
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        Ok(document.write(&path, self.format, &options).map_err(Failure::from)?)
    }
}

fn inspect(
    py: Python<'_>,
    path: &Path,
    part: Option<String>,
    images: Option<PathBuf>,
    threads: Option<usize>,
) -> PyResult<(Document, longtail_formats::Remarks)> {
    let (path, options) = (path.to_owned(), ReadOptions { part, images, ..Default::default() });
    let task = move || -> Result<_, Failure> {
        let (document, remarks) = Document::inspect(&path, &options)?;
        remarks.refuse_unreadable(&path)?;
        Ok((document, remarks))
    };
    Ok(work(py, threads, task)??)
}

/// A data set written in another format; what was written and lost as JSON.
#[pyfunction]
#[pyo3(signature = (source, target, format, part, images, place_images, overwrite, threads))]
pub(crate) fn data_convert(
    py: Python<'_>,
    source: PathBuf,
    target: PathBuf,
    format: Option<&str>,
    part: Option<String>,
    images: Option<PathBuf>,
    place_images: Option<&str>,
    overwrite: bool,
    threads: Option<usize>,
) -> PyResult<String> {
    let (document, remarks) = inspect(py, &source, part.clone(), images.clone(), threads)?;
    let placed = match (place_images, images) {
        (None, _) => None,
        (Some("copy"), Some(folder)) => Some((folder, Placement::Copy)),
        (Some("link"), Some(folder)) => Some((folder, Placement::Link)),
        (Some(_), None) => {
            return Err(PyValueError::new_err("place_images needs images, the folder they are in"));
        }
        (Some(other), _) => {
            return Err(PyValueError::new_err(format!("place_images is {other}; choose copy or link")));
        }
    };
    let target = Target::new(&target, &document, format, placed, overwrite)?;
    let part = part.filter(|_| target.format.is_folder());
    let lost = py.detach(|| target.write(&document, part.as_deref()))?;
    to_json(&json!({
        "images": document.set.images.len(),
        "boxes": document.set.annotations.len(),
        "classes": document.set.categories.len(),
        "format": target.format.to_string(),
        "lost": lost,
        "remarks": remarks,
    }))
}

/// A data set split into parts, written to a folder; what each part got as JSON.
#[pyfunction]
#[pyo3(signature = (source, folder, shares, format, group_by, every_class, seed, overwrite, threads))]
pub(crate) fn data_split(
    py: Python<'_>,
    source: PathBuf,
    folder: PathBuf,
    shares: Vec<(String, f64)>,
    format: Option<&str>,
    group_by: Option<&str>,
    every_class: bool,
    seed: u64,
    overwrite: bool,
    threads: Option<usize>,
) -> PyResult<String> {
    let (document, remarks) = inspect(py, &source, None, None, threads)?;
    let groups = match group_by {
        Some(pattern) => Groups::by_pattern(&document, pattern).map_err(Failure::from)?,
        None => Groups::single(&document),
    };
    let named = if format.is_none() { folder.join("part.json") } else { folder.clone() };
    let target = Target { path: folder, ..Target::new(&named, &document, format, None, overwrite)? };
    let options = SplitOptions { parts: shares.clone(), seed, every_class };
    let task = move || -> Result<_, CurateError> { split(&document, &groups, &options) };
    let (parts, report) = work(py, threads, task)?.map_err(Failure::from)?;
    let mut lost = longtail_formats::Losses::default();
    for ((name, _), part) in shares.iter().zip(&parts) {
        lost.extend(&py.detach(|| target.write(part, Some(name)))?);
    }
    to_json(&json!({ "report": report, "lost": lost, "remarks": remarks }))
}
