//! Batches prepared by worker threads ahead of the step, in an order that does not depend on the workers.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    thread::{self, JoinHandle},
};

use crate::{
    augmenter::Augmenter, batch::Batch, dataset::Dataset, error::DataError, pixels::PixelPool,
    sampler::BatchPlan, transform::Transform,
};

/// Batches that each worker holds ready.
const AHEAD: usize = 2;

/// An iterator over batches. Worker w of n makes batches w, w + n, w + 2n, …; they are taken in turn. A panic
/// of a worker is an error of the batch that it was making, and never the end of the data.
pub struct Loader {
    workers: Vec<Worker>,
    next: usize,
}

/// A thread that makes batches; the handle is taken once it has ended.
struct Worker {
    batches: Receiver<Result<Batch, DataError>>,
    thread: Option<JoinHandle<()>>,
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
                let indices = draws.iter().map(|draw| draw.index);
                Some(guarded(augmenter.dataset(), indices, || augmenter.batch(&draws)))
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
                let load = || Batch::load(&dataset, &items, &transform, &pool);
                let indices = items.iter().map(|(index, _)| *index);
                (!items.is_empty()).then(|| guarded(&dataset, indices, load))
            }
        })
    }

    fn spawn<M>(workers: usize, make: impl Fn(u64, u64) -> M) -> Self
    where
        M: FnMut() -> Option<Result<Batch, DataError>> + Send + 'static,
    {
        let workers = workers.max(1) as u64;
        let workers = (0..workers)
            .map(|worker| {
                let (sender, batches) = sync_channel(AHEAD);
                let mut next = make(worker, workers);
                let thread = thread::spawn(move || {
                    while let Some(batch) = next() {
                        // The loader was dropped: nobody waits for more.
                        if sender.send(batch).is_err() {
                            break;
                        }
                    }
                });
                Worker { batches, thread: Some(thread) }
            })
            .collect();
        Self { workers, next: 0 }
    }
}

impl Iterator for Loader {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (number, count) = (self.next + 1, self.workers.len());
        let worker = &mut self.workers[self.next];
        self.next = number % count;
        if let Ok(batch) = worker.batches.recv() {
            return Some(batch);
        }
        // The worker has ended: because there is nothing more, or by a panic between two batches.
        let payload = worker.thread.take()?.join().err()?;
        let images = format!("(worker {number} of {count}, between two batches)");
        Some(Err(DataError::Panic { images, reason: message(&*payload) }))
    }
}

/// Makes a batch of images; a panic becomes an error that names them.
fn guarded(
    dataset: &Dataset,
    indices: impl Iterator<Item = usize>,
    make: impl FnOnce() -> Result<Batch, DataError>,
) -> Result<Batch, DataError> {
    catch_unwind(AssertUnwindSafe(make)).unwrap_or_else(|payload| {
        let names: Vec<&str> = indices.map(|index| &*dataset.set().images[index].file_name).collect();
        Err(DataError::Panic { images: names.join(", "), reason: message(&*payload) })
    })
}

/// What a panic said.
fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it gave no reason".into())
}
