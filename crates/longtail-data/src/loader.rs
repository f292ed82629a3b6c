//! Batches prepared by worker threads ahead of the step, in an order that does not depend on the workers.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    thread,
};

use crate::{
    augment::Augmenter, batch::Batch, dataset::Dataset, error::DataError, pixels::PixelPool,
    sampler::BatchPlan, transform::Transform,
};

/// Batches that each worker holds ready.
const AHEAD: usize = 2;

/// An iterator over batches. Worker w of n makes batches w, w + n, w + 2n, …; they are taken in turn.
pub struct Loader {
    workers: Vec<Receiver<Result<Batch, DataError>>>,
    next: usize,
}

impl Loader {
    /// Endless batches of a plan from iteration `start` on.
    ///
    /// # Errors
    /// If a setting is out of range, or an augmentation does not find what it needs in the data set.
    pub fn train(
        dataset: Arc<Dataset>,
        plan: BatchPlan,
        transform: Transform,
        start: u64,
        workers: usize,
    ) -> Result<Self, DataError> {
        let augmenter = Arc::new(Augmenter::new(dataset, transform)?);
        Ok(Self::spawn(workers, |worker, workers| {
            let (augmenter, mut plan) = (Arc::clone(&augmenter), plan.clone());
            let mut iteration = start + worker;
            move || {
                let draws = plan.batch(iteration);
                iteration += workers;
                Some(augmenter.batch(&draws))
            }
        }))
    }

    /// Every image once, in order, neither augmented nor flipped.
    pub fn sequential(
        dataset: Arc<Dataset>,
        transform: Transform,
        batch_size: usize,
        workers: usize,
    ) -> Self {
        let pool = PixelPool::default();
        Self::spawn(workers, |worker, workers| {
            let (dataset, transform, pool) = (Arc::clone(&dataset), transform.clone(), pool.clone());
            let mut start = worker as usize * batch_size;
            move || {
                let items: Vec<(usize, bool)> =
                    (start..(start + batch_size).min(dataset.len())).map(|index| (index, false)).collect();
                start += workers as usize * batch_size;
                (!items.is_empty()).then(|| Batch::load(&dataset, &items, &transform, &pool))
            }
        })
    }

    fn spawn<M>(workers: usize, make: impl Fn(u64, u64) -> M) -> Self
    where
        M: FnMut() -> Option<Result<Batch, DataError>> + Send + 'static,
    {
        let workers = workers.max(1) as u64;
        let receivers = (0..workers)
            .map(|worker| {
                let (sender, receiver) = sync_channel(AHEAD);
                let mut next = make(worker, workers);
                thread::spawn(move || {
                    while let Some(batch) = next() {
                        // The loader was dropped: nobody waits for more.
                        if sender.send(batch).is_err() {
                            break;
                        }
                    }
                });
                receiver
            })
            .collect();
        Self { workers: receivers, next: 0 }
    }
}

impl Iterator for Loader {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.workers[self.next].recv().ok();
        self.next = (self.next + 1) % self.workers.len();
        batch
    }
}
