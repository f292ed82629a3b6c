//! Every detection with its outcome: what metrics, resamples and partial results are made of.

use std::time::{Duration, Instant};

use rayon::prelude::*;

use crate::{
    accumulate::Curves,
    detection::{Detections, Row, counting_sort},
    error::EvalError,
    ground_truth::{Federated, GroundTruth, TruthBox, UNKNOWN},
    matching::{Matcher, Outcome, Rules},
    numerics::{AREAS, descending},
};

/// What takes part in an evaluation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Selection {
    pub rules: Rules,
    /// A class is scored only where it is annotated or verified absent, and boxes without area are left out (LVIS).
    pub federated: bool,
    /// Best detections of an image, over all classes.
    pub per_image: Option<usize>,
    /// Best detections of a class, over all images.
    pub per_class: Option<usize>,
    /// Best detections of an image and class.
    pub per_cell: Option<usize>,
}

/// A detection that took part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Matched {
    pub score: f64,
    /// Place of the image.
    pub image: u32,
    /// Place of the class.
    pub class: u32,
    /// By area range.
    pub outcomes: [Outcome; AREAS.len()],
}

/// Ground-truth boxes that count, of one image and class, by area range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Countable {
    pub image: u32,
    pub class: u32,
    pub count: [u32; AREAS.len()],
}

/// All outcomes: by image, class, then descending score.
#[derive(Debug, Default)]
pub(crate) struct Matches {
    /// In parts, as they were made; together they can be large.
    pub parts: Vec<Vec<Matched>>,
    pub countable: Vec<Countable>,
    /// How long it took to sort detections by image and match them.
    pub matching: Duration,
}

impl Matches {
    /// Matches the detections' images.
    pub fn of(detections: &Detections<'_>, selection: Selection) -> Result<Self, EvalError> {
        let truth = detections.truth;
        let federated = selection.federated.then(|| truth.federated()).transpose()?;
        let start = Instant::now();
        let (starts, order) = detections.by_image();
        let kept = selection.per_class.map(|cap| best_of_classes(detections, cap));
        let images: Vec<u32> = detections.images.clone().collect();
        // Enough images at once that the memory of a task is worth its start.
        let parts: Vec<(Vec<Matched>, Vec<Countable>)> = images
            .par_chunks(64)
            .map(|images| {
                let rows_of =
                    |image: u32| &order[starts[image as usize] as usize..starts[image as usize + 1] as usize];
                let most = images.iter().map(|&image| rows_of(image).len()).sum();
                let mut task = Task::new(truth, selection, most);
                for &image in images {
                    task.match_image(&detections.rows, image, rows_of(image), kept.as_deref(), federated);
                }
                (task.found, task.countable)
            })
            .collect();
        let mut all = Self { matching: start.elapsed(), ..Self::default() };
        for (rows, countable) in parts {
            all.parts.push(rows);
            all.countable.extend(countable);
        }
        Ok(all)
    }

    /// All rows.
    pub fn rows(&self) -> impl Iterator<Item = &Matched> + Clone {
        self.parts.iter().flatten()
    }

    /// Rows by class, and the countable boxes of each by area range.
    pub fn by_class(&self, classes: usize) -> ByClass<'_> {
        let mut starts = vec![0usize; classes + 1];
        self.rows().for_each(|row| starts[row.class as usize + 1] += 1);
        for class in 0..classes {
            starts[class + 1] += starts[class];
        }
        let mut rows: Vec<Option<&Matched>> = vec![None; starts[classes]];
        let mut next = starts.clone();
        for row in self.rows() {
            let slot = &mut next[row.class as usize];
            rows[*slot] = Some(row);
            *slot += 1;
        }
        let mut countable = vec![[0u64; AREAS.len()]; classes];
        for cell in &self.countable {
            for (sum, count) in countable[cell.class as usize].iter_mut().zip(cell.count) {
                *sum += u64::from(count);
            }
        }
        ByClass { rows, starts, countable }
    }
}

