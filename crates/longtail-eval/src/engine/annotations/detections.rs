//! Detections of a ground truth's images, as an evaluation holds them.

use std::ops::Range;

use super::{
    ground_truth::{GroundTruth, NOT_CHOSEN},
    mask_rows::{AreaSource, MaskRow},
    masks::Mask,
};
use crate::{
    checks::first_few,
    detection::{Detection, MaskDetection, check_numbers},
    error::EvalError,
    order::counting_sort,
};

/// A detection by indices instead of ids: 48 bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Row {
    /// x, y, width, height.
    pub bbox: [f64; 4],
    pub score: f64,
    /// Index of the image, or [`NOT_CHOSEN`].
    pub image: u32,
    /// Index of the class, [`NOT_CHOSEN`] or [`UNKNOWN`](super::ground_truth::UNKNOWN).
    pub class: u32,
}

/// Rows with their masks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub rows: &'a [Row],
    /// One a row; empty where boxes are scored.
    pub masks: &'a [Mask],
    pub areas: AreaSource,
}

impl Rows<'_> {
    /// Area of a detection in pixels²; of its box, or of its mask.
    pub(crate) fn area(&self, index: usize) -> f64 {
        match self.masks.get(index) {
            Some(mask) if !self.areas.boxes() => mask.area(),
            _ => self.rows[index].bbox[2] * self.rows[index].bbox[3],
        }
    }
}

/// Detections of some ground truth's images, in the order in which they came: 48 bytes each, and their masks
/// as compressed text.
///
/// They can be added batch by batch, during training too; files are read by
/// [`Detections::read`](crate::Detections::read).
#[derive(Debug)]
pub struct Detections<'a> {
    pub(crate) truth: &'a GroundTruth,
    pub(crate) rows: Vec<Row>,
    pub(crate) masks: Vec<Mask>,
    pub(crate) areas: AreaSource,
    /// Images to keep; detections of others are checked and dropped.
    pub(crate) images: Range<u32>,
    pub(crate) seen: u64,
    /// Of images that were not chosen; of all shards the first counts them.
    pub(crate) not_chosen: u64,
    counts_others: bool,
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
            _ => Err(format!("`{text}` is not a shard; give number/count, such as 1/4 to 4/4")),
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
        let counts_others = shard.number == 1;
        let (rows, masks, areas) = (Vec::new(), Vec::new(), AreaSource::default());
        Self { truth, rows, masks, areas, images, seen: 0, not_chosen: 0, counts_others }
    }

    /// Adds a batch.
    ///
    /// # Errors
    /// If a detection is of an unknown image, is not finite or has a negative size, or masks are scored; its
    /// index counts from the first batch on. The batch is then not added.
    pub fn extend(&mut self, batch: &[Detection]) -> Result<(), EvalError> {
        if self.truth.masks.is_some() && !batch.is_empty() {
            let reason =
                "`segmentation` is missing, and masks are scored; add masks with extend_masks".into();
            return Err(EvalError::Detection { index: self.seen as usize, reason });
        }
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

    /// Adds a batch of detections with masks.
    ///
    /// # Errors
    /// As [`Self::extend`]; if a mask is missing, is none or not of its image's size; if the first detection
    /// has a box and another has not; if boxes are scored.
    pub fn extend_masks(&mut self, batch: &[MaskDetection]) -> Result<(), EvalError> {
        let fail =
            |index: usize, reason: String| EvalError::Detection { index: self.seen as usize + index, reason };
        if self.truth.masks.is_none() && !batch.is_empty() {
            return Err(fail(0, "it has a mask, and boxes are scored; add boxes with extend".into()));
        }
        let row = |(index, detection): (usize, &MaskDetection)| {
            MaskRow::of(self.truth, detection).map_err(|problem| {
                fail(index, problem.reason(self.truth, batch[index..].iter().map(|d| d.image_id)))
            })
        };
        let mut rows: Vec<MaskRow> = batch.iter().enumerate().map(row).collect::<Result<_, _>>()?;
        let mut areas = self.areas;
        areas.add(rows.iter().map(|row| row.boxed)).map_err(|index| {
            let rule = "and areas are those of boxes where the first detection has one";
            fail(index, format!("`bbox` is missing, {rule}; give every detection a box, or none"))
        })?;
        self.areas = areas;
        self.push_masks(&mut rows);
        Ok(())
    }

    /// Adds checked rows, and takes their masks.
    pub(crate) fn push_masks(&mut self, rows: &mut Vec<MaskRow>) {
        self.seen += rows.len() as u64;
        for MaskRow { row, mask, .. } in rows.drain(..) {
            match mask {
                Some(mask) if self.images.contains(&row.image) => {
                    self.rows.push(row);
                    self.masks.push(mask);
                }
                None if self.counts_others => self.not_chosen += 1,
                _ => {}
            }
        }
    }

    /// Everything that was kept.
    pub(crate) fn all(&self) -> Rows<'_> {
        Rows { rows: &self.rows, masks: &self.masks, areas: self.areas }
    }

    /// Adds checked rows.
    pub(crate) fn push(&mut self, rows: &[Row]) {
        if self.images.len() == self.truth.images() && !self.truth.has_other_images() {
            self.rows.extend_from_slice(rows);
        } else {
            self.rows.extend(rows.iter().filter(|row| self.images.contains(&row.image)));
            if self.counts_others {
                self.not_chosen += rows.iter().filter(|row| row.image == NOT_CHOSEN).count() as u64;
            }
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

    /// Rows by image: where each image's start in the list of rows, and the list; within an image in input
    /// order.
    pub(crate) fn by_image(&self) -> (Vec<u32>, Vec<u32>) {
        counting_sort(self.rows.iter().map(|row| row.image), self.truth.images())
    }
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
                "`image_id` {} is not an image of {}; were detections and ground truth made from the same set?",
                first_few(image_ids.filter(|&id| truth.image(id).is_none())),
                truth.label
            ),
        }
    }
}

/// Checks a detection and finds its indices.
pub(crate) fn row(truth: &GroundTruth, detection: &Detection) -> Result<Row, Problem> {
    check_numbers(detection).map_err(Problem::Number)?;
    let image = truth.image(detection.image_id).ok_or(Problem::UnknownImage)?;
    let class = truth.classes.index(detection.category_id);
    Ok(Row { bbox: detection.bbox, score: detection.score, image, class })
}
