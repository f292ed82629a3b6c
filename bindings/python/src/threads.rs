//! Work on threads of our own, without the GIL, while Ctrl-C is answered.
//!
//! The pool belongs to the process that made it: after `fork` its threads are gone in the child, and a pool
//! that waits for them waits forever. So the child makes its own, and the parent's is left as it is.

use std::{
    env, process,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use pyo3::{exceptions::PyRuntimeError, prelude::*};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// How often a waiting call looks whether Ctrl-C was pressed.
const LOOK: Duration = Duration::from_millis(50);

/// The pool of a process, with its number of threads.
struct Pool {
    process: u32,
    threads: usize,
    pool: Arc<ThreadPool>,
}

/// The last pool made. A forked child inherits it, and possibly as locked: it is never waited for.
static POOL: Mutex<Option<Pool>> = Mutex::new(None);

/// Threads of a call: as asked for, else `RAYON_NUM_THREADS`, else the processors shared among the processes
/// of this machine (`LOCAL_WORLD_SIZE`, as `torchrun` sets it).
fn threads_of(asked: Option<usize>) -> usize {
    let number =
        |name: &str| env::var(name).ok().and_then(|text| text.parse::<usize>().ok()).filter(|n| *n > 0);
    asked.filter(|n| *n > 0).or_else(|| number("RAYON_NUM_THREADS")).unwrap_or_else(|| {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        (processors / number("LOCAL_WORLD_SIZE").unwrap_or(1)).max(1)
    })
}

/// Threads that a call without `threads` would use.
#[pyfunction]
pub(crate) fn thread_count() -> usize {
    threads_of(None)
}

fn pool(threads: usize) -> PyResult<Arc<ThreadPool>> {
    let process = process::id();
    let mut last = POOL.try_lock().ok();
    if let Some(Some(known)) = last.as_deref()
        && known.process == process
        && known.threads == threads
    {
        return Ok(known.pool.clone());
    }
    let name = |index| format!("longtail-{index}");
    let built = ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build();
    let pool =
        Arc::new(built.map_err(|e| PyRuntimeError::new_err(format!("cannot start {threads} threads: {e}")))?);
    if let Some(last) = &mut last {
        let old = last.replace(Pool { process, threads, pool: pool.clone() });
        if let Some(old) = old.filter(|old| old.process != process) {
            // Its threads are of the parent; ending it would wait for them.
            std::mem::forget(old);
        }
    }
    Ok(pool)
}

/// Whether work shall end early: set by Ctrl-C, looked at by work that can stop.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// [`work_until`], of work that does not look for a request to stop.
///
/// # Errors
/// As [`work_until`].
pub(crate) fn work<T: Send + 'static>(
    py: Python<'_>,
    threads: Option<usize>,
    task: impl FnOnce() -> T + Send + 'static,
) -> PyResult<T> {
    work_until(py, threads, &Stop::default(), task)
}

/// Does work on the pool and waits for it without the GIL. Ctrl-C raises `KeyboardInterrupt` at once; the
/// work, which owns all that it reads, ends by itself behind it, sooner if it looks at `stop`.
///
/// # Errors
/// That of Ctrl-C, or if no thread can be started; and a panic, which is a bug, is raised as `RuntimeError`.
pub(crate) fn work_until<T: Send + 'static>(
    py: Python<'_>,
    threads: Option<usize>,
    stop: &Stop,
    task: impl FnOnce() -> T + Send + 'static,
) -> PyResult<T> {
    let pool = pool(threads_of(threads))?;
    let (sender, receiver) = mpsc::channel();
    pool.spawn(move || {
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(task));
        // Nobody listens any more after Ctrl-C.
        let _ = sender.send(found);
    });
    let mut receiver = receiver;
    loop {
        let (found, back) = py.detach(move || (receiver.recv_timeout(LOOK), receiver));
        receiver = back;
        match found {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(panic)) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                let text = text.unwrap_or_default();
                return Err(PyRuntimeError::new_err(format!("a bug in longtail, please report it: {text}")));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => py.check_signals().inspect_err(|_| stop.request())?,
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(PyRuntimeError::new_err("a thread of longtail ended before its work was done"));
            }
        }
    }
}
