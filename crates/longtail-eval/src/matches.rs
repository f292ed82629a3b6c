//! Every detection with its outcome: what metrics, resamples and partial results are made of.

use rayon::prelude::*;

use crate::{
    accumulate::Curves,
    detection::{Detections, Row, counting_sort},
    error::EvalError,
    ground_truth::{GroundTruth, TruthBox, UNKNOWN},
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
    /// Place in the input; breaks ties where a class is capped.
    pub place: u64,
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
#[derive(Debug, PartialEq)]
pub(crate) struct Matches {
    pub rows: Vec<Matched>,
    pub countable: Vec<Countable>,
}

impl Matches {
    /// Matches the detections' images.
    pub fn of(detections: &Detections<'_>, selection: Selection) -> Result<Self, EvalError> {
        let truth = detections.truth;
        let federated = selection.federated.then(|| truth.federated()).transpose()?;
        let (starts, order) = detections.by_image();
        let kept = selection.per_class.map(|cap| best_of_classes(detections, cap));
        let images: Vec<u32> = detections.images.clone().collect();
        // Enough images at once that the memory of a task is worth its start.
        let parts: Vec<Self> = images
            .par_chunks(64)
            .map(|images| {
                let mut task = Task::new(truth, selection);
                for &image in images {
                    let rows = &order[starts[image as usize] as usize..starts[image as usize + 1] as usize];
                    let lists =
                        federated.map(|f| (&f.negative[image as usize], &f.not_exhaustive[image as usize]));
                    task.match_image(detections, image, rows, kept.as_deref(), lists);
                }
                task.found
            })
            .collect();
        let mut all = Self {
            rows: Vec::with_capacity(parts.iter().map(|p| p.rows.len()).sum()),
            countable: Vec::with_capacity(parts.iter().map(|p| p.countable.len()).sum()),
        };
        for part in parts {
            all.rows.extend(part.rows);
            all.countable.extend(part.countable);
        }
        Ok(all)
    }

    /// Rows by class, and the countable boxes of each by area range.
    pub fn by_class(&self, classes: usize) -> ByClass<'_> {
        let (starts, order) = counting_sort(self.rows.iter().map(|row| row.class), classes);
        let mut countable = vec![[0u64; AREAS.len()]; classes];
        for cell in &self.countable {
            for (sum, count) in countable[cell.class as usize].iter_mut().zip(cell.count) {
                *sum += u64::from(count);
            }
        }
        ByClass { rows: &self.rows, starts, order, countable }
    }
}

/// [`Matches`] by class.
pub(crate) struct ByClass<'a> {
    rows: &'a [Matched],
    starts: Vec<u32>,
    order: Vec<u32>,
    /// By class and area range.
    pub countable: Vec<[u64; AREAS.len()]>,
}

impl<'a> ByClass<'a> {
    /// Rows of a class by ascending image, then descending score.
    pub fn rows(&self, class: usize) -> impl ExactSizeIterator<Item = &'a Matched> + Clone + '_ {
        let range = self.starts[class] as usize..self.starts[class + 1] as usize;
        self.order[range].iter().map(|&row| &self.rows[row as usize])
    }

    /// Curves of a class in an area range; `None` without countable ground truth.
    pub fn curves(&self, class: usize, area: usize, per_cell: Option<usize>) -> Option<Curves> {
        let countable = self.countable[class][area];
        (countable > 0).then(|| Curves::of(&sorted(self.rows(class), per_cell), area, countable))
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
struct Task<'a> {
    truth: &'a GroundTruth,
    selection: Selection,
    matcher: Matcher,
    found: Matches,
    /// By class: the last image (plus 1) in which it is scored, and in which it is open.
    scored: Vec<u32>,
    open: Vec<u32>,
    truths: Vec<TruthBox>,
    rows: Vec<u32>,
    boxes: Vec<[f64; 4]>,
    outcomes: Vec<[Outcome; AREAS.len()]>,
}

impl<'a> Task<'a> {
    fn new(truth: &'a GroundTruth, selection: Selection) -> Self {
        Self {
            truth,
            selection,
            matcher: Matcher::new(selection.rules),
            found: Matches { rows: Vec::new(), countable: Vec::new() },
            scored: vec![0; truth.classes.len()],
            open: vec![0; truth.classes.len()],
            truths: Vec::new(),
            rows: Vec::new(),
            boxes: Vec::new(),
            outcomes: Vec::new(),
        }
    }

    fn match_image(
        &mut self,
        detections: &Detections<'_>,
        image: u32,
        rows: &[u32],
        kept: Option<&[bool]>,
        lists: Option<(&Vec<u32>, &Vec<u32>)>,
    ) {
        let all = &detections.rows;
        let row = |place: u32| -> &Row { &all[place as usize] };
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
        let scored = &self.scored;
        self.rows.retain(|&place| {
            let Row { class, bbox, .. } = row(place);
            *class != UNKNOWN
                && kept.is_none_or(|kept| kept[place as usize])
                && (lists.is_none() || (scored[*class as usize] == stamp && counts(bbox[2] * bbox[3])))
        });
        self.rows.sort_by(|&a, &b| {
            let (a, b) = (row(a), row(b));
            a.class.cmp(&b.class).then(descending(a.score, b.score))
        });

        let (mut d, mut t) = (0, 0);
        loop {
            let next_row = self.rows.get(d).map(|&place| row(place).class);
            let next_truth = self.truths.get(t).map(|truth| truth.class);
            let Some(class) = next_row.into_iter().chain(next_truth).min() else { break };
            let of_row = self.rows[d..].iter().take_while(|&&place| row(place).class == class).count();
            let of_truth = self.truths[t..].iter().take_while(|truth| truth.class == class).count();
            let cell = &self.rows[d..d + of_row.min(self.selection.per_cell.unwrap_or(usize::MAX))];
            self.boxes.clear();
            self.boxes.extend(cell.iter().map(|&place| row(place).bbox));
            self.outcomes.clear();
            let open = lists.is_some() && self.open[class as usize] == stamp;
            let truths = &self.truths[t..t + of_truth];
            let count = self.matcher.match_cell(&self.boxes, truths, open, &mut self.outcomes);
            self.found.rows.extend(cell.iter().zip(&self.outcomes).map(|(&place, &outcomes)| Matched {
                score: row(place).score,
                place: detections.place(place as usize),
                image,
                class,
                outcomes,
            }));
            if count != [0; AREAS.len()] {
                self.found.countable.push(Countable { image, class, count });
            }
            d += of_row;
            t += of_truth;
        }
    }
}
