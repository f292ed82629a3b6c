//! Detections matched while their file is read. Files list the detections of an image one after the other, so that an image
//! is matched, and its detections forgotten, as soon as the next one begins. Others are read whole.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rayon::prelude::*;

use crate::{
    detection::{Detections, Row, Shard, row},
    error::EvalError,
    evaluation::Evaluation,
    ground_truth::{Federated, GroundTruth},
    matches::{Countable, Matched, Matches, Selection, Task},
    protocol::Settings,
    reading::{Unusual, stream},
};

/// Detections that wait for more before their images are matched: enough work for every thread.
const WAITING: usize = 1 << 16;
/// Images of a task.
const IMAGES: usize = 64;

impl Evaluation {
    /// Matches the detections of a file, as [`Detections::read`](crate::Detections::read) and [`Evaluation::new`] do, to the
    /// same bits; where the file has its detections image by image, without holding all of them. Also returns how many
    /// detections there are.
    ///
    /// # Errors
    /// As these.
    pub fn read(truth: &GroundTruth, path: &Path, settings: Settings) -> Result<(Self, u64), EvalError> {
        let selection = settings.selection()?;
        // The best detections of a class are known at the end only.
        if selection.per_class.is_none() {
            let federated = selection.federated.then(|| truth.federated()).transpose()?;
            let mut images = Images::new(truth, selection, federated);
            let add = |rows: &[Row]| images.add(rows);
            if stream(path, |detection| row(truth, detection).ok(), add)?.is_ok()
                && let Ok((matches, read)) = images.finish()
            {
                return Ok((Self::of(truth, settings, matches), read));
            }
        }
        let mut all = Detections::new(truth, Shard::WHOLE);
        all.read(path)?;
        Ok((Self::new(&all, settings)?, all.seen))
    }
}

/// Images matched so far.
struct Images<'a> {
    truth: &'a GroundTruth,
    selection: Selection,
    federated: Option<&'a Federated>,
    /// Detections of images that are not matched yet; of the last image there may be more to come.
    waiting: Vec<Row>,
    /// By place of the image.
    matched: Vec<bool>,
    parts: Vec<Vec<Matched>>,
    countable: Vec<Countable>,
    read: u64,
    matching: Duration,
}

impl<'a> Images<'a> {
    fn new(truth: &'a GroundTruth, selection: Selection, federated: Option<&'a Federated>) -> Self {
        Self {
            truth,
            selection,
            federated,
            waiting: Vec::with_capacity(2 * WAITING),
            matched: vec![false; truth.images()],
            parts: Vec::new(),
            countable: Vec::new(),
            read: 0,
            matching: Duration::ZERO,
        }
    }

    /// Refuses detections of an image that others have followed.
    fn add(&mut self, rows: &[Row]) -> Result<(), Unusual> {
        self.waiting.extend_from_slice(rows);
        self.read += rows.len() as u64;
        if self.waiting.len() < WAITING {
            return Ok(());
        }
        let last = self.waiting.last().map(|row| row.image);
        let complete =
            self.waiting.iter().rposition(|row| Some(row.image) != last).map_or(0, |place| place + 1);
        self.match_first(complete)
    }

    /// Matches the images of the first `count` waiting detections.
    fn match_first(&mut self, count: usize) -> Result<(), Unusual> {
        let start = Instant::now();
        let images: Vec<&[Row]> = self.waiting[..count].chunk_by(|a, b| a.image == b.image).collect();
        for rows in &images {
            if std::mem::replace(&mut self.matched[rows[0].image as usize], true) {
                return Err(Unusual);
            }
        }
        let (truth, selection, federated) = (self.truth, self.selection, self.federated);
        let parts: Vec<(Vec<Matched>, Vec<Countable>)> = images
            .par_chunks(IMAGES)
            .map(|images| {
                let most = images.iter().map(|rows| rows.len()).sum();
                let mut task = Task::new(truth, selection, most);
                let mut places = Vec::new();
                for rows in images {
                    places.clear();
                    places.extend(0..rows.len() as u32);
                    task.match_image(rows, rows[0].image, &places, None, federated);
                }
                // As long as it must be: a task asks for as much as all detections would need.
                (task.found.as_slice().to_vec(), task.countable)
            })
            .collect();
        for (found, countable) in parts {
            self.parts.push(found);
            self.countable.extend(countable);
        }
        self.waiting.drain(..count);
        self.matching += start.elapsed();
        Ok(())
    }

    /// All outcomes in their order, and how many detections there were.
    fn finish(mut self) -> Result<(Matches, u64), Unusual> {
        self.match_first(self.waiting.len())?;
        // Images without detections have boxes that count.
        let mut task = Task::new(self.truth, self.selection, 0);
        for (image, _) in (0u32..).zip(&self.matched).filter(|(_, matched)| !**matched) {
            task.match_image(&[], image, &[], None, self.federated);
        }
        self.countable.append(&mut task.countable);
        self.countable.sort_by_key(|cell| (cell.image, cell.class));
        if !self.parts.iter().flatten().is_sorted_by_key(|row| row.image) {
            let mut rows = self.parts.concat();
            rows.sort_by_key(|row| row.image);
            self.parts = vec![rows];
        }
        let (parts, countable, matching) = (self.parts, self.countable, self.matching);
        Ok((Matches { parts, countable, matching }, self.read))
    }
}
