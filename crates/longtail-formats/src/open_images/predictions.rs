//! Predictions CSV, as the challenge's evaluator takes it. Files have millions of rows, so that they are mapped into memory
//! and read in parallel, and only what the caller makes of a row is kept.

use std::{fs::File, path::Path};

use rayon::prelude::*;

use super::table::{Column, Table};
use crate::error::FormatError;

/// Bytes that one task reads.
const RUN: usize = 1 << 20;

/// A row of a predictions file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction<'a> {
    /// `ImageID`.
    pub image_id: &'a str,
    /// `LabelName`.
    pub label: &'a str,
    /// `Score`: higher is more certain; finite, as are the coordinates.
    pub score: f64,
    /// `XMin`, share of the image's width.
    pub x_min: f64,
    /// `XMax`.
    pub x_max: f64,
    /// `YMin`, share of the image's height.
    pub y_min: f64,
    /// `YMax`.
    pub y_max: f64,
}

/// Reads a predictions file, which must have the columns of [`Prediction`]. Returns what `convert` makes of the rows, in file
/// order, and the number of rows; `None` leaves a row out, a text refuses it.
///
/// # Errors
/// If the file cannot be read, lacks a column or has a row of another length, a number that is none or not finite, or one
/// that `convert` refuses; the message has file and line. If memory runs out.
pub fn read_predictions<T: Send>(
    path: &Path,
    convert: impl Fn(&Prediction<'_>) -> Result<Option<T>, String> + Sync,
) -> Result<(Vec<T>, u64), FormatError> {
    let mut table = Table::open(path, true)?;
    let columns = [
        table.column("ImageID")?,
        table.column("LabelName")?,
        table.column("Score")?,
        table.column("XMin")?,
        table.column("XMax")?,
        table.column("YMin")?,
        table.column("YMax")?,
    ];
    let file = File::open(path).map_err(FormatError::io("read", path))?;
    // SAFETY: the map is read-only and dropped here; a file that shrinks meanwhile is the caller's to avoid.
    let bytes = unsafe { memmap2::Mmap::map(&file) }.map_err(FormatError::io("read", path))?;
    if let Some(found) = usual(&bytes, columns.map(Column::place), table.header().len(), &convert) {
        return Ok(found);
    }
    // The thorough reader has the last word, and knows the line.
    let (mut found, mut rows) = (Vec::new(), 0);
    while table.next_row()? {
        let number = |place: usize| table.number(columns[place]);
        let prediction = Prediction {
            image_id: table.text(columns[0])?,
            label: table.text(columns[1])?,
            score: number(2)?,
            x_min: number(3)?,
            x_max: number(4)?,
            y_min: number(5)?,
            y_max: number(6)?,
        };
        found.extend(convert(&prediction).map_err(|reason| table.error(reason))?);
        rows += 1;
    }
    Ok((found, rows))
}

/// Rows of a file without quotes and without anything wrong; `None` for all others.
fn usual<T: Send>(
    bytes: &[u8],
    places: [usize; 7],
    fields: usize,
    convert: &(impl Fn(&Prediction<'_>) -> Result<Option<T>, String> + Sync),
) -> Option<(Vec<T>, u64)> {
    let head = bytes.iter().position(|&b| b == b'\n')?;
    if !is_plain(bytes[..head].strip_suffix(b"\r").unwrap_or(&bytes[..head])) {
        return None;
    }
    let mut rest = &bytes[head + 1..];
    let (mut found, mut rows) = (Vec::new(), 0);
    while !rest.is_empty() {
        // As many runs at once as there are threads, so that little waits to be appended.
        let mut runs = Vec::new();
        while !rest.is_empty() && runs.len() < 2 * rayon::current_num_threads() {
            let end = rest[RUN.min(rest.len())..].iter().position(|&b| b == b'\n');
            let (run, after) = rest.split_at(end.map_or(rest.len(), |end| RUN + end + 1));
            runs.push(run);
            rest = after;
        }
        let parsed: Vec<Option<(Vec<T>, u64)>> =
            runs.into_par_iter().map(|run| parse(run, places, fields, convert)).collect();
        for run in parsed {
            let (part, count) = run?;
            found.try_reserve(part.len()).ok()?;
            found.extend(part);
            rows += count;
        }
    }
    Some((found, rows))
}

/// Whether text has neither quotes nor single carriage returns, which end a row too.
fn is_plain(line: &[u8]) -> bool {
    !line.contains(&b'"') && !line.contains(&b'\r')
}

/// Whole lines.
fn parse<T>(
    run: &[u8],
    places: [usize; 7],
    fields: usize,
    convert: &impl Fn(&Prediction<'_>) -> Result<Option<T>, String>,
) -> Option<(Vec<T>, u64)> {
    let (mut found, mut rows) = (Vec::new(), 0);
    let mut values: Vec<&str> = Vec::with_capacity(fields);
    for line in run.split(|&b| b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.trim_ascii().is_empty() {
            continue;
        }
        if !is_plain(line) {
            return None;
        }
        values.clear();
        values.extend(std::str::from_utf8(line).ok()?.split(','));
        if values.len() != fields {
            return None;
        }
        let text = |place: usize| Some(values[places[place]].trim()).filter(|text| !text.is_empty());
        let number = |place: usize| text(place)?.parse().ok().filter(|value: &f64| value.is_finite());
        let prediction = Prediction {
            image_id: text(0)?,
            label: text(1)?,
            score: number(2)?,
            x_min: number(3)?,
            x_max: number(4)?,
            y_min: number(5)?,
            y_max: number(6)?,
        };
        found.extend(convert(&prediction).ok()?);
        rows += 1;
    }
    Some((found, rows))
}