/// [`Matches`] by class.
pub(crate) struct ByClass<'a> {
    /// All are there.
    rows: Vec<Option<&'a Matched>>,
    starts: Vec<usize>,
    /// By class and area range.
    pub countable: Vec<[u64; AREAS.len()]>,
}

impl<'a> ByClass<'a> {
    /// Rows of a class by ascending image, then descending score.
    pub fn rows(&self, class: usize) -> impl Iterator<Item = &'a Matched> + Clone + '_ {
        self.rows[self.starts[class]..self.starts[class + 1]].iter().copied().flatten()
    }

    /// Number of rows of a class.
    pub fn len(&self, class: usize) -> usize {
        self.starts[class + 1] - self.starts[class]
    }

    /// Curves of a class in every area range; `None` where there is no countable ground truth.
    pub fn curves(&self, class: usize) -> [Option<Curves>; AREAS.len()] {
        let rows = sorted(self.rows(class), None);
        std::array::from_fn(|area| {
            let countable = self.countable[class][area];
            (countable > 0).then(|| Curves::of(&rows, area, countable))
        })
    }

    /// The same over all areas, with the best `per_cell` detections of each image.
    pub fn capped_curves(&self, class: usize, per_cell: usize) -> Option<Curves> {
        let countable = self.countable[class][0];
        (countable > 0).then(|| Curves::of(&sorted(self.rows(class), Some(per_cell)), 0, countable))
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.countable.len()
    }
}

/// Rows by descending score, ties as they were; of each image and class the first `per_cell`.
pub(crate) fn sorted<'a>(
    rows: impl Iterator<Item = &'a Matched>,
    per_cell: Option<usize>,
) -> Vec<&'a Matched> {
    let mut rows: Vec<&Matched> = match per_cell {
        None => rows.collect(),
        Some(cap) => {
            let (mut cell, mut seen) = ((UNKNOWN, UNKNOWN), 0);
            rows.filter(|row| {
                if cell != (row.image, row.class) {
                    (cell, seen) = ((row.image, row.class), 0);
                }
                seen += 1;
                seen <= cap
            })
            .collect()
        }
    };
    rows.sort_by(|a, b| descending(a.score, b.score));
    rows
}

/// Marks the best detections of each class; ties keep the earlier.
fn best_of_classes(detections: &Detections<'_>, cap: usize) -> Vec<bool> {
    let rows = &detections.rows;
    // Unknown classes share a list at the end; they never match.
    let unknown = detections.truth.classes.len() as u32;
    let (starts, order) = counting_sort(rows.iter().map(|row| row.class.min(unknown)), unknown as usize + 1);
    let mut kept = vec![true; rows.len()];
    for list in starts.windows(2).map(|range| &order[range[0] as usize..range[1] as usize]) {
        if list.len() > cap {
            let mut list = list.to_vec();
            list.sort_by(|&a, &b| descending(rows[a as usize].score, rows[b as usize].score));
            list[cap..].iter().for_each(|&row| kept[row as usize] = false);
        }
    }
    kept
}

/// Matches images one after the other; holds the memory for it.
pub(crate) struct Task<'a> {
    truth: &'a GroundTruth,
    selection: Selection,
    matcher: Matcher,
    pub found: Vec<Matched>,
    pub countable: Vec<Countable>,
    /// By class: the last image (plus 1) in which it is scored, and in which it is open.
    scored: Vec<u32>,
    open: Vec<u32>,
    truths: Vec<TruthBox>,
    rows: Vec<u32>,
    /// Class, score and place in the list of rows of what is scored.
    keys: Vec<(u32, f64, u32)>,
    boxes: Vec<[f64; 4]>,
    outcomes: Vec<[Outcome; AREAS.len()]>,
}

