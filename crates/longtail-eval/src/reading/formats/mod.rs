//! Detections in the formats of other tools, which name images and classes instead of giving ids, and give
//! places relative to the image: they are read and written along with the data set that they belong to.
//!
//! | module | format |
//! | --- | --- |
//! | (here) | COCO and LVIS JSON |
//! | `open_images` | CSV: a row a detection, or the challenge's `ImageId,PredictionString` |
//! | `yolo` | a text file an image: `class x y width height score` |

mod open_images;
mod yolo;

use std::{fs, path::Path, str::FromStr};

use longtail_annotations::{AnnotationSet, ImageRecord, LabelMap};
use longtail_formats::Document;
use rustc_hash::FxHashMap;

pub use self::open_images::expand_detections;
use crate::{
    detection::{Detection, write_detections},
    error::EvalError,
    reading::stream::read_detections,
};

/// A format of detections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultsFormat {
    /// COCO's and LVIS's JSON list.
    Json,
    /// A CSV of Open Images.
    OpenImages,
    /// A folder of text files, as YOLO tools write them with `save_txt` and `save_conf`.
    Yolo,
}

impl ResultsFormat {
    /// By what a path is: a folder, a name that ends in `.csv`, or else JSON.
    pub fn detect(path: &Path) -> Self {
        let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
        match ending.as_deref() {
            _ if path.is_dir() => Self::Yolo,
            Some("csv") => Self::OpenImages,
            _ => Self::Json,
        }
    }
}

impl FromStr for ResultsFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "coco" | "lvis" | "json" => Ok(Self::Json),
            "open-images" => Ok(Self::OpenImages),
            "yolo" => Ok(Self::Yolo),
            _ => {
                Err(format!("`{text}` is not a format of detections; choose coco, lvis, open-images or yolo"))
            }
        }
    }
}

/// Reads detections of a data set's images.
///
/// # Errors
/// If a file cannot be read, names an image or class that the data set lacks, or has a number that is none;
/// with file and line.
pub fn read_results(
    path: &Path,
    format: ResultsFormat,
    truth: &Document,
) -> Result<Vec<Detection>, EvalError> {
    match format {
        ResultsFormat::Json => read_detections(path),
        ResultsFormat::OpenImages => open_images::read(path, truth),
        ResultsFormat::Yolo => yolo::read(path, truth),
    }
}

/// Writes detections of a data set's images: whole, or not at all. Detections of classes that the data set
/// lacks have no name there and are left out, unless the target has ids; their number is returned.
///
/// # Errors
/// If a detection is of an image that the data set lacks, or a file cannot be written.
pub fn write_results(
    path: &Path,
    format: ResultsFormat,
    truth: &Document,
    detections: &[Detection],
) -> Result<usize, EvalError> {
    match format {
        ResultsFormat::Json => write_detections(path, detections).map(|()| 0),
        ResultsFormat::OpenImages => open_images::write(path, truth, detections),
        ResultsFormat::Yolo => yolo::write(path, truth, detections),
    }
}

/// A text file without its byte order mark.
fn read_text(path: &Path) -> Result<String, EvalError> {
    let bytes = fs::read(path).map_err(|source| EvalError::io("read", path, source))?;
    let text =
        String::from_utf8(bytes).map_err(|error| fail(path, 1, format!("it is not UTF-8: {error}")))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

fn fail(path: &Path, line: u64, reason: impl Into<String>) -> EvalError {
    EvalError::Results { path: path.to_owned(), line, reason: reason.into() }
}

fn number(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err(format!("`{text}` is not finite")),
        Err(_) if text.contains(',') => Err(format!("`{text}` is not a number; decimals have a point")),
        Err(_) => Err(format!("`{text}` is not a number")),
    }
}

/// Pixels of an image's sides.
fn size(image: &ImageRecord) -> [f64; 2] {
    [f64::from(image.width), f64::from(image.height)]
}

/// Images by their names without ending: with folders, and without them where that is one image only.
struct Stems<'a>(FxHashMap<String, Option<&'a ImageRecord>>);

impl<'a> Stems<'a> {
    fn new(set: &'a AnnotationSet) -> Self {
        let mut stems = FxHashMap::default();
        for image in &set.images {
            let stem = stem(&image.file_name);
            let short = stem.rsplit('/').next().unwrap_or(stem);
            if short != stem {
                stems.entry(short.to_owned()).and_modify(|known| *known = None).or_insert(Some(image));
            }
        }
        for image in &set.images {
            stems.insert(stem(&image.file_name).to_owned(), Some(image));
        }
        Self(stems)
    }

    fn find(&self, stem: &str) -> Result<&'a ImageRecord, String> {
        match self.0.get(stem) {
            Some(Some(image)) => Ok(image),
            Some(None) => Err(format!("several images are named `{stem}`; give the name with its folder")),
            None => Err(format!("`{stem}` is not an image of the ground truth")),
        }
    }
}

/// A name without its ending.
fn stem(file_name: &str) -> &str {
    match file_name.rsplit_once('.') {
        Some((stem, ending)) if !ending.contains('/') => stem,
        _ => file_name,
    }
}

/// A detection by what names it.
struct Named<'a> {
    image: &'a ImageRecord,
    label: u32,
    bbox: [f64; 4],
    score: f64,
}

/// Detections with their images and labels, and how many are of no known class.
fn named<'a>(
    truth: &'a Document,
    labels: &LabelMap,
    detections: &[Detection],
) -> Result<(Vec<Named<'a>>, usize), EvalError> {
    let images: FxHashMap<i64, &ImageRecord> =
        truth.set.images.iter().map(|image| (image.id, image)).collect();
    let mut named = Vec::with_capacity(detections.len());
    for (index, detection) in detections.iter().enumerate() {
        let problem = |reason: String| EvalError::Detection { index, reason };
        crate::detection::check_numbers(detection).map_err(problem)?;
        let image = images.get(&detection.image_id).ok_or_else(|| {
            problem(format!("`image_id` {} is not an image of {}", detection.image_id, truth.set.label()))
        })?;
        if let Some(label) = labels.label(detection.category_id) {
            named.push(Named { image, label, bbox: detection.bbox, score: detection.score });
        }
    }
    let unknown = detections.len() - named.len();
    Ok((named, unknown))
}
