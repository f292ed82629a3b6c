//! Classes: `class-descriptions*.csv` (label and readable name, ids by row from 1) or a `labelmap.pbtxt` with ids.

use std::{io::Write, path::Path};

use rustc_hash::FxHashSet;

use super::{
    labelmap,
    table::{Table, write_rows, write_whole},
};
use crate::error::FormatError;

/// A class of Open Images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenImagesClass {
    /// From 1.
    pub id: i64,
    /// `LabelName`, such as `/m/01yrx`.
    pub label: String,
    /// Readable name, such as `Cat`.
    pub name: String,
}

/// Reads classes: a label map if the file's name ends in `.pbtxt`, else class descriptions, whose first row may name the
/// columns.
///
/// # Errors
/// If the file cannot be read, is no such file, has no class, an id below 1, or repeats an id or a label; the message has
/// file and line.
pub fn read_classes(path: &Path) -> Result<Vec<OpenImagesClass>, FormatError> {
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("pbtxt")) {
        let bytes = std::fs::read(path).map_err(FormatError::io("read", path))?;
        let classes = labelmap::parse(&bytes).map_err(|(line, reason)| FormatError::Table {
            path: path.to_owned(),
            line,
            reason,
        })?;
        return Ok(classes);
    }
    let mut table = Table::open(path, false)?;
    let (mut classes, mut seen) = (Vec::new(), FxHashSet::default());
    let mut first = true;
    while table.next_row()? {
        if table.fields() != 2 {
            return Err(table.error(format!("{} fields, expected a label and a name", table.fields())));
        }
        let (label, name) = (table.at(0, "LabelName")?, table.at(1, "DisplayName")?);
        let header = std::mem::take(&mut first) && label == "LabelName";
        if header {
            continue;
        }
        if !seen.insert(label.to_owned()) {
            return Err(table.error(format!("label `{label}` is repeated; give every class its own")));
        }
        let id = classes.len() as i64 + 1;
        classes.push(OpenImagesClass { id, label: label.to_owned(), name: name.to_owned() });
    }
    if classes.is_empty() {
        return Err(table.error("no class; expected rows such as `/m/01yrx,Cat`".into()));
    }
    Ok(classes)
}

/// Writes class descriptions, without column names as of old: whole, or not at all. Ids are not in it but for the order.
///
/// # Errors
/// If the file cannot be written.
pub fn write_class_descriptions(path: &Path, classes: &[OpenImagesClass]) -> Result<(), FormatError> {
    write_rows(path, classes.iter().map(|class| vec![class.label.clone(), class.name.clone()]))
}

/// Writes a label map: whole, or not at all.
///
/// # Errors
/// If the file cannot be written.
pub fn write_labelmap(path: &Path, classes: &[OpenImagesClass]) -> Result<(), FormatError> {
    write_whole(path, |file| {
        file.write_all(labelmap::format(classes).as_bytes()).map_err(FormatError::io("write", path))
    })
}
