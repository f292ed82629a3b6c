//! What is told, and asked, from the threads of a tuning.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use longtail_run::{Event, Observer};

use crate::error::HeadError;

/// Tells what is done from several threads, and asks whether to stop.
pub(super) struct Watch<'a> {
    observer: Mutex<&'a mut (dyn Observer + Send)>,
    task: String,
    total: u64,
    done: AtomicU64,
    stopped: AtomicBool,
}

impl<'a> Watch<'a> {
    pub(super) fn new(observer: &'a mut (dyn Observer + Send)) -> Self {
        Self {
            observer: Mutex::new(observer),
            task: String::new(),
            total: 0,
            done: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    pub(super) fn begin(&mut self, task: String, total: usize) {
        (self.task, self.total) = (task, total as u64);
        self.done.store(0, Ordering::Relaxed);
    }

    pub(super) fn done(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if let Ok(mut observer) = self.observer.lock() {
            observer.observe(Event::Progress { task: &self.task, done, total: self.total });
        }
    }

    /// Once asked for, a stop is one: trainings that end meanwhile do not take it back.
    pub(super) fn stopped(&self) -> bool {
        let asked = || self.observer.lock().is_ok_and(|observer| observer.stop_requested());
        if !self.stopped.load(Ordering::Relaxed) && asked() {
            self.stopped.store(true, Ordering::Relaxed);
        }
        self.stopped.load(Ordering::Relaxed)
    }

    pub(super) fn stop(&self) -> HeadError {
        let done = self.done.load(Ordering::Relaxed) as usize;
        HeadError::Stopped { what: format!("trainings ({})", self.task), done, total: self.total as usize }
    }
}

/// Watches one training of many: says nothing, and passes on the wish to stop.
pub(super) struct Silenced<'s, 'w> {
    pub(super) watch: &'s Watch<'w>,
}

impl Observer for Silenced<'_, '_> {
    fn observe(&mut self, _event: Event<'_>) {}

    fn stop_requested(&self) -> bool {
        self.watch.stopped()
    }
}
