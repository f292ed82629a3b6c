//! Detections matched while their file is read. Files list the detections of an image one after the other, so
//! that an image is matched, and its detections forgotten, as soon as the next one begins. Others are read
//! whole.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rayon::prelude::*;

use super::{
    detections::{Detections, Row, Rows, Shard, row},
    evaluation::Evaluation,
    ground_truth::{Federated, GroundTruth, NOT_CHOSEN},
    mask_rows::{AreaSource, MaskRow},
    masks::Mask,
    matches::Matches,
    settings::{Plan, Settings},
    task::Task,
};
use crate::{
    error::EvalError,
    reading::{Unusual, stream, stream_masks, thorough, thorough_masks},
};

/// Detections that wait for more before their images are matched: enough work for every thread.
const WAITING: usize = 1 << 16;
/// The same with masks, which take ten times as much memory and time.
const WAITING_MASKS: usize = 1 << 13;
/// Images of a task.
const IMAGES: usize = 64;
/// The same with masks.
const IMAGES_WITH_MASKS: usize = 8;
/// Least bytes of an entry; a bound for the memory to ask for.
const LEAST_ENTRY: u64 = 56;

impl Detections<'_> {
    /// Adds the detections of a file; fields besides those of [`Detection`](crate::Detection), or of
    /// [`MaskDetection`](crate::MaskDetection) where masks are scored, are ignored.
    ///
    /// # Errors
    /// If the file cannot be read or is no such list, the message names entry and field, or has line and
    /// column; if a detection is of an unknown image, is not finite or has a negative size; if memory runs
    /// out. Nothing is added then.
    pub fn read(&mut self, path: &Path) -> Result<(), EvalError> {
        if self.truth.masks.is_some() {
            return self.read_masks(path);
        }
        let (rows, seen) = (self.rows.len(), self.seen);
        if self.images.len() == self.truth.images() {
            let bytes = path.metadata().map_or(0, |m| m.len());
            // Pages that are never touched cost nothing.
            self.rows.try_reserve((bytes / LEAST_ENTRY) as usize).map_err(|_| EvalError::TooLarge {
                path: path.to_owned(),
                bytes: bytes / LEAST_ENTRY * 48,
            })?;
        }
        let truth = self.truth;
        let fast = stream(
            path,
            |detection| row(truth, detection).ok(),
            |rows| {
                self.push(rows);
                Ok(())
            },
        );
        if !matches!(fast, Ok(Ok(()))) {
            self.rows.truncate(rows);
            self.seen = seen;
        }
        if fast?.is_err() {
            let batch = thorough(path)?;
            self.extend(&batch)?;
        }
        Ok(())
    }

    fn read_masks(&mut self, path: &Path) -> Result<(), EvalError> {
        let (truth, before) = (self.truth, (self.rows.len(), self.seen, self.not_chosen, self.areas));
        let add = |rows: &mut Vec<MaskRow>| {
            self.areas.add(rows.iter().map(|row| row.boxed)).map_err(|_| Unusual)?;
            self.push_masks(rows);
            Ok(())
        };
        let fast = stream_masks(path, |entry| MaskRow::of_entry(truth, entry), add);
        if !matches!(fast, Ok(Ok(()))) {
            self.rows.truncate(before.0);
            self.masks.truncate(before.0);
            (self.seen, self.not_chosen, self.areas) = (before.1, before.2, before.3);
        }
        if fast?.is_err() {
            self.extend_masks(&thorough_masks(path)?)?;
        }
        Ok(())
    }
}

impl Evaluation {
    /// Matches the detections of a file, as [`Detections::read`](crate::Detections::read) and
    /// [`Evaluation::new`] do, to the same bits; where the file has its detections image by image, without
    /// holding all of them.
    ///
    /// # Errors
    /// As these.
    pub fn read(truth: &GroundTruth, path: &Path, settings: &Settings) -> Result<Self, EvalError> {
        let plan = settings.plan()?;
        plan.check(truth)?;
        // The best detections of a class are known at the end only.
        if plan.per_class.is_none() {
            let federated = plan.federated.then(|| truth.federated()).transpose()?;
            let mut images = Images::new(truth, &plan, federated);
            let read = match truth.masks {
                None => stream(path, |d| row(truth, d).ok(), |rows: &[Row]| images.add(rows))?,
                Some(_) => stream_masks(
                    path,
                    |entry| MaskRow::of_entry(truth, entry),
                    |rows| images.add_masks(rows),
                )?,
            };
            if read.is_ok()
                && let Ok(matches) = images.finish()
            {
                return Ok(Self::of(truth, settings, plan, matches));
            }
        }
        let mut all = Detections::new(truth, Shard::WHOLE);
        all.read(path)?;
        Self::new(&all, settings)
    }
}

