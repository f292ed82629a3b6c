//! Ground truth and detections out of what Python has: dicts as JSON files spell them, and arrays.

use longtail_annotations::{Annotation, AnnotationSet, Category, FrequencyGroup, ImageRecord, Layout};
use longtail_eval::Detection;
use numpy::{PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::{
    prelude::*,
    types::{PyDict, PyList},
};

use crate::errors::Bad;

/// An entry of a list of dicts, with what a message needs to name it.
struct Entry<'py, 'a> {
    list: &'a str,
    index: usize,
    dict: Bound<'py, PyDict>,
}

impl<'py> Entry<'py, '_> {
    /// A member; `None` where it is missing or None.
    fn get(&self, field: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.dict.get_item(field)?.filter(|value| !value.is_none()))
    }

    fn need(&self, field: &str) -> PyResult<Bound<'py, PyAny>> {
        self.get(field)?.ok_or_else(|| self.bad(field, "it is missing"))
    }

    fn bad(&self, field: &str, reason: &str) -> PyErr {
        Bad::entry(self.list, self.index, field, reason).into()
    }

    fn found(&self, field: &str, expected: &str, value: &Bound<'py, PyAny>) -> PyErr {
        let text = value.repr().map_or_else(|_| "this".to_owned(), |text| text.to_string());
        let short: String = text.chars().take(60).collect();
        self.bad(field, &format!("expected {expected}, found {short}"))
    }

    fn id(&self, field: &str) -> PyResult<i64> {
        let value = self.need(field)?;
        whole(&value).ok_or_else(|| self.found(field, "a whole number", &value))
    }

    fn number(&self, field: &str) -> PyResult<f64> {
        let value = self.need(field)?;
        value.extract().map_err(|_| self.found(field, "a number", &value))
    }

    fn size(&self, field: &str) -> PyResult<u32> {
        let Some(value) = self.get(field)? else { return Ok(0) };
        let size = whole(&value).and_then(|size| u32::try_from(size).ok());
        size.ok_or_else(|| self.found(field, "a number of pixels", &value))
    }

    fn text(&self, field: &str) -> PyResult<String> {
        let Some(value) = self.get(field)? else { return Ok(String::new()) };
        value.extract().map_err(|_| self.found(field, "text", &value))
    }

    fn flag(&self, field: &str) -> PyResult<bool> {
        self.get(field)?.map_or(Ok(false), |value| value.is_truthy())
    }

    fn bbox(&self) -> PyResult<[f64; 4]> {
        let value = self.need("bbox")?;
        let bad = || self.found("bbox", "four numbers, x, y, width and height", &value);
        let mut bbox = [0.0; 4];
        let mut count = 0;
        for number in value.try_iter().map_err(|_| bad())? {
            if count == 4 {
                return Err(bad());
            }
            bbox[count] = number?.extract().map_err(|_| bad())?;
            count += 1;
        }
        if count == 4 { Ok(bbox) } else { Err(bad()) }
    }

    fn ids(&self, field: &str) -> PyResult<Option<Vec<i64>>> {
        let Some(value) = self.get(field)? else { return Ok(None) };
        let bad = || self.found(field, "a list of category ids", &value);
        let id = |value: PyResult<Bound<'py, PyAny>>| whole(&value?).ok_or_else(bad);
        value.try_iter().map_err(|_| bad())?.map(id).collect::<PyResult<_>>().map(Some)
    }
}

/// A whole number, also as the float that some tools write.
fn whole(value: &Bound<'_, PyAny>) -> Option<i64> {
    value.extract::<i64>().ok().or_else(|| {
        let float: f64 = value.extract().ok()?;
        (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64)
    })
}

/// Entries of a list of dicts.
fn entries<'py, 'a>(
    list: &Bound<'py, PyAny>,
    name: &'a str,
) -> PyResult<impl Iterator<Item = PyResult<Entry<'py, 'a>>>> {
    let expected = format!("`{name}` must be a list of dicts");
    let items = list.try_iter().map_err(|_| Bad::of(expected.clone()))?;
    Ok(items.enumerate().map(move |(index, item)| {
        let dict = item?
            .cast_into::<PyDict>()
            .map_err(|_| Bad::of(format!("{expected}; entry {index} is not a dict")))?;
        Ok(Entry { list: name, index, dict })
    }))
}

