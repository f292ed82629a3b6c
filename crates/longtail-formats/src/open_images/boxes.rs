//! Boxes CSV, as published (`train-annotations-bbox.csv`, …) and as of the challenges, which have fewer columns.

use std::{path::Path, sync::Arc};

use super::table::{Names, Table, write_rows};
use crate::{error::FormatError, formats::is_predictions_table};
use longtail_annotations::ImageRecord;

/// A row of a boxes file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OpenImagesBox {
    /// `ImageID`.
    pub image_id: Arc<str>,
    /// `LabelName`, such as `/m/01yrx`.
    pub label: Arc<str>,
    /// `Source`: how the box was made, such as `xclick` or `activemil`.
    pub source: Option<Arc<str>>,
    /// `Confidence`; 1 in published files.
    pub confidence: Option<f64>,
    /// `XMin`, share of the image's width; the coordinates are finite, and otherwise as given.
    pub x_min: f64,
    /// `XMax`.
    pub x_max: f64,
    /// `YMin`, share of the image's height.
    pub y_min: f64,
    /// `YMax`.
    pub y_max: f64,
    /// `IsOccluded`; flags are `None` where the file lacks them or says -1, unknown.
    pub is_occluded: Option<bool>,
    /// `IsTruncated`: reaches beyond the image.
    pub is_truncated: Option<bool>,
    /// `IsGroupOf`: one box around five or more objects that touch.
    pub is_group_of: Option<bool>,
    /// `IsDepiction`: drawn or sculpted, no real object.
    pub is_depiction: Option<bool>,
    /// `IsInside`: seen from inside, such as a car from its seat.
    pub is_inside: Option<bool>,
}

impl OpenImagesBox {
    /// A box of which nothing else is known, by x min, x max, y min and y max as shares of the image's sides.
    pub fn new(
        image_id: Arc<str>,
        label: Arc<str>,
        [x_min, x_max, y_min, y_max]: [f64; 4],
        is_group_of: bool,
    ) -> Self {
        Self {
            image_id,
            label,
            x_min,
            x_max,
            y_min,
            y_max,
            is_group_of: Some(is_group_of),
            ..Self::default()
        }
    }
}

/// `ImageID` of an image: its name without folder and ending.
pub fn image_id(image: &ImageRecord) -> &str {
    let name = image.file_name.rsplit('/').next().unwrap_or(&image.file_name);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// x min, x max, y min and y max as shares of the image's sides, of x, y, width and height in pixels.
pub fn relative_corners([x, y, w, h]: [f64; 4], [width, height]: [f64; 2]) -> [f64; 4] {
    [x / width, (x + w) / width, y / height, (y + h) / height]
}

/// Names of the flags, in the published order.
const FLAGS: [&str; 5] = ["IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside"];

/// Reads a boxes file. It must have `ImageID`, `LabelName`, `XMin`, `XMax`, `YMin` and `YMax`; other columns than those of
/// [`OpenImagesBox`] are skipped.
///
/// # Errors
/// If the file cannot be read, lacks a column or has a row of another length or a field that is no such value; the message
/// has file and line.
pub fn read_boxes(path: &Path) -> Result<Vec<OpenImagesBox>, FormatError> {
    let mut table = Table::open(path, true)?;
    if let (Some(_), Some(reason)) = (table.optional("Score"), is_predictions_table(path)) {
        return Err(FormatError::unrecognised(path, reason));
    }
    let (image, label) = (table.column("ImageID")?, table.column("LabelName")?);
    let corners =
        [table.column("XMin")?, table.column("XMax")?, table.column("YMin")?, table.column("YMax")?];
    let (source, confidence) = (table.optional("Source"), table.optional("Confidence"));
    let flags = FLAGS.map(|name| table.optional(name));
    let (mut names, mut rows) = (Names::default(), Vec::new());
    while table.next_row()? {
        let flag = |place: usize| flags[place].map_or(Ok(None), |column| table.flag(column));
        let source = source.map(|column| table.optional_text(column)).transpose()?.flatten();
        rows.push(OpenImagesBox {
            image_id: names.share(table.text(image)?),
            label: names.share(table.text(label)?),
            source: source.map(|source| names.share(source)),
            confidence: confidence.map(|column| table.number(column)).transpose()?,
            x_min: table.number(corners[0])?,
            x_max: table.number(corners[1])?,
            y_min: table.number(corners[2])?,
            y_max: table.number(corners[3])?,
            is_occluded: flag(0)?,
            is_truncated: flag(1)?,
            is_group_of: flag(2)?,
            is_depiction: flag(3)?,
            is_inside: flag(4)?,
        });
    }
    Ok(rows)
}

/// Writes a boxes file with the published columns: whole, or not at all. `Source` and `Confidence` are left out where no
/// box has them; unknown flags are -1.
///
/// # Errors
/// If the file cannot be written.
pub fn write_boxes(path: &Path, boxes: &[OpenImagesBox]) -> Result<(), FormatError> {
    let with_source = boxes.iter().any(|b| b.source.is_some());
    let with_confidence = boxes.iter().any(|b| b.confidence.is_some());
    let line = |image: &str, source: &str, label: &str, confidence: String, rest: [String; 9]| {
        let mut line = vec![image.to_owned()];
        line.extend(with_source.then(|| source.to_owned()));
        line.push(label.to_owned());
        line.extend(with_confidence.then_some(confidence));
        line.extend(rest);
        line
    };
    let rest = ["XMin", "XMax", "YMin", "YMax"].into_iter().chain(FLAGS).map(str::to_owned);
    let rest: Vec<String> = rest.collect();
    let rest = std::array::from_fn(|place| rest[place].clone());
    let header = line("ImageID", "Source", "LabelName", "Confidence".into(), rest);
    let row = |b: &OpenImagesBox| {
        let flag = |flag: Option<bool>| flag.map_or(-1, i8::from).to_string();
        let rest = [
            b.x_min.to_string(),
            b.x_max.to_string(),
            b.y_min.to_string(),
            b.y_max.to_string(),
            flag(b.is_occluded),
            flag(b.is_truncated),
            flag(b.is_group_of),
            flag(b.is_depiction),
            flag(b.is_inside),
        ];
        let confidence = b.confidence.unwrap_or(1.0).to_string();
        line(&b.image_id, b.source.as_deref().unwrap_or(""), &b.label, confidence, rest)
    };
    write_rows(path, std::iter::once(header).chain(boxes.iter().map(row)))
}
