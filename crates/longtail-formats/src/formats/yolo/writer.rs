//! Writes a part of a YOLO data set: `labels/PART/…`, `images/PART/…` where images are placed, and `data.yaml`.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use longtail_files::{NewFolder, write_bytes};
use rustc_hash::FxHashMap;

use super::data_yaml::{self, DataYaml};
use crate::{
    document::{Document, Losses, Members},
    error::FormatError,
    formats::{
        WriteOptions,
        image_files::has_ending,
        losses::{Held, count},
        place::place_images,
    },
};
use longtail_annotations::{Annotation, ImageRecord, check_file_name};

/// Writes a document as the part that the options name; other parts of the folder stay.
pub(crate) fn write(document: &Document, path: &Path, options: &WriteOptions) -> Result<Losses, FormatError> {
    let (folder, file) = if has_ending(path, &["yaml", "yml"]) {
        (path.parent().unwrap_or(Path::new(".")).to_owned(), path.to_owned())
    } else {
        (path.to_owned(), path.join("data.yaml"))
    };
    let part = &options.part;
    let (categories, names) = classes(document);
    let mut parts: Vec<(String, Vec<PathBuf>)> = Vec::new();
    if file.exists() {
        let data = DataYaml::read(&file)?;
        if !data.names.iter().map(|(_, name)| name).eq(&names) {
            let reason = "it has other classes; YOLO numbers them, so that all parts must have the same";
            return Err(FormatError::unwritable(&file, reason));
        }
        if data.parts.iter().any(|(name, _)| name == part) {
            return Err(FormatError::unwritable(&file, format!("it has a part `{part}` already")));
        }
        parts = data.parts;
    }
    let mut losses = count(document, Held { annotation: &["segmentation"], ..Held::default() });
    let texts = label_texts(document, &categories, &mut losses)?;
    let labels = NewFolder::begin(&folder.join("labels").join(part))?;
    for (name, text) in &texts {
        labels.write(name, text.as_bytes())?;
    }
    let images = place_images(document, &folder.join("images").join(part), options, short_name)?;
    let cut =
        document.set.images.iter().filter(|image| short_name(&image.file_name) != image.file_name).count();
    losses.add_many("image names (cut behind `images/`)", cut as u64);
    labels.finish()?;
    if let Some(images) = images {
        images.finish()?;
    }
    parts.push((part.clone(), vec![Path::new("images").join(part)]));
    write_bytes(&file, data_yaml::to_text(&parts, &names).as_bytes())?;
    Ok(losses)
}

/// The name behind the last folder `images`, which YOLO would take for the folder that it replaces by `labels`.
fn short_name(file_name: &str) -> &str {
    if let Some(name) = file_name.rsplit_once("/images/").map(|(_, name)| name) {
        return name;
    }
    file_name.strip_prefix("images/").unwrap_or(file_name)
}

/// Index by category id, and the names by index.
fn classes(document: &Document) -> (FxHashMap<i64, usize>, Vec<String>) {
    let sorted: BTreeMap<i64, &str> =
        document.set.categories.iter().rev().map(|category| (category.id, &*category.name)).collect();
    let index = sorted.keys().enumerate().map(|(index, &id)| (id, index)).collect();
    (index, sorted.values().map(|name| (*name).to_owned()).collect())
}

