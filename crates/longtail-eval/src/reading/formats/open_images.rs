//! Open Images CSV.
//!
//! Read are `ImageID,LabelName,Score,XMin,XMax,YMin,YMax` in any order (`Conf` and `Confidence` for `Score`),
//! and the challenge's `ImageId,PredictionString` with `label score xmin ymin xmax ymax` over and over.
//! Written is the first.

use std::path::Path;

use longtail_annotations::LabelMap;
use longtail_files::write_file;
use longtail_formats::{
    Document, RawJson,
    open_images::{Hierarchy, relative_corners},
};
use rustc_hash::FxHashMap;

use super::{Stems, fail, named, number, read_text, size, stem};
use crate::{detection::Detection, error::EvalError};

/// Label names of a data set by label: what an Open Images file said, or else the class name.
fn label_names(truth: &Document, labels: &LabelMap) -> Vec<String> {
    let mut names = vec![String::new(); labels.len()];
    for (category, members) in truth.set.categories.iter().zip(&truth.extras.categories) {
        if let Some(label) = labels.label(category.id) {
            let given = members.get("label").and_then(RawJson::text);
            names[label as usize] = given.unwrap_or_else(|| category.name.clone());
        }
    }
    names
}

struct Reader<'a> {
    images: Stems<'a>,
    categories: FxHashMap<String, i64>,
    found: Vec<Detection>,
}

pub(super) fn read(path: &Path, truth: &Document) -> Result<Vec<Detection>, EvalError> {
    let text = read_text(path)?;
    let labels = LabelMap::new(&truth.set.categories);
    let names = label_names(truth, &labels);
    let categories = names.into_iter().zip(0..).map(|(name, label)| (name, labels.category_id(label)));
    let mut reader =
        Reader { images: Stems::new(&truth.set), categories: categories.collect(), found: Vec::new() };
    let mut rows = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let no_table = |error: csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        fail(path, line, format!("it is not CSV: {error}"))
    };
    let heading = rows.headers().map_err(no_table)?.clone();
    let column =
        |names: &[&str]| heading.iter().position(|h| names.iter().any(|n| n.eq_ignore_ascii_case(h)));
    let need = |names: &[&str]| {
        let missing = || fail(path, 1, format!("column `{}` is missing", names[0]));
        column(names).ok_or_else(missing)
    };
    let image = need(&["ImageID", "image_id"])?;
    let together = column(&["PredictionString"]);
    let places = match together {
        Some(_) => [0; 6],
        None => [
            need(&["LabelName"])?,
            need(&["Score", "Conf", "Confidence"])?,
            need(&["XMin"])?,
            need(&["YMin"])?,
            need(&["XMax"])?,
            need(&["YMax"])?,
        ],
    };
    for row in rows.records() {
        let row = row.map_err(no_table)?;
        let line = row.position().map_or(1, csv::Position::line);
        let cell = |place: usize| row.get(place).unwrap_or_default();
        let added = match together {
            None => reader.add(cell(image), places.map(cell)),
            Some(place) => reader.add_all(cell(image), cell(place)),
        };
        added.map_err(|reason| fail(path, line, reason))?;
    }
    Ok(reader.found)
}

impl Reader<'_> {
    /// Label, score, x and y of two corners, relative.
    fn add(&mut self, image: &str, [label, score, x1, y1, x2, y2]: [&str; 6]) -> Result<(), String> {
        let image = self.images.find(image)?;
        let category = self.categories.get(label);
        let category_id = *category.ok_or_else(|| format!("`{label}` is not a class of the ground truth"))?;
        let [width, height] = size(image);
        let [x1, y1, x2, y2] = [number(x1)?, number(y1)?, number(x2)?, number(y2)?];
        if x2 < x1 || y2 < y1 {
            return Err(format!("the box ends before it starts: {x1} {y1} {x2} {y2}"));
        }
        self.found.push(Detection {
            image_id: image.id,
            category_id,
            bbox: [x1 * width, y1 * height, (x2 - x1) * width, (y2 - y1) * height],
            score: number(score)?,
        });
        Ok(())
    }

    fn add_all(&mut self, image: &str, text: &str) -> Result<(), String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        if !words.len().is_multiple_of(6) {
            return Err(format!("{} words in `PredictionString`, expected six a detection", words.len()));
        }
        self.images.find(image)?;
        words.chunks_exact(6).try_for_each(|chunk| self.add(image, std::array::from_fn(|i| chunk[i])))
    }
}

