//! Every detection with its outcome: what metrics, resamples and parts are made of.

use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::{detections::Detections, matching::Outcome, settings::Plan, task::Task};
use crate::{
    error::EvalError,
    order::{counting_sort, descending},
    report::DetectionCounts,
};

/// A detection that took part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Matched {
    pub score: f64,
    /// Index of the image.
    pub image: u32,
    /// Index of the class.
    pub class: u32,
}

/// Detections that took part, with their outcomes: one a plane, row by row.
#[derive(Debug, Clone, Default)]
pub(crate) struct Block {
    pub rows: Vec<Matched>,
    pub outcomes: Vec<Outcome>,
}

/// A detection that took part, with its outcomes by plane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'a> {
    pub score: f64,
    pub image: u32,
    pub class: u32,
    pub outcomes: &'a [Outcome],
}

/// An image and class with ground truth that counts in some area range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub image: u32,
    pub class: u32,
}

/// How many boxes count, by image and class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Countable {
    pub cells: Vec<Cell>,
    /// Of each cell one an area range.
    pub counts: Vec<u32>,
}

impl Countable {
    /// Cells with their counts by area range.
    pub(crate) fn iter(&self, areas: usize) -> impl Iterator<Item = (Cell, &[u32])> {
        self.cells.iter().copied().zip(self.counts.chunks_exact(areas))
    }

    /// Puts the cells in the order of images and classes.
    pub(crate) fn sort(&mut self, areas: usize) {
        let mut cells: Vec<(Cell, &[u32])> = self.iter(areas).collect();
        cells.sort_by_key(|(cell, _)| (cell.image, cell.class));
        let counts = cells.iter().flat_map(|(_, counts)| counts.iter().copied()).collect();
        (self.cells, self.counts) = (cells.into_iter().map(|(cell, _)| cell).collect(), counts);
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.cells.append(&mut other.cells);
        self.counts.append(&mut other.counts);
    }
}

/// All outcomes: by image, class, then descending score.
#[derive(Debug, Default)]
pub(crate) struct Matches {
    /// In parts, as they were made; together they can be large.
    pub parts: Vec<Block>,
    pub countable: Countable,
    pub counts: DetectionCounts,
    /// How long it took to sort detections by image and match them.
    pub matching: Duration,
}

impl Matches {
    /// Matches the detections' images.
    pub(crate) fn of(detections: &Detections<'_>, plan: &Plan) -> Result<Self, EvalError> {
        let truth = detections.truth;
        let federated = plan.federated.then(|| truth.federated()).transpose()?;
        let start = Instant::now();
        let (starts, order) = detections.by_image();
        let kept = plan.per_class.map(|cap| best_of_classes(detections, cap));
        let images: Vec<u32> = detections.images.clone().collect();
        // Enough images at once that the memory of a task is worth its start.
        let tasks: Vec<Task<'_>> = images
            .par_chunks(64)
            .map(|images| {
                let rows_of =
                    |image: u32| &order[starts[image as usize] as usize..starts[image as usize + 1] as usize];
                let most = images.iter().map(|&image| rows_of(image).len()).sum();
                let mut task = Task::new(truth, plan, most);
                for &image in images {
                    task.match_image(detections.all(), image, rows_of(image), kept.as_deref(), federated);
                }
                task
            })
            .collect();
        let not_chosen = DetectionCounts {
            read: detections.not_chosen,
            not_chosen: detections.not_chosen,
            ..Default::default()
        };
        let mut all = Self { counts: not_chosen, ..Self::default() };
        tasks.into_iter().for_each(|task| all.add(task));
        all.matching = start.elapsed();
        Ok(all)
    }

    /// Adds what a task found.
    pub(crate) fn add(&mut self, task: Task<'_>) {
        self.parts.push(task.found);
        self.countable.append(task.countable);
        self.counts += task.counts;
    }