/// Label file and its text for every image.
fn label_texts(
    document: &Document,
    categories: &FxHashMap<i64, usize>,
    losses: &mut Losses,
) -> Result<BTreeMap<String, String>, FormatError> {
    let set = &document.set;
    let fail =
        |entry: String, reason: &str| FormatError::Entry { set: set.label(), entry, reason: reason.into() };
    let moved = categories.iter().filter(|(id, index)| **id != **index as i64).count();
    losses.add_many("category ids (numbered from 0)", moved as u64);
    let of_image = document.annotations_by_image();
    let polygons = all_polygons(document, &of_image);
    let mut texts = BTreeMap::new();
    for (image, places) in set.images.iter().zip(&of_image) {
        check_file_name(&image.file_name)
            .map_err(|reason| fail(format!("image {}: file_name {:?}", image.id, image.file_name), reason))?;
        if image.width == 0 || image.height == 0 {
            return Err(fail(format!("image {}", image.id), "its width or height is 0"));
        }
        let mut text = String::new();
        for &place in places {
            let annotation = &set.annotations[place];
            let Some(class) = categories.get(&annotation.category_id) else {
                return Err(fail(
                    format!("annotation {}", annotation.id),
                    "its category_id is not a category",
                ));
            };
            let members = &document.extras.annotations[place];
            match (left_out(annotation), &polygons) {
                (Some(why), _) => losses.add(why),
                (None, true) => {
                    let points = polygon(members).unwrap_or_default();
                    let size = [f64::from(image.width), f64::from(image.height)];
                    // Writing to text cannot fail.
                    let _ = write!(text, "{class}");
                    for (value, axis) in points.iter().zip((0..2).cycle()) {
                        let _ = write!(text, " {}", (value / size[axis]).clamp(0.0, 1.0));
                    }
                    text.push('\n');
                }
                (None, false) => {
                    if members.get("segmentation").is_some() {
                        losses.add("annotation field `segmentation`");
                    }
                    match relative(annotation.bbox, image, losses) {
                        Some([cx, cy, w, h]) => {
                            let _ = writeln!(text, "{class} {cx} {cy} {w} {h}");
                        }
                        None => losses.add("boxes without area inside of their image"),
                    }
                }
            }
        }
        let file = Path::new(short_name(&image.file_name)).with_extension("txt");
        let name = file.to_string_lossy().into_owned();
        if texts.insert(name, text).is_some() {
            let entry = format!("image {}: file_name {:?}", image.id, image.file_name);
            return Err(fail(entry, "another image would have the same label file; rename one"));
        }
    }
    Ok(texts)
}

/// Why a box must not become an object of YOLO, which would train on it.
fn left_out(annotation: &Annotation) -> Option<&'static str> {
    if annotation.iscrowd {
        Some("crowd boxes (left out)")
    } else if annotation.ignore {
        Some("boxes to be ignored (left out)")
    } else {
        None
    }
}

/// The only polygon of an annotation.
fn polygon(members: &Members) -> Option<Vec<f64>> {
    let polygons: Vec<Vec<f64>> = serde_json::from_str(members.get("segmentation")?.as_str()).ok()?;
    match <[Vec<f64>; 1]>::try_from(polygons) {
        Ok([polygon]) if polygon.len() >= 6 && polygon.len().is_multiple_of(2) => Some(polygon),
        _ => None,
    }
}

/// Whether every object is one polygon that spans its box: trainers refuse data sets of boxes and polygons.
fn all_polygons(document: &Document, of_image: &[Vec<usize>]) -> bool {
    let mut any = false;
    for place in of_image.iter().flatten() {
        let annotation = &document.set.annotations[*place];
        if left_out(annotation).is_some() {
            continue;
        }
        let Some(points) = polygon(&document.extras.annotations[*place]) else { return false };
        let [x, y, w, h] = annotation.bbox;
        let spans = |axis: usize, low: f64, high: f64| {
            let values = points.iter().skip(axis).step_by(2);
            let [a, b] = values.fold([f64::INFINITY, f64::NEG_INFINITY], |[a, b], &v| [a.min(v), b.max(v)]);
            (a - low).abs() <= 1.0 && (b - high).abs() <= 1.0
        };
        if !spans(0, x, x + w) || !spans(1, y, y + h) {
            return false;
        }
        any = true;
    }
    any
}

/// Centre and size relative to the image, clipped to it.
fn relative([x, y, w, h]: [f64; 4], image: &ImageRecord, losses: &mut Losses) -> Option<[f64; 4]> {
    let (width, height) = (f64::from(image.width), f64::from(image.height));
    let (x1, x2) = (x.clamp(0.0, width), (x + w).clamp(0.0, width));
    let (y1, y2) = (y.clamp(0.0, height), (y + h).clamp(0.0, height));
    if !(x2 > x1 && y2 > y1) {
        return None;
    }
    if [x1 - x, y1 - y, x + w - x2, y + h - y2].iter().any(|cut| *cut > 1e-6) {
        losses.add("parts of boxes outside of their image (clipped)");
        return Some([
            (x1 + x2) / 2.0 / width,
            (y1 + y2) / 2.0 / height,
            (x2 - x1) / width,
            (y2 - y1) / height,
        ]);
    }
    let centre = [((x + w / 2.0) / width).min(1.0), ((y + h / 2.0) / height).min(1.0)];
    Some([centre[0], centre[1], (w / width).min(1.0), (h / height).min(1.0)])
}
