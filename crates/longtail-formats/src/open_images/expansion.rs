//! Expansion by the tree of classes, as the Open Images challenge does it before it evaluates: a box, or a label that says
//! present, holds for every ancestor; a label that says absent holds for every descendant.
//!
//! Nothing is merged: the boxes of a dog and a cat at one place become two boxes of an animal. Expanding twice repeats
//! copies, so expand what was published, once.

use std::{path::Path, sync::Arc};

use rustc_hash::FxHashSet;

use super::{
    boxes::OpenImagesBox,
    hierarchy::Hierarchy,
    labels::ImageLabel,
    table::{Table, csv_error, write_whole},
};
use crate::error::FormatError;

/// What a file's rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// Boxes.
    Boxes,
    /// Image-level labels.
    ImageLabels,
}

/// Outcome of [`expand_file`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpandedRows {
    /// What the file's rows are.
    pub kind: TableKind,
    /// Rows read.
    pub read: u64,
    /// Rows written.
    pub written: u64,
}

/// Boxes, each followed by its copies for every ancestor; all flags are kept.
///
/// # Errors
/// If the tree does not have a box's label.
pub fn expand_boxes(
    hierarchy: &Hierarchy,
    boxes: &[OpenImagesBox],
) -> Result<Vec<OpenImagesBox>, FormatError> {
    let mut expanded = Vec::with_capacity(boxes.len());
    for (index, row) in boxes.iter().enumerate() {
        let ancestors = hierarchy.ancestors(&row.label).ok_or_else(|| unknown("box", index, &row.label))?;
        expanded.push(row.clone());
        expanded.extend(ancestors.iter().map(|label| OpenImagesBox { label: label.clone(), ..row.clone() }));
    }
    Ok(expanded)
}

/// Whether boxes look expanded already: some label has ancestors, and every box is there for each of its ancestors too.
/// Expanding them again would count the copies several times.
pub fn is_expanded(hierarchy: &Hierarchy, boxes: &[OpenImagesBox]) -> bool {
    let key = |b: &OpenImagesBox, label: &Arc<str>| {
        let corners = [b.x_min, b.x_max, b.y_min, b.y_max].map(f64::to_bits);
        (b.image_id.clone(), label.clone(), corners)
    };
    // The first copy that should be there settles most tables.
    let first = boxes.iter().find_map(|b| Some((b, hierarchy.ancestors(&b.label)?.first()?)));
    let Some((first, above)) = first else { return false };
    let wanted = key(first, above);
    if !boxes.iter().any(|b| b.image_id == wanted.0 && key(b, &b.label) == wanted) {
        return false;
    }
    let there: FxHashSet<_> = boxes.iter().map(|b| key(b, &b.label)).collect();
    let mut copies = boxes
        .iter()
        .flat_map(|b| hierarchy.ancestors(&b.label).unwrap_or_default().iter().map(move |label| (b, label)));
    let mut any = false;
    let all = copies.all(|(b, label)| {
        any = true;
        there.contains(&key(b, label))
    });
    any && all
}

/// Image-level labels, each followed by its copies: for every ancestor with confidence 1, for every descendant with 0.
///
/// # Errors
/// If the tree does not have a label, or a confidence is neither 0 nor 1, as those of machines are.
pub fn expand_image_labels(
    hierarchy: &Hierarchy,
    labels: &[ImageLabel],
) -> Result<Vec<ImageLabel>, FormatError> {
    let mut expanded = Vec::with_capacity(labels.len());
    for (index, row) in labels.iter().enumerate() {
        let copies = copies(hierarchy, &row.label, row.confidence)
            .ok_or_else(|| machine("image label", index, row.confidence))?
            .ok_or_else(|| unknown("image label", index, &row.label))?;
        expanded.push(row.clone());
        expanded.extend(copies.iter().map(|label| ImageLabel { label: label.clone(), ..row.clone() }));
    }
    Ok(expanded)
}

/// Classes that a label is repeated for; `None` for a confidence without meaning, `Some(None)` for an unknown label.
fn copies<'a>(hierarchy: &'a Hierarchy, label: &str, confidence: f64) -> Option<Option<&'a [Arc<str>]>> {
    match confidence {
        1.0 => Some(hierarchy.ancestors(label)),
        0.0 => Some(hierarchy.descendants(label)),
        _ => None,
    }
}

const UNKNOWN: &str = "is not a class of the hierarchy; is it the tree of the same release?";
const MACHINE: &str = "expected 1 for present or 0 for absent; labels of machines cannot be expanded";

fn unknown(what: &str, index: usize, label: &str) -> FormatError {
    FormatError::Expansion {
        entry: format!("{what} {index} (counted from 0)"),
        reason: format!("`{label}` {UNKNOWN}"),
    }
}

fn machine(what: &str, index: usize, confidence: f64) -> FormatError {
    FormatError::Expansion {
        entry: format!("{what} {index} (counted from 0)"),
        reason: format!("confidence {confidence}: {MACHINE}"),
    }
}

/// Expands a boxes or image-level labels file into another, row by row, so that memory does not grow with it. All columns
/// are kept; a file with `XMin` has boxes. The output is written whole, or not at all. `progress` gets the bytes read.
///
/// # Errors
/// If a file cannot be read or written, the input lacks a column, or as [`expand_boxes`] and [`expand_image_labels`]; the
/// message has file and line.
pub fn expand_file(
    hierarchy: &Hierarchy,
    input: &Path,
    output: &Path,
    progress: &dyn Fn(u64),
) -> Result<ExpandedRows, FormatError> {
    let mut table = Table::open(input, true)?;
    table.column("ImageID")?;
    let column = table.column("LabelName")?;
    let place = table.header().iter().position(|name| name == b"LabelName");
    let kind = if table.optional("XMin").is_some() { TableKind::Boxes } else { TableKind::ImageLabels };
    let confidence = match kind {
        TableKind::Boxes => None,
        TableKind::ImageLabels => Some(table.column("Confidence")?),
    };
    write_whole(output, |file| {
        let mut writer = csv::Writer::from_writer(file);
        let mut rows = ExpandedRows { kind, read: 0, written: 0 };
        writer.write_byte_record(table.header()).map_err(csv_error(output))?;
        while table.next_row()? {
            let confidence = confidence.map_or(Ok(1.0), |column| table.number(column))?;
            let copies = copies(hierarchy, table.text(column)?, confidence)
                .ok_or_else(|| table.error(format!("`Confidence` is {confidence}, {MACHINE}")))?
                .ok_or_else(|| table.wrong(column, &format!("which {UNKNOWN}")))?;
            writer.write_byte_record(table.record()).map_err(csv_error(output))?;
            for label in copies {
                let copy = table
                    .record()
                    .iter()
                    .enumerate()
                    .map(|(at, field)| if Some(at) == place { label.as_bytes() } else { field });
                writer.write_record(copy).map_err(csv_error(output))?;
            }
            rows.read += 1;
            rows.written += 1 + copies.len() as u64;
            if rows.read.is_multiple_of(4096) {
                progress(table.bytes());
            }
        }
        writer.flush().map_err(FormatError::io("write", output))?;
        Ok(rows)
    })
}
