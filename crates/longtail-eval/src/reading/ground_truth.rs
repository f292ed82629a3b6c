//! Ground truth as evaluation needs it: nothing is demanded that no metric reads.

use std::path::Path;

use longtail_annotations::{Annotation, AnnotationSet, Category, FrequencyGroup, ImageRecord, Layout};
use longtail_formats::{Document, RawJson, ReadOptions, open_annotations};
use serde::Deserialize;
use serde_json::Value;

use super::text::{Id, decoded, id, with_quoted_numbers};
use crate::{engine::annotations::masked_set::MaskedSet, error::EvalError};

/// Opens ground truth of any format. A COCO or LVIS file may lack what evaluation does not read: names and
/// sizes of images, names of categories, `area` (the box's is taken), `iscrowd` and `info`; ids may be
/// written as 1.0, the text be UTF-16 or begin with a byte order mark, and fields that are not read hold NaN.
///
/// # Errors
/// If the file cannot be read, or lacks what is read; with line and column.
pub fn open_ground_truth(path: &Path, options: &ReadOptions) -> Result<AnnotationSet, EvalError> {
    match open_annotations(path, options) {
        Ok(set) => Ok(set),
        // Where the text is at fault and not a field, the usual reader has said it best.
        Err(error) if path.is_file() => {
            let file = lenient(path)?.ok_or(error)?;
            Ok(assemble(path, file).set)
        }
        Err(error) => Err(error.into()),
    }
}

/// As [`open_ground_truth`], with the masks that the file has; what is wrong with one is said when it is
/// scored.
///
/// # Errors
/// As [`open_ground_truth`].
pub fn open_masked_ground_truth(path: &Path, options: &ReadOptions) -> Result<MaskedSet, EvalError> {
    match Document::open(path, options) {
        Ok(document) => Ok(MaskedSet::of(document)),
        Err(error) if path.is_file() => {
            let file = lenient(path)?.ok_or(error)?;
            Ok(MaskedSet::of(assemble(path, file)))
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Deserialize)]
struct File {
    images: Vec<Image>,
    annotations: Vec<Object>,
    categories: Vec<Class>,
}

#[derive(Deserialize)]
struct Image {
    #[serde(deserialize_with = "id")]
    id: i64,
    file_name: Option<String>,
    width: Option<Value>,
    height: Option<Value>,
    neg_category_ids: Option<Vec<Id>>,
    not_exhaustive_category_ids: Option<Vec<Id>>,
}

#[derive(Deserialize)]
struct Object {
    #[serde(deserialize_with = "id")]
    id: i64,
    #[serde(deserialize_with = "id")]
    image_id: i64,
    #[serde(deserialize_with = "id")]
    category_id: i64,
    bbox: [f64; 4],
    area: Option<f64>,
    iscrowd: Option<Flag>,
    ignore: Option<Flag>,
    segmentation: Option<Value>,
}

#[derive(Deserialize)]
struct Class {
    #[serde(deserialize_with = "id")]
    id: i64,
    name: Option<String>,
    frequency: Option<FrequencyGroup>,
}

/// `true`, `1` and their opposites: files disagree.
#[derive(Deserialize)]
#[serde(untagged)]
enum Flag {
    Bool(bool),
    Number(f64),
}

impl Flag {
    fn is_set(&self) -> bool {
        match self {
            Self::Bool(value) => *value,
            Self::Number(value) => *value != 0.0,
        }
    }
}

/// Reads what the usual reader refused; `None` if it is not JSON with an object at the top.
fn lenient(path: &Path) -> Result<Option<File>, EvalError> {
    let fail = |reason: String| EvalError::GroundTruth { set: path.display().to_string(), reason };
    let bytes = std::fs::read(path).map_err(|source| EvalError::io("read", path, source))?;
    let text = decoded(&bytes).map_err(fail)?;
    if !text.trim_ascii_start().starts_with(b"{") {
        return Ok(None);
    }
    let parsed =
        serde_json::from_slice::<File>(&text).or_else(|error| match with_quoted_numbers(&text, &error) {
            Some(quoted) => serde_json::from_slice(&quoted),
            None => Err(error),
        });
    match parsed {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.is_data() => Err(fail(error.to_string())),
        Err(error) if error.is_eof() => Err(fail(format!("{error}; the file is cut short"))),
        Err(_) => Ok(None),
    }
}

fn assemble(path: &Path, file: File) -> Document {
    // A size is not read; what is not one is as good as none.
    let pixels = |size: Option<Value>| size.and_then(|size| size.as_f64()).map_or(0, |size| size as u32);
    let ids = |list: Option<Vec<Id>>| list.map(|list| list.into_iter().map(|id| id.0).collect::<Vec<_>>());
    let lvis = file.categories.iter().any(|c| c.frequency.is_some())
        || file
            .images
            .iter()
            .any(|i| i.neg_category_ids.is_some() || i.not_exhaustive_category_ids.is_some());
    let image = |image: Image| ImageRecord {
        id: image.id,
        file_name: image.file_name.unwrap_or_default(),
        width: pixels(image.width),
        height: pixels(image.height),
        neg_category_ids: ids(image.neg_category_ids),
        not_exhaustive_category_ids: ids(image.not_exhaustive_category_ids),
    };
    let annotation = |object: Object| Annotation {
        id: object.id,
        image_id: object.image_id,
        category_id: object.category_id,
        bbox: object.bbox,
        area: object.area,
        iscrowd: object.iscrowd.is_some_and(|flag| flag.is_set()),
        ignore: object.ignore.is_some_and(|flag| flag.is_set()),
    };
    let category = |class: Class| Category {
        id: class.id,
        name: class.name.unwrap_or_else(|| class.id.to_string()),
        frequency: class.frequency,
    };
    let masks: Vec<_> = file.annotations.iter().map(|a| a.segmentation.as_ref().map(RawJson::of)).collect();
    let set = AnnotationSet {
        path: Some(path.to_owned()),
        layout: if lvis { Layout::Lvis } else { Layout::Coco },
        images: file.images.into_iter().map(image).collect(),
        annotations: file.annotations.into_iter().map(annotation).collect(),
        categories: file.categories.into_iter().map(category).collect(),
    };
    let mut document = Document::new(set);
    for (members, mask) in document.extras.annotations.iter_mut().zip(masks) {
        mask.into_iter().for_each(|mask| members.push("segmentation", mask));
    }
    document
}
