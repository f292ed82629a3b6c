//! Progress of a run.

use indicatif::{ProgressBar, ProgressDrawTarget};
use longtail_eval::metric;
use longtail_run::{Event, Observer};

use super::{Interrupt, bar, metrics_line, terminal_columns};
use crate::printer::Printer;

/// Iterations between two lines where there is no terminal.
const LINE_EVERY: u64 = 200;

/// A progress bar with remaining time. It is hidden when standard error is not a terminal; notes are plain
/// lines there.
pub struct Progress {
    printer: Printer,
    bar: ProgressBar,
    phase: String,
    /// Iterations of the stage, and the loss of the last one.
    last_step: (u64, f64),
    interrupt: Interrupt,
}

impl Progress {
    /// A bar that catches Ctrl-C: once asks the run to save and stop, twice ends the process.
    ///
    /// # Errors
    /// If another handler is installed already.
    pub fn new(printer: Printer) -> anyhow::Result<Self> {
        let interrupt = Interrupt::catch(printer, "a checkpoint after this step")?;
        let bar = bar(0, ProgressDrawTarget::stderr(), terminal_columns());
        Ok(Self { printer, bar, phase: String::new(), last_step: (0, f64::NAN), interrupt })
    }

    fn advance(&mut self, phase: String, done: u64, total: u64, message: String) {
        if phase != self.phase || total != self.bar.length().unwrap_or(0) {
            if self.bar.length() != Some(0) {
                self.bar.finish();
            }
            if self.bar.is_hidden() {
                self.printer.note(&phase);
            }
            self.bar = bar(total, ProgressDrawTarget::stderr(), terminal_columns());
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
                self.last_step = (total, loss);
                let phase = format!("stage {} of {stages}: {stage}", stage_index + 1);
                self.advance(phase, done, total, format!("loss {loss:.3}"));
            }
            Event::Logged(record) if self.bar.is_hidden() => {
                // Without a terminal: a line now and then, not one a step.
                if record.iteration % LINE_EVERY == 0 {
                    let ((total, loss), rate) = (self.last_step, record.images_per_second);
                    let iteration = record.iteration;
                    self.printer.note(&format!(
                        "  iteration {iteration} of {total}  loss {loss:.3}  {rate:.1} images/s"
                    ));
                }
            }
            Event::Logged(_) => {}
            Event::Evaluated(record) => {
                // The challenge has a name of its own for its mean.
                let headline = metric::headline(record.metrics.keys());
                let metrics = metrics_line(&headline, |metric| record.metrics.get(metric).copied().flatten());
                let line = format!(
                    "  {} · {} after {}: {metrics}",
                    record.classifier, record.truth, record.iteration
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
