//! Detections: one as files have it, and many as an evaluation holds them.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{BufWriter, Write},
    ops::Range,
    path::{Path, PathBuf},
    process,
};

use serde::{Deserialize, Serialize};

use crate::{
    error::EvalError,
    ground_truth::{GroundTruth, check_box, first_few},
};

/// A detection, as in COCO's results format.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// The ground truth's image id.
    pub image_id: i64,
    /// The ground truth's category id.
    pub category_id: i64,
    /// x, y, width, height in pixels of the original image.
    pub bbox: [f64; 4],
    /// Higher is more certain.
    pub score: f64,
}

/// A detection by places instead of ids: 48 bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Row {
    /// x, y, width, height.
    pub bbox: [f64; 4],
    pub score: f64,
    /// Place of the image.
    pub image: u32,
    /// Place of the class, or [`crate::ground_truth::UNKNOWN`].
    pub class: u32,
}

/// Detections of some ground truth's images, in the order in which they came: 48 bytes each.
///
/// They can be added batch by batch, during training too; files are read by
/// [`Detections::read`](crate::Detections::read).
#[derive(Debug)]
pub struct Detections<'a> {
    pub(crate) truth: &'a GroundTruth,
    pub(crate) rows: Vec<Row>,
    /// Images to keep; detections of others are checked and dropped.
    pub(crate) images: Range<u32>,
    pub(crate) seen: u64,
}

/// A part of the images, for evaluations that are split over machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

impl Shard {
    /// Everything.
    pub const WHOLE: Self = Self { number: 1, of: 1 };

    /// Its images among `count`, by ascending id.
    pub(crate) fn images(self, count: usize) -> Range<u32> {
        let bound = |n: usize| (count as u64 * n as u64 / self.of as u64) as u32;
        bound(self.number - 1)..bound(self.number)
    }
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match numbers {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err(format!("`{text}` is no shard; give number/count, such as 1/4 to 4/4")),
        }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl<'a> Detections<'a> {
    /// None yet.
    pub fn new(truth: &'a GroundTruth, shard: Shard) -> Self {
        let images = shard.images(truth.images());
        Self { truth, rows: Vec::new(), images, seen: 0 }
    }

    /// Adds a batch.
    ///
    /// # Errors
    /// If a detection is of an unknown image, is not finite or has a negative size; its place counts from the first
    /// batch on. The batch is then not added.
    pub fn extend(&mut self, batch: &[Detection]) -> Result<(), EvalError> {
        let row = |(index, detection): (usize, &Detection)| {
            let fail = |reason: String| EvalError::Detection { index: self.seen as usize + index, reason };
            row(self.truth, detection).map_err(|problem| {
                fail(problem.reason(self.truth, batch[index..].iter().map(|d| d.image_id)))
            })
        };
        let rows: Vec<Row> = batch.iter().enumerate().map(row).collect::<Result<_, _>>()?;
        self.push(&rows);
        Ok(())
    }

    /// Adds checked rows.
    pub(crate) fn push(&mut self, rows: &[Row]) {
        if self.images.len() == self.truth.images() {
            self.rows.extend_from_slice(rows);
        } else {
            self.rows.extend(rows.iter().filter(|row| self.images.contains(&row.image)));
        }
        self.seen += rows.len() as u64;
    }

    /// Number of detections kept.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Rows by image: where each image's start in the list of rows, and the list; within an image in input order.
    pub(crate) fn by_image(&self) -> (Vec<u32>, Vec<u32>) {
        counting_sort(self.rows.iter().map(|row| row.image), self.truth.images())
    }
}

/// Places of keys below `count`, sorted by key, equal ones in order: where each key starts (and the end), and the list.
pub(crate) fn counting_sort(
    keys: impl ExactSizeIterator<Item = u32> + Clone,
    count: usize,
) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0u32; count + 1];
    for key in keys.clone() {
        starts[key as usize + 1] += 1;
    }
    for key in 0..count {
        starts[key + 1] += starts[key];
    }
    let mut next = starts.clone();
    let mut places = vec![0u32; keys.len()];
    for (key, place) in keys.zip(0..) {
        let slot = &mut next[key as usize];
        places[*slot as usize] = place;
        *slot += 1;
    }
    (starts, places)
}

/// Why a detection cannot be scored.
pub(crate) enum Problem {
    /// A number, with the message.
    Number(String),
    UnknownImage,
}

impl Problem {
    /// The message; `image_ids` are those of this detection and the following.
    pub fn reason(self, truth: &GroundTruth, image_ids: impl Iterator<Item = i64>) -> String {
        match self {
            Self::Number(reason) => reason,
            Self::UnknownImage => format!(
                "`image_id` {} is no image of {}; were detections and ground truth made from the same set?",
                first_few(image_ids.filter(|&id| truth.image(id).is_none())),
                truth.label
            ),
        }
    }
}

/// Checks a detection and finds its places.
pub(crate) fn row(truth: &GroundTruth, detection: &Detection) -> Result<Row, Problem> {
    check_numbers(detection).map_err(Problem::Number)?;
    let image = truth.image(detection.image_id).ok_or(Problem::UnknownImage)?;
    let class = truth.class(detection.category_id);
    Ok(Row { bbox: detection.bbox, score: detection.score, image, class })
}

/// Refuses a detection whose numbers mean nothing.
pub(crate) fn check_numbers(detection: &Detection) -> Result<(), String> {
    check_box(&detection.bbox)?;
    if !detection.score.is_finite() {
        return Err(format!("`score` is {}, expected a finite number", detection.score));
    }
    Ok(())
}

/// Writes detections as a JSON list: whole, or not at all.
///
/// # Errors
/// If the file cannot be written, or a detection has no place in JSON (NaN, infinity) or a negative size.
pub fn write_detections(path: &Path, detections: &[Detection]) -> Result<(), EvalError> {
    // serde_json writes NaN as null, which no evaluator reads back.
    for (index, detection) in detections.iter().enumerate() {
        check_numbers(detection).map_err(|reason| EvalError::Detection { index, reason })?;
    }
    write_whole(path, |writer| Ok(serde_json::to_writer(writer, detections)?))
}

/// Writes a file beside its place and moves it there when it is complete.
pub(crate) fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<(), EvalError> {
    let partial = partial_path(path);
    let written = File::create(&partial)
        .and_then(|file| {
            let mut writer = BufWriter::new(file);
            write(&mut writer)?;
            writer.flush()?;
            writer.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
        })
        .and_then(|()| fs::rename(&partial, path));
    written.map_err(|source| {
        // The message is about the write that failed; a leftover that cannot be removed changes nothing.
        let _ = fs::remove_file(&partial);
        EvalError::Io { action: "write", path: path.to_owned(), source }
    })
}

/// Where a file is written before it is complete: beside it, since a rename cannot cross file systems, and under a
/// name that neither another file of the folder nor another process writes to.
fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(format!(".{}.partial", process::id()));
    path.with_file_name(name)
}