impl<'a> Task<'a> {
    /// For images that have `most` detections together.
    pub fn new(truth: &'a GroundTruth, selection: Selection, most: usize) -> Self {
        Self {
            truth,
            selection,
            matcher: Matcher::new(selection.rules),
            found: Vec::with_capacity(most),
            countable: Vec::new(),
            scored: vec![0; truth.classes.len()],
            open: vec![0; truth.classes.len()],
            truths: Vec::new(),
            rows: Vec::new(),
            keys: Vec::new(),
            boxes: Vec::new(),
            outcomes: Vec::new(),
        }
    }

    /// Matches an image whose detections are at the places `rows` of `all`. Without `kept` all of them take part.
    pub fn match_image(
        &mut self,
        all: &[Row],
        image: u32,
        rows: &[u32],
        kept: Option<&[bool]>,
        federated: Option<&Federated>,
    ) {
        let row = |place: u32| -> &Row { &all[place as usize] };
        let lists = federated.map(|f| (&f.negative[image as usize], &f.not_exhaustive[image as usize]));
        let counts = |area: f64| lists.is_none() || (area > 0.0 && area.is_finite());
        let stamp = image + 1;

        self.truths.clear();
        let known = |t: &&TruthBox| t.class != UNKNOWN && counts(t.area);
        self.truths.extend(self.truth.boxes_of(image as usize).iter().filter(known));
        self.truths.sort_by_key(|t| t.class);
        if let Some((negative, not_exhaustive)) = lists {
            self.truths.iter().for_each(|t| self.scored[t.class as usize] = stamp);
            negative.iter().for_each(|&class| self.scored[class as usize] = stamp);
            not_exhaustive.iter().for_each(|&class| self.open[class as usize] = stamp);
        }

        self.rows.clear();
        self.rows.extend_from_slice(rows);
        // All classes use up places, also those that are not scored here.
        if let Some(cap) = self.selection.per_image.filter(|&cap| rows.len() > cap) {
            self.rows.sort_by(|&a, &b| descending(row(a).score, row(b).score));
            self.rows.truncate(cap);
        }
        let (scored, rows) = (&self.scored, &self.rows);
        self.keys.clear();
        self.keys.extend((0u32..).zip(rows).filter_map(|(place, &index)| {
            let Row { class, bbox, score, .. } = row(index);
            let takes_part = *class != UNKNOWN
                && kept.is_none_or(|kept| kept[index as usize])
                && (lists.is_none() || (scored[*class as usize] == stamp && counts(bbox[2] * bbox[3])));
            takes_part.then_some((*class, *score, place))
        }));
        self.keys.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(descending(a.1, b.1)).then(a.2.cmp(&b.2)));

        let (mut d, mut t) = (0, 0);
        loop {
            let next_row = self.keys.get(d).map(|key| key.0);
            let next_truth = self.truths.get(t).map(|truth| truth.class);
            let Some(class) = next_row.into_iter().chain(next_truth).min() else { break };
            let of_row = self.keys[d..].iter().take_while(|key| key.0 == class).count();
            let of_truth = self.truths[t..].iter().take_while(|truth| truth.class == class).count();
            let cell = &self.keys[d..d + of_row.min(self.selection.per_cell.unwrap_or(usize::MAX))];
            self.boxes.clear();
            self.boxes.extend(cell.iter().map(|key| row(self.rows[key.2 as usize]).bbox));
            self.outcomes.clear();
            let open = lists.is_some() && self.open[class as usize] == stamp;
            let truths = &self.truths[t..t + of_truth];
            let count = self.matcher.match_cell(&self.boxes, truths, open, &mut self.outcomes);
            let matched = |(&(_, score, _), &outcomes)| Matched { score, image, class, outcomes };
            self.found.extend(cell.iter().zip(&self.outcomes).map(matched));
            if count != [0; AREAS.len()] {
                self.countable.push(Countable { image, class, count });
            }
            d += of_row;
            t += of_truth;
        }
    }
}
