//! Image-level labels CSV: classes that were verified present (confidence 1) or absent (0) in an image, or that a machine
//! proposed (in between).

use std::{path::Path, sync::Arc};

use super::table::{Names, Table, write_rows};
use crate::error::FormatError;

/// A row of an image-level labels file.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageLabel {
    /// `ImageID`.
    pub image_id: Arc<str>,
    /// `LabelName`, such as `/m/01yrx`.
    pub label: Arc<str>,
    /// `Source`: who said so, such as `verification` or `machine`.
    pub source: Option<Arc<str>>,
    /// `Confidence`, in `0..=1`: 1 present, 0 absent; machines' labels lie between.
    pub confidence: f64,
}

/// Reads an image-level labels file. It must have `ImageID`, `LabelName` and `Confidence`; `Source` is read where it is
/// there, other columns are skipped.
///
/// # Errors
/// If the file cannot be read, lacks a column or has a row of another length or a confidence outside of `0..=1`; the message
/// has file and line.
pub fn read_image_labels(path: &Path) -> Result<Vec<ImageLabel>, FormatError> {
    let mut table = Table::open(path, true)?;
    let (image, label) = (table.column("ImageID")?, table.column("LabelName")?);
    let (confidence, source) = (table.column("Confidence")?, table.optional("Source"));
    let (mut names, mut rows) = (Names::default(), Vec::new());
    while table.next_row()? {
        let value = table.number(confidence)?;
        if !(0.0..=1.0).contains(&value) {
            return Err(table.wrong(confidence, "expected 1 for present, 0 for absent, or a share between"));
        }
        let source = source.map(|column| table.optional_text(column)).transpose()?.flatten();
        rows.push(ImageLabel {
            image_id: names.share(table.text(image)?),
            label: names.share(table.text(label)?),
            source: source.map(|source| names.share(source)),
            confidence: value,
        });
    }
    Ok(rows)
}

/// Writes an image-level labels file: whole, or not at all. `Source` is left out where no label has it.
///
/// # Errors
/// If the file cannot be written.
pub fn write_image_labels(path: &Path, labels: &[ImageLabel]) -> Result<(), FormatError> {
    let with_source = labels.iter().any(|label| label.source.is_some());
    let line = |image: &str, source: &str, label: &str, confidence: String| {
        let mut line = vec![image.to_owned()];
        line.extend(with_source.then(|| source.to_owned()));
        line.extend([label.to_owned(), confidence]);
        line
    };
    let header = line("ImageID", "Source", "LabelName", "Confidence".into());
    let row = |l: &ImageLabel| {
        line(&l.image_id, l.source.as_deref().unwrap_or(""), &l.label, l.confidence.to_string())
    };
    write_rows(path, std::iter::once(header).chain(labels.iter().map(row)))
}
