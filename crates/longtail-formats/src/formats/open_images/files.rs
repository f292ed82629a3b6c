//! The files of a part: a boxes table, and what lies around it.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use crate::{
    error::FormatError,
    formats::{
        ReadOptions,
        image_files::has_ending,
        parts::{Chosen, choose},
    },
};

/// Where a part's tables lie.
#[derive(Debug)]
pub(super) struct Files {
    /// Boxes.
    pub boxes: PathBuf,
    /// Image-level labels.
    pub labels: Option<PathBuf>,
    /// Class descriptions or label map.
    pub classes: Option<PathBuf>,
    /// Tree of classes.
    pub hierarchy: Option<PathBuf>,
    /// Folders that may have the images.
    pub images: Vec<PathBuf>,
}

const PARTS: [&str; 3] = ["train", "validation", "test"];

impl Files {
    /// Finds the files of a boxes table, or of a part of a folder.
    pub fn find(path: &Path, options: &ReadOptions) -> Result<Self, FormatError> {
        let boxes = if path.is_dir() { of_folder(path, options)? } else { path.to_owned() };
        let own = boxes.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        let part = part_of(&boxes);
        let mut around = Vec::new();
        for folder in [Some(&*own), own.parent()].into_iter().flatten() {
            around.extend(listed(folder));
        }
        // The nearest, and among those the one of classes with boxes.
        let find = |wanted: &dyn Fn(&str) -> bool| {
            let mut found: Vec<&PathBuf> = around.iter().filter(|path| wanted(&name(path))).collect();
            found.sort_by_key(|path| (path.parent() != Some(&*own), !name(path).contains("boxable")));
            found.first().map(|path| (*path).clone())
        };
        let of_part = |name: &str| part.is_none_or(|part| name.contains(part));
        let is_labels = |name: &str| {
            name.ends_with(".csv")
                && (name.contains("imagelabels") || name.contains("image-labels"))
                && of_part(name)
        };
        let is_classes = |name: &str| {
            let described = name.contains("class-descriptions") || name.contains("classes-description");
            (described && name.ends_with(".csv")) || name.ends_with(".pbtxt")
        };
        let mut images: Vec<PathBuf> = options.images.iter().cloned().collect();
        if images.is_empty() {
            for folder in [Some(&*own), own.parent()].into_iter().flatten() {
                images.extend(part.map(|part| folder.join(part)));
                images.extend(part.map(|part| folder.join("images").join(part)));
                images.extend([folder.join("images"), folder.to_owned()]);
            }
        }
        Ok(Self {
            labels: find(&is_labels),
            classes: find(&is_classes),
            hierarchy: find(&|name| name.contains("hierarchy") && name.ends_with(".json")),
            images,
            boxes,
        })
    }
}

/// The boxes table of a folder's part.
fn of_folder(folder: &Path, options: &ReadOptions) -> Result<PathBuf, FormatError> {
    let tables: Vec<PathBuf> = listed(folder).into_iter().filter(|path| is_boxes_table(path)).collect();
    let parts: Vec<(String, PathBuf)> =
        tables.into_iter().map(|path| (part_of(&path).unwrap_or("boxes").to_owned(), path)).collect();
    match choose(folder, &parts, options.part.as_deref().filter(|_| parts.len() != 1))? {
        Chosen::One(path) => Ok(path.clone()),
        Chosen::All => match parts.as_slice() {
            [(_, path)] => Ok(path.clone()),
            _ => Err(FormatError::unrecognised(
                folder,
                "its parts cannot be read as one; convert and merge them",
            )),
        },
    }
}

fn listed(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).map(|entries| entries.flatten().map(|e| e.path()).collect()).unwrap_or_default();
    files.sort();
    files
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// The part in a file's name.
fn part_of(path: &Path) -> Option<&'static str> {
    let name = name(path);
    PARTS.into_iter().find(|part| name.contains(part))
}

/// Whether a file is a CSV table with the columns of boxes.
pub(crate) fn is_boxes_table(path: &Path) -> bool {
    let headings = headings(path);
    has(&headings, &["ImageID", "LabelName", "XMin", "YMax"]) && !has(&headings, &["Score"])
}

/// If a file is a table of detections: that, and what it is for.
pub(crate) fn is_predictions_table(path: &Path) -> Option<&'static str> {
    has(&headings(path), &["ImageID", "LabelName", "Score"]).then_some(
        "it is a table of detections (it has a column `Score`), and not of annotations; give it to `longtail eval \
         --detections`",
    )
}

fn has(headings: &[String], wanted: &[&str]) -> bool {
    wanted.iter().all(|wanted| headings.iter().any(|heading| heading == wanted))
}

/// Cells of the first line of a CSV file.
fn headings(path: &Path) -> Vec<String> {
    if !has_ending(path, &["csv"]) {
        return Vec::new();
    }
    let Ok(file) = fs::File::open(path) else { return Vec::new() };
    let mut line = Vec::new();
    // A line that is longer is not a heading.
    let read = BufReader::new(std::io::Read::take(file, 4096)).read_until(b'\n', &mut line);
    let text = String::from_utf8_lossy(&line);
    let cells = text.trim_start_matches('\u{feff}').trim().split(',').map(|cell| cell.trim().to_owned());
    if read.is_ok() { cells.collect() } else { Vec::new() }
}