/// A data set in COCO's or LVIS's layout.
pub(crate) fn annotation_set(dataset: &Bound<'_, PyDict>) -> PyResult<AnnotationSet> {
    let list = |name: &str| -> PyResult<Bound<'_, PyAny>> {
        let found = dataset.get_item(name)?;
        found.ok_or_else(|| {
            Bad::of(format!("the ground truth has no `{name}`; give images, annotations and categories"))
                .into()
        })
    };
    let mut images = Vec::new();
    for entry in entries(&list("images")?, "images")? {
        let entry = entry?;
        images.push(ImageRecord {
            id: entry.id("id")?,
            file_name: entry.text("file_name")?,
            width: entry.size("width")?,
            height: entry.size("height")?,
            neg_category_ids: entry.ids("neg_category_ids")?,
            not_exhaustive_category_ids: entry.ids("not_exhaustive_category_ids")?,
        });
    }
    let mut categories = Vec::new();
    for entry in entries(&list("categories")?, "categories")? {
        let entry = entry?;
        let letter = entry.text("frequency")?;
        let frequency = FrequencyGroup::ALL.into_iter().find(|group| group.letter() == letter);
        if frequency.is_none() && !letter.is_empty() {
            return Err(entry.bad("frequency", &format!("expected r, c or f, found {letter}")));
        }
        let id = entry.id("id")?;
        let name = entry.text("name")?;
        categories.push(Category {
            id,
            name: if name.is_empty() { id.to_string() } else { name },
            frequency,
        });
    }
    let mut annotations = Vec::new();
    for (entry, next) in entries(&list("annotations")?, "annotations")?.zip(1..) {
        let entry = entry?;
        annotations.push(Annotation {
            id: if entry.get("id")?.is_some() { entry.id("id")? } else { next },
            image_id: entry.id("image_id")?,
            category_id: entry.id("category_id")?,
            bbox: entry.bbox()?,
            area: entry.get("area")?.map(|_| entry.number("area")).transpose()?,
            iscrowd: entry.flag("iscrowd")?,
            ignore: entry.flag("ignore")?,
        });
    }
    let federated = images.iter().any(|image| image.neg_category_ids.is_some());
    let layout = if federated { Layout::Lvis } else { Layout::Coco };
    Ok(AnnotationSet { path: None, layout, images, annotations, categories })
}

/// Detections as COCO's results have them.
pub(crate) fn detections_of_dicts(list: &Bound<'_, PyList>) -> PyResult<Vec<Detection>> {
    let mut detections = Vec::with_capacity(list.len());
    for entry in entries(list, "detections")? {
        let entry = entry?;
        detections.push(Detection {
            image_id: entry.id("image_id")?,
            category_id: entry.id("category_id")?,
            bbox: entry.bbox()?,
            score: entry.number("score")?,
        });
    }
    Ok(detections)
}

/// Columns of detections: image ids `[N]`, category ids `[N]`, boxes x, y, width, height `[N, 4]` and scores
/// `[N]`.
pub(crate) type Columns<'py> = (
    PyReadonlyArray1<'py, i64>,
    PyReadonlyArray1<'py, i64>,
    PyReadonlyArray2<'py, f64>,
    PyReadonlyArray1<'py, f64>,
);

/// Detections out of columns.
pub(crate) fn detections_of_columns(columns: &Columns<'_>) -> PyResult<Vec<Detection>> {
    let (images, classes, boxes, scores) = columns;
    if boxes.shape()[1] != 4 || [images.len(), classes.len(), scores.len()] != [boxes.shape()[0]; 3] {
        let lengths = [images.len(), classes.len(), boxes.shape()[0], scores.len()];
        let reason = format!(
            "the columns image_id, category_id, bbox and score have {lengths:?} rows, of boxes four numbers each; they must agree"
        );
        return Err(Bad::of(reason).into());
    }
    let (images, classes, scores) = (images.as_array(), classes.as_array(), scores.as_array());
    let rows = boxes.as_array();
    let boxes = rows.outer_iter().map(|row| [row[0], row[1], row[2], row[3]]);
    let ids = images.iter().zip(classes).zip(scores);
    let detection =
        |(((&image_id, &category_id), &score), bbox)| Detection { image_id, category_id, bbox, score };
    Ok(ids.zip(boxes).map(detection).collect())
}
