//! Reads the tables of a part.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{files::Files, tables::OpenImagesTables};
use crate::{
    document::Document,
    error::FormatError,
    formats::{OpenImagesLabels, ReadOptions, image_files::image_sizes},
    open_images::{Hierarchy, read_boxes, read_classes, read_image_labels},
};
use longtail_annotations::{ImageRecord, check_file_name};

/// Reads a part: of a boxes table, or a folder.
pub(crate) fn read(path: &Path, options: &ReadOptions, extras: bool) -> Result<Document, FormatError> {
    let files = Files::find(path, options)?;
    let mut tables = OpenImagesTables {
        boxes: read_boxes(&files.boxes)?,
        image_labels: files.labels.as_deref().map_or_else(|| Ok(Vec::new()), read_image_labels)?,
        classes: files.classes.as_deref().map(read_classes).transpose()?,
    };
    // Machines only propose.
    tables.image_labels.retain(|label| label.confidence == 0.0 || label.confidence == 1.0);
    if options.labels != OpenImagesLabels::Plain {
        let missing = "there is no class tree (a name with `hierarchy`, ending in .json) beside it; expanded and leaf labels need it";
        let file =
            files.hierarchy.as_deref().ok_or_else(|| FormatError::unrecognised(&files.boxes, missing))?;
        tables = tables.with_labels(options.labels, &Hierarchy::read(file)?)?;
    }
    let images = images(&files, &tables.image_ids())?;
    tables.into_document(Some(path.to_owned()), images, extras).map_err(|reason| {
        FormatError::unrecognised(&files.boxes, format!("{reason} of {}", files.class_file()))
    })
}

impl Files {
    fn class_file(&self) -> String {
        self.classes.as_ref().map_or_else(|| "the set".into(), |path| path.display().to_string())
    }
}

/// Records of images, by ascending name.
fn images(files: &Files, names: &[Arc<str>]) -> Result<Vec<ImageRecord>, FormatError> {
    let mut paths: Vec<PathBuf> = Vec::with_capacity(names.len());
    let mut missing = Vec::new();
    for name in names {
        check_file_name(name).map_err(|reason| {
            FormatError::malformed(&files.boxes, None, format!("ImageID {name:?} {reason}"))
        })?;
        let candidates = files.images.iter().flat_map(|folder| {
            ["jpg", "png", "jpeg", "webp"].map(|ending| folder.join(format!("{name}.{ending}")))
        });
        match candidates.into_iter().find(|path| path.is_file()) {
            Some(path) => paths.push(path),
            None => missing.push(name),
        }
    }
    if let Some(first) = missing.first() {
        let reason = format!(
            "{} of {} images are not there, such as {first}.jpg; boxes are relative to their images: name their folder (--images)",
            missing.len(),
            names.len()
        );
        return Err(FormatError::unrecognised(&files.boxes, reason));
    }
    let sizes = image_sizes(&paths)?;
    let record = |(id, (path, [width, height])): (i64, (&PathBuf, [u32; 2]))| ImageRecord {
        id,
        file_name: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        width,
        height,
        neg_category_ids: Some(Vec::new()),
        not_exhaustive_category_ids: Some(Vec::new()),
    };
    Ok((1..).zip(paths.iter().zip(sizes)).map(record).collect())
}