pub(super) fn write(path: &Path, truth: &Document, detections: &[Detection]) -> Result<usize, EvalError> {
    let labels = LabelMap::new(&truth.set.categories);
    let names = label_names(truth, &labels);
    let (named, unknown) = named(truth, &labels, detections)?;
    write_file(path, |out| {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(["ImageID", "LabelName", "Score", "XMin", "XMax", "YMin", "YMax"])?;
        for detection in &named {
            let corners = relative_corners(detection.bbox, size(detection.image));
            let image = stem(&detection.image.file_name);
            let mut row =
                vec![image.to_owned(), names[detection.label as usize].clone(), detection.score.to_string()];
            row.extend(corners.map(|corner| corner.to_string()));
            writer.write_record(row)?;
        }
        writer.flush()
    })?;
    Ok(unknown)
}

/// Detections, each followed by copies for the classes above its own: for detectors that were trained on leaf
/// classes. The challenge scores these classes too and does not expand detections itself. Of copies of a
/// class at the very same place, as several classes of one proposal give them, the one with the best score
/// stays, at the place of the first.
///
/// # Errors
/// If a detection is of no class of the set, or the hierarchy or the set lacks a class.
pub fn expand_detections(
    hierarchy: &Hierarchy,
    truth: &Document,
    detections: &[Detection],
) -> Result<Vec<Detection>, EvalError> {
    let labels = LabelMap::new(&truth.set.categories);
    let names = label_names(truth, &labels);
    let ids: FxHashMap<&str, i64> =
        names.iter().zip(0..).map(|(name, label)| (name.as_str(), labels.category_id(label))).collect();
    let mut above: Vec<Vec<i64>> = Vec::with_capacity(names.len());
    for name in &names {
        let ancestors = hierarchy.ancestors(name).unwrap_or_default();
        let id = |label: &std::sync::Arc<str>| {
            ids.get(&**label).copied().ok_or_else(|| EvalError::GroundTruth {
                set: truth.set.label(),
                reason: format!(
                    "class `{label}`, which is above `{name}` in the hierarchy, is not among its classes"
                ),
            })
        };
        above.push(ancestors.iter().map(id).collect::<Result<_, _>>()?);
    }
    let mut expanded: Vec<Detection> = Vec::with_capacity(2 * detections.len());
    let mut copies: FxHashMap<(i64, i64, [u64; 4]), usize> = FxHashMap::default();
    for (index, detection) in detections.iter().enumerate() {
        let label = labels.label(detection.category_id).ok_or_else(|| EvalError::Detection {
            index,
            reason: format!("`category_id` {} is not a class of the ground truth", detection.category_id),
        })?;
        if hierarchy.ancestors(&names[label as usize]).is_none() {
            let reason = format!("class `{}` is not in the hierarchy", names[label as usize]);
            return Err(EvalError::Detection { index, reason });
        }
        expanded.push(*detection);
        for &category_id in &above[label as usize] {
            let copy = Detection { category_id, ..*detection };
            let place = *copies
                .entry((copy.image_id, category_id, copy.bbox.map(f64::to_bits)))
                .or_insert_with(|| {
                    expanded.push(copy);
                    expanded.len() - 1
                });
            expanded[place].score = expanded[place].score.max(copy.score);
        }
    }
    Ok(expanded)
}
