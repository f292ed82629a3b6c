//! Steps of RoIs from a bank. An epoch goes through the shards in windows that fit memory, in an order of its own; within
//! a window images, or RoIs, are shuffled. Everything is a function of (seed, epoch), so that a resumed training goes on
//! with the same steps.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
};

use longtail_bank::{Bank, Shard};
use longtail_draw::{DrawKey, Purpose, hash, unit};
use rayon::prelude::*;

use crate::{
    error::HeadError,
    recipe::{BatchRecipe, HeadRecipe},
    sampling::{Drawn, draw_rows, factors},
};

/// RoIs of a step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// `[N × D]`.
    pub features: Vec<f32>,
    /// 0 for background, `c + 1` for class c.
    pub labels: Vec<u32>,
    /// What each stands for.
    pub weights: Vec<f32>,
}

/// A row of a window.
#[derive(Debug, Clone, Copy)]
struct Row {
    shard: u32,
    row: u32,
    weight: f32,
}

/// An endless stream of steps.
pub struct Stream<'a> {
    bank: &'a Bank,
    factors: Vec<f64>,
    /// Images of each shard.
    of_shard: Vec<Range<usize>>,
    batch: BatchRecipe,
    seed: u64,
    window_bytes: u64,
    epoch: u64,
    /// Windows of the epoch that are still to come.
    windows: VecDeque<Vec<usize>>,
    /// Units of the current window that are still to come: rows of an image, or single rows.
    units: VecDeque<Vec<Row>>,
    open: BTreeMap<u32, Shard>,
}

impl<'a> Stream<'a> {
    /// The steps of a recipe.
    ///
    /// # Errors
    /// If the sampler cannot be had from this bank.
    pub fn new(bank: &'a Bank, recipe: &HeadRecipe) -> Result<Self, HeadError> {
        let factors = factors(bank, &recipe.sampler)?;
        let mut of_shard = vec![0..0; bank.header().shards.len()];
        for (index, image) in bank.images().iter().enumerate() {
            let range = &mut of_shard[image.shard];
            if range.start == range.end {
                *range = index..index;
            }
            range.end = index + 1;
        }
        Ok(Self {
            bank,
            factors,
            of_shard,
            batch: recipe.batch,
            seed: recipe.seed,
            window_bytes: recipe.window_mib.max(1) << 20,
            epoch: 0,
            windows: VecDeque::new(),
            units: VecDeque::new(),
            open: BTreeMap::new(),
        })
    }

    /// Expected steps of an epoch, rounded up.
    pub fn steps_per_epoch(&self) -> u64 {
        let images: f64 = self.factors.iter().sum();
        let steps = match self.batch {
            BatchRecipe::Images(count) => images / count as f64,
            BatchRecipe::Rois(count) => {
                let sampling = self.bank.header().sampling;
                let of_image = |(image, factor): (&longtail_bank::BankImage, &f64)| {
                    let drawn = |view| {
                        let drawn = Drawn::of(view, sampling);
                        (drawn.foreground + drawn.background) as f64
                    };
                    image.views.iter().map(drawn).sum::<f64>() * factor / image.views.len() as f64
                };
                self.bank.images().iter().zip(&self.factors).map(of_image).sum::<f64>() / count as f64
            }
        };
        (steps.ceil() as u64).max(1)
    }

    /// Leaves out steps.
    pub fn skip(&mut self, steps: u64) {
        let mut units = steps * self.unit_count() as u64;
        while units > 0 {
            if self.units.is_empty() {
                self.next_window();
            }
            let taken = (self.units.len() as u64).min(units);
            self.units.drain(..taken as usize);
            units -= taken;
        }
    }

    /// The next step.
    ///
    /// # Errors
    /// If a shard is damaged.
    pub fn next_batch(&mut self) -> Result<Batch, HeadError> {
        let mut step = Batch::default();
        let mut missing = self.unit_count();
        while missing > 0 {
            if self.units.is_empty() {
                self.next_window();
            }
            let taken = missing.min(self.units.len());
            let rows: Vec<Row> = self.units.drain(..taken).flatten().collect();
            self.read(&rows, &mut step)?;
            missing -= taken;
        }
        Ok(step)
    }

    fn unit_count(&self) -> usize {
        match self.batch {
            BatchRecipe::Images(count) | BatchRecipe::Rois(count) => count,
        }
    }

    fn key(&self) -> DrawKey {
        DrawKey { seed: self.seed, step: self.epoch }
    }

