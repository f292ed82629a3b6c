//! Progress of work on standard error, and Ctrl-C.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use longtail_run::{Event, Observer};

use crate::printer::Printer;

/// Ctrl-C: once asks the work to save and stop, twice ends the process.
#[derive(Clone)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Catches Ctrl-C from here on.
    ///
    /// # Errors
    /// If another handler is installed already.
    pub fn catch(printer: Printer) -> anyhow::Result<Self> {
        let asked = Self(Arc::new(AtomicBool::new(false)));
        let flag = Arc::clone(&asked.0);
        ctrlc::set_handler(move || {
            if flag.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
            printer
                .note("\ninterrupted: saving a checkpoint after this step; press Ctrl-C again to leave now");
        })?;
        Ok(asked)
    }

    /// Whether the user asked to stop.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// A bar of `total` units with a name of up to `width` columns and the remaining time; nothing is shown before it is added
/// to a display or ticks.
pub fn bar(total: u64, width: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    let template = format!(
        "{{prefix:<{width}!}} {{bar:24}} {{pos:>5}}/{{len:<5}} {{elapsed:>4}} elapsed, {{eta:>4}} left  {{msg}}"
    );
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar
}

/// A metric in percent with its name; a dash if it is undefined.
pub fn percent(name: &str, value: Option<f64>) -> String {
    format!("{name} {}", value.map_or("–".to_owned(), |value| format!("{:.1}", 100.0 * value)))
}

/// A progress bar with remaining time; hidden when standard error is no terminal, where notes are plain lines.
pub struct Progress {
    printer: Printer,
    bar: ProgressBar,
    phase: String,
    interrupt: Interrupt,
}

impl Progress {
    /// A bar that catches Ctrl-C.
    ///
    /// # Errors
    /// If another handler is installed already.
    pub fn new(printer: Printer) -> anyhow::Result<Self> {
        let interrupt = Interrupt::catch(printer)?;
        Ok(Self { printer, bar: Self::bar(0), phase: String::new(), interrupt })
    }

    fn bar(total: u64) -> ProgressBar {
        let bar = bar(total, 28);
        // The first bar only waits for work.
        if total > 0 {
            bar.enable_steady_tick(Duration::from_millis(500));
        }
        bar
    }

    fn advance(&mut self, phase: String, done: u64, total: u64, message: String) {
        if phase != self.phase || total != self.bar.length().unwrap_or(0) {
            if self.bar.length() != Some(0) {
                self.bar.finish();
            }
            if self.bar.is_hidden() {
                self.printer.note(&phase);
            }
            self.bar = Self::bar(total);
            self.bar.set_position(done.saturating_sub(1));
            self.bar.reset_eta();
            self.bar.set_prefix(phase.clone());
            self.phase = phase;
        }
        self.bar.set_position(done);
        self.bar.set_message(message);
        if done == total {
            self.bar.finish();
            self.phase.clear();
        }
    }
}

impl Observer for Progress {
    fn observe(&mut self, event: Event<'_>) {
        match event {
            Event::Progress { task, done, total } => {
                self.advance(task.to_owned(), done, total, String::new())
            }
            Event::Step { stage, stage_index, stages, done, total, loss } => {
                let phase = format!("stage {} of {stages}: {stage}", stage_index + 1);
                self.advance(phase, done, total, format!("loss {loss:.3}"));
            }
            Event::Logged(record) if self.bar.is_hidden() => {
                // Without a terminal: a line now and then, not one a step.
                let round = record.iteration % 200 == 0;
                if round {
                    let rate = record.images_per_second;
                    self.printer.note(&format!("  iteration {}  {rate:.1} images/s", record.iteration));
                }
            }
            Event::Logged(_) => {}
            Event::Evaluated(record) => {
                // The challenge has a name of its own for its mean.
                let mean = if record.metrics.contains_key("mAP50") { "mAP50" } else { "AP" };
                let value = |suffix: &str| {
                    let name = format!("{mean}{suffix}");
                    percent(&name, record.metrics.get(&name).copied().flatten())
                };
                let line = format!(
                    "  {} · {} after {}: {}",
                    record.classifier,
                    record.truth,
                    record.iteration,
                    ["", "r", "c", "f"].map(value).join("  ")
                );
                self.bar.suspend(|| self.printer.note(&line));
            }
            Event::Note(text) => self.bar.suspend(|| self.printer.note(text)),
        }
    }

    fn stop_requested(&self) -> bool {
        self.interrupt.requested()
    }
}