    /// All rows.
    pub(crate) fn rows(&self, plan: &Plan) -> impl Iterator<Item = Found<'_>> + Clone {
        let planes = plan.planes.count();
        self.parts.iter().flat_map(move |part| part.found(planes))
    }

    /// Puts images in ascending order.
    pub(crate) fn sort(&mut self, plan: &Plan) {
        self.countable.sort(plan.areas.len());
        let images = self.parts.iter().flat_map(|part| &part.rows).map(|row| row.image);
        if !images.is_sorted() {
            let mut rows: Vec<Found<'_>> = self.rows(plan).collect();
            rows.sort_by_key(|row| row.image);
            let mut sorted = Block::default();
            for Found { score, image, class, outcomes } in rows {
                sorted.rows.push(Matched { score, image, class });
                sorted.outcomes.extend_from_slice(outcomes);
            }
            self.parts = vec![sorted];
        }
    }

    /// Rows by class, and the countable boxes of each by area range.
    pub(crate) fn by_class(&self, plan: &Plan, classes: usize) -> ByClass<'_> {
        let mut starts = vec![0usize; classes + 1];
        let rows = || self.parts.iter().flat_map(|part| &part.rows);
        rows().for_each(|row| starts[row.class as usize + 1] += 1);
        for class in 0..classes {
            starts[class + 1] += starts[class];
        }
        let mut order = vec![(0, 0); starts[classes]];
        let mut next = starts.clone();
        for (part, block) in (0..).zip(&self.parts) {
            for (row, matched) in (0..).zip(&block.rows) {
                let slot = &mut next[matched.class as usize];
                order[*slot] = (part, row);
                *slot += 1;
            }
        }
        let mut countable = vec![vec![0u64; plan.areas.len()]; classes];
        for (cell, counts) in self.countable.iter(plan.areas.len()) {
            for (sum, count) in countable[cell.class as usize].iter_mut().zip(counts) {
                *sum += u64::from(*count);
            }
        }
        ByClass { parts: &self.parts, planes: plan.planes.count(), order, starts, countable }
    }
}

impl Block {
    /// The same without memory to spare.
    pub(crate) fn compact(&self) -> Self {
        Self { rows: self.rows.as_slice().to_vec(), outcomes: self.outcomes.as_slice().to_vec() }
    }

    fn found(&self, planes: usize) -> impl Iterator<Item = Found<'_>> + Clone {
        let outcomes = self.outcomes.chunks_exact(planes);
        self.rows.iter().zip(outcomes).map(|(&Matched { score, image, class }, outcomes)| Found {
            score,
            image,
            class,
            outcomes,
        })
    }
}

/// [`Matches`] by class.
pub(crate) struct ByClass<'a> {
    parts: &'a [Block],
    planes: usize,
    /// Part and row of every detection, class by class.
    order: Vec<(u32, u32)>,
    starts: Vec<usize>,
    /// By class and area range.
    pub countable: Vec<Vec<u64>>,
}

impl<'a> ByClass<'a> {
    /// Rows of a class by ascending image, then descending score.
    pub(crate) fn rows(&self, class: usize) -> impl Iterator<Item = Found<'a>> + Clone + '_ {
        let planes = self.planes;
        self.order[self.starts[class]..self.starts[class + 1]].iter().map(move |&(part, row)| {
            let (block, row) = (&self.parts[part as usize], row as usize);
            let Matched { score, image, class } = block.rows[row];
            Found { score, image, class, outcomes: &block.outcomes[row * planes..(row + 1) * planes] }
        })
    }

    /// Number of rows of a class.
    pub(crate) fn len(&self, class: usize) -> usize {
        self.starts[class + 1] - self.starts[class]
    }

    /// Number of classes.
    pub(crate) fn classes(&self) -> usize {
        self.countable.len()
    }
}

/// Rows by descending score, ties as they were; of each image and class the first `per_cell`.
pub(crate) fn sorted<'a>(rows: impl Iterator<Item = Found<'a>>, per_cell: usize) -> Vec<Found<'a>> {
    let (mut cell, mut seen) = (None, 0);
    let within_cap = |row: &Found<'_>| {
        if cell != Some((row.image, row.class)) {
            (cell, seen) = (Some((row.image, row.class)), 0);
        }
        seen += 1;
        seen <= per_cell
    };
    let mut rows: Vec<Found<'_>> =
        if per_cell == usize::MAX { rows.collect() } else { rows.filter(within_cap).collect() };
    rows.sort_by(|a, b| descending(a.score, b.score));
    rows
}

/// Marks the best detections of each class; ties keep the earlier.
fn best_of_classes(detections: &Detections<'_>, cap: usize) -> Vec<bool> {
    let rows = &detections.rows;
    // Unknown classes share a list at the end; they never match.
    let unknown = detections.truth.classes.list.len() as u32;
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