    /// Begins the next window, of the next epoch if need be. Windows of an epoch that rounds to nothing are passed over.
    fn next_window(&mut self) {
        while self.units.is_empty() {
            let shards = match self.windows.pop_front() {
                Some(shards) => shards,
                None => {
                    self.windows = self.cut();
                    self.epoch += 1;
                    continue;
                }
            };
            // The epoch was counted when it was cut.
            let key = DrawKey { seed: self.seed, step: self.epoch - 1 };
            self.units = self.window(&shards, key);
            // What the window before mapped is let go.
            self.open.retain(|shard, _| shards.contains(&(*shard as usize)));
        }
    }

    /// The shards of an epoch in windows.
    fn cut(&self) -> VecDeque<Vec<usize>> {
        let key = self.key();
        let records = &self.bank.header().shards;
        let mut order: Vec<usize> = (0..records.len()).collect();
        order.sort_by_key(|&shard| (hash(key, Purpose::BankShardOrder, shard as u64), shard));
        let mut windows: VecDeque<Vec<usize>> = VecDeque::new();
        let mut bytes = u64::MAX;
        for shard in order {
            if bytes.saturating_add(records[shard].bytes) > self.window_bytes {
                windows.push_back(Vec::new());
                bytes = 0;
            }
            bytes += records[shard].bytes;
            if let Some(window) = windows.back_mut() {
                window.push(shard);
            }
        }
        windows
    }

    /// Units of a window in order.
    fn window(&self, shards: &[usize], key: DrawKey) -> VecDeque<Vec<Row>> {
        let sampling = self.bank.header().sampling;
        let mut shards = shards.to_vec();
        // By their index, so that the order is the draws' alone.
        shards.sort_unstable();
        let mut occurrences: Vec<(u64, usize, usize)> = Vec::new();
        for image in shards.iter().flat_map(|&shard| self.of_shard[shard].clone()) {
            let factor = self.factors[image];
            let extra = unit(key, Purpose::BankRepeats, image as u64) < factor.fract();
            for repeat in 0..factor as usize + usize::from(extra) {
                let index = ((image as u64) << 20) | repeat as u64;
                occurrences.push((hash(key, Purpose::BankRowOrder, index), image, repeat));
            }
        }
        occurrences.sort_unstable();
        let rows = |&(order, image, repeat): &(u64, usize, usize)| -> (u64, Vec<Row>) {
            let of_image = &self.bank.images()[image];
            let index = ((image as u64) << 20) | repeat as u64;
            let view = (unit(key, Purpose::BankView, index) * of_image.views.len() as f64) as usize;
            let drawn = draw_rows(&of_image.views[view], sampling, key, image, repeat);
            let shard = of_image.shard as u32;
            let rows = drawn.into_iter().map(|(row, weight)| Row { shard, row: row as u32, weight });
            (order, rows.collect())
        };
        let of_images: Vec<(u64, Vec<Row>)> = occurrences.par_iter().map(rows).collect();
        match self.batch {
            BatchRecipe::Images(_) => of_images.into_iter().map(|(_, rows)| rows).collect(),
            BatchRecipe::Rois(_) => {
                let mut single: Vec<(u64, Row)> = of_images
                    .into_iter()
                    .flat_map(|(order, rows)| {
                        let key = DrawKey { seed: order, step: 0 };
                        rows.into_iter()
                            .enumerate()
                            .map(move |(index, row)| (hash(key, Purpose::BankRowOrder, index as u64), row))
                    })
                    .collect();
                single.sort_by_key(|(order, row)| (*order, row.shard, row.row));
                single.into_iter().map(|(_, row)| vec![row]).collect()
            }
        }
    }

    fn read(&mut self, rows: &[Row], step: &mut Batch) -> Result<(), HeadError> {
        for row in rows {
            if let std::collections::btree_map::Entry::Vacant(slot) = self.open.entry(row.shard) {
                slot.insert(self.bank.shard(row.shard as usize)?);
            }
        }
        let width = self.bank.header().width;
        let first = step.features.len();
        step.features.resize(first + rows.len() * width, 0.0);
        let open = &self.open;
        let labels: Vec<u32> = step.features[first..]
            .par_chunks_exact_mut(width)
            .zip(rows)
            .map(|(target, row)| {
                let (shard, row) = (&open[&row.shard], row.row as usize);
                shard.features(row..row + 1, target);
                shard.labels(row..row + 1)[0]
            })
            .collect();
        step.labels.extend(labels);
        step.weights.extend(rows.iter().map(|row| row.weight));
        Ok(())
    }
}