/// Images matched so far.
struct Images<'a> {
    truth: &'a GroundTruth,
    plan: &'a Plan,
    federated: Option<&'a Federated>,
    /// Detections of images that are not matched yet; of the last image there may be more to come.
    waiting: Vec<Row>,
    /// Their masks, where masks are scored.
    masks: Vec<Mask>,
    areas: AreaSource,
    /// By index of the image.
    matched: Vec<bool>,
    matches: Matches,
    matching: Duration,
}

impl<'a> Images<'a> {
    fn new(truth: &'a GroundTruth, plan: &'a Plan, federated: Option<&'a Federated>) -> Self {
        Self {
            truth,
            plan,
            federated,
            waiting: Vec::with_capacity(2 * WAITING),
            masks: Vec::new(),
            areas: AreaSource::default(),
            matched: vec![false; truth.images()],
            matches: Matches::default(),
            matching: Duration::ZERO,
        }
    }

    /// Refuses detections of an image that others have followed.
    fn add(&mut self, rows: &[Row]) -> Result<(), Unusual> {
        if self.truth.has_other_images() {
            self.waiting.extend(rows.iter().filter(|row| row.image != NOT_CHOSEN));
            let others = rows.iter().filter(|row| row.image == NOT_CHOSEN).count() as u64;
            self.matches.counts.read += others;
            self.matches.counts.not_chosen += others;
        } else {
            self.waiting.extend_from_slice(rows);
        }
        self.match_complete()
    }

    /// The same with masks.
    fn add_masks(&mut self, rows: &mut Vec<MaskRow>) -> Result<(), Unusual> {
        self.areas.add(rows.iter().map(|row| row.boxed)).map_err(|_| Unusual)?;
        for MaskRow { row, mask, .. } in rows.drain(..) {
            match mask {
                Some(mask) => {
                    self.waiting.push(row);
                    self.masks.push(mask);
                }
                None => {
                    self.matches.counts.read += 1;
                    self.matches.counts.not_chosen += 1;
                }
            }
        }
        self.match_complete()
    }

    /// Matches what waits but for the last image, of which there may be more to come, once it is much.
    fn match_complete(&mut self) -> Result<(), Unusual> {
        let enough = if self.truth.masks.is_some() { WAITING_MASKS } else { WAITING };
        if self.waiting.len() < enough {
            return Ok(());
        }
        let last = self.waiting.last().map(|row| row.image);
        let complete =
            self.waiting.iter().rposition(|row| Some(row.image) != last).map_or(0, |index| index + 1);
        self.match_first(complete)
    }

    /// Matches the images of the first `count` waiting detections.
    fn match_first(&mut self, count: usize) -> Result<(), Unusual> {
        let start = Instant::now();
        let mut images: Vec<Rows<'_>> = Vec::new();
        let mut first = 0;
        for rows in self.waiting[..count].chunk_by(|a, b| a.image == b.image) {
            if std::mem::replace(&mut self.matched[rows[0].image as usize], true) {
                return Err(Unusual);
            }
            let masks = self.masks.get(first..first + rows.len()).unwrap_or_default();
            images.push(Rows { rows, masks, areas: self.areas });
            first += rows.len();
        }
        let (truth, plan, federated) = (self.truth, self.plan, self.federated);
        let tasks: Vec<Task<'_>> = images
            .par_chunks(if truth.masks.is_some() { IMAGES_WITH_MASKS } else { IMAGES })
            .map(|images| {
                let most = images.iter().map(|all| all.rows.len()).sum();
                let mut task = Task::new(truth, plan, most);
                let mut indices = Vec::new();
                for all in images {
                    indices.clear();
                    indices.extend(0..all.rows.len() as u32);
                    task.match_image(*all, all.rows[0].image, &indices, None, federated);
                }
                // As long as it must be: a task asks for as much as all detections would need.
                task.found = task.found.compact();
                task
            })
            .collect();
        tasks.into_iter().for_each(|task| self.matches.add(task));
        self.waiting.drain(..count);
        self.masks.drain(..count.min(self.masks.len()));
        self.matching += start.elapsed();
        Ok(())
    }

    /// All outcomes in their order.
    fn finish(mut self) -> Result<Matches, Unusual> {
        self.match_first(self.waiting.len())?;
        // Images without detections have boxes that count.
        let mut task = Task::new(self.truth, self.plan, 0);
        for (image, _) in (0u32..).zip(&self.matched).filter(|(_, matched)| !**matched) {
            let none = Rows { rows: &[], masks: &[], areas: self.areas };
            task.match_image(none, image, &[], None, self.federated);
        }
        self.matches.add(task);
        self.matches.sort(self.plan);
        self.matches.matching = self.matching;
        Ok(self.matches)
    }
}
