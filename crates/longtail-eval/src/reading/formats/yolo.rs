//! YOLO's text files: `class x y width height score` a line, relative to the image; x and y are the centre.
//!
//! Classes are counted from 0 in the order of the data set's category ids, which is the order of `data.yaml`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use longtail_annotations::LabelMap;
use longtail_files::NewFolder;
use longtail_formats::Document;

use super::{Stems, fail, named, number, read_text, size, stem};
use crate::{detection::Detection, error::EvalError};

/// Deepest folders below the given one.
const DEPTH: usize = 16;

pub(super) fn read(folder: &Path, truth: &Document) -> Result<Vec<Detection>, EvalError> {
    let mut files = Vec::new();
    list(folder, DEPTH, &mut files)?;
    files.sort();
    if files.is_empty() {
        return Err(fail(folder, 0, "there is no .txt file"));
    }
    let labels = LabelMap::new(&truth.set.categories);
    let images = Stems::new(&truth.set);
    let mut found = Vec::new();
    for file in files {
        let below = file.strip_prefix(folder).unwrap_or(&file).with_extension("");
        let name = below.to_str().ok_or_else(|| fail(&file, 0, "its name is not UTF-8; rename it"))?;
        let image = images.find(&name.replace('\\', "/")).map_err(|reason| fail(&file, 0, reason))?;
        let text = read_text(&file)?;
        for (line, content) in (1..).zip(text.lines()).filter(|(_, content)| !content.trim().is_empty()) {
            let at = |reason: String| fail(&file, line, reason);
            let words: Vec<&str> = content.split_whitespace().collect();
            let [class, x, y, w, h, score] = words.as_slice() else {
                let hint = if words.len() == 5 {
                    "; without a score these are no detections (save_conf)"
                } else {
                    ""
                };
                let count = words.len();
                return Err(at(format!(
                    "it has {count} fields, expected `class x y width height score`{hint}"
                )));
            };
            let class = class.parse::<u32>().ok().filter(|class| (*class as usize) < labels.len());
            let class = class.ok_or_else(|| {
                at(format!("class `{}` is not among 0 to {}", words[0], labels.len().saturating_sub(1)))
            })?;
            let numbers = [x, y, w, h, score].map(|word| number(word));
            let [x, y, w, h, score] = numbers;
            let [width, height] = size(image);
            let (w, h) = (w.map_err(at)? * width, h.map_err(at)? * height);
            if w < 0.0 || h < 0.0 {
                return Err(at("width or height is negative".into()));
            }
            found.push(Detection {
                image_id: image.id,
                category_id: labels.category_id(class),
                bbox: [x.map_err(at)? * width - w / 2.0, y.map_err(at)? * height - h / 2.0, w, h],
                score: score.map_err(at)?,
            });
        }
    }
    Ok(found)
}

fn list(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), EvalError> {
    if depth == 0 {
        return Err(fail(folder, 0, "folders lie too deep; does a symbolic link lead back?"));
    }
    let io = |source| EvalError::io("read", folder, source);
    for entry in fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.is_dir() {
            list(&path, depth - 1, files)?;
        } else if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("txt")) {
            files.push(path);
        }
    }
    Ok(())
}

pub(super) fn write(folder: &Path, truth: &Document, detections: &[Detection]) -> Result<usize, EvalError> {
    let labels = LabelMap::new(&truth.set.categories);
    let (named, unknown) = named(truth, &labels, detections)?;
    let mut texts: BTreeMap<&str, String> = BTreeMap::new();
    for detection in &named {
        longtail_annotations::check_file_name(&detection.image.file_name).map_err(|reason| {
            EvalError::GroundTruth {
                set: truth.set.label(),
                reason: format!("file_name {:?} {reason}", detection.image.file_name),
            }
        })?;
        let [width, height] = size(detection.image);
        let [x, y, w, h] = detection.bbox;
        let (label, score) = (detection.label, detection.score);
        let (cx, cy) = ((x + w / 2.0) / width, (y + h / 2.0) / height);
        let line = format!("{label} {cx} {cy} {} {} {score}\n", w / width, h / height);
        texts.entry(stem(&detection.image.file_name)).or_default().push_str(&line);
    }
    let written = NewFolder::begin(folder)?;
    for (name, text) in &texts {
        written.write(format!("{name}.txt"), text.as_bytes())?;
    }
    written.finish()?;
    Ok(unknown)
}
