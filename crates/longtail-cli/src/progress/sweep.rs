//! Progress of a sweep over a bank: a line for each head, where it stands.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use longtail_eval::Metric;
use longtail_head::sweep::{Setting, SweepEvent, SweepObserver, jobs};

use super::{Interrupt, bar, metrics_line, terminal_columns};
use crate::printer::Printer;

/// Heads beyond which only those that are being trained have a line.
const MOST_LINES: usize = 30;

/// What is trained, and what came out.
pub struct SweepProgress {
    bars: MultiProgress,
    lines: Vec<ProgressBar>,
    names: Vec<String>,
    columns: usize,
    printer: Printer,
    interrupt: Interrupt,
}

impl SweepProgress {
    /// A line for every setting and seed, and Ctrl-C caught.
    ///
    /// # Errors
    /// If another handler is installed already.
    pub fn new(settings: &[Setting], seeds: &[u64], printer: Printer) -> anyhow::Result<Self> {
        let interrupt = Interrupt::catch(printer, "what is being trained")?;
        let names: Vec<String> = jobs(settings, seeds)
            .into_iter()
            .map(|(index, seed)| format!("{}, seed {seed}", settings[index].name))
            .collect();
        let (bars, columns) =
            (MultiProgress::with_draw_target(ProgressDrawTarget::stderr()), terminal_columns());
        let line = |name: &String| {
            let bar = bar(0, ProgressDrawTarget::hidden(), columns).with_prefix(name.clone());
            if names.len() <= MOST_LINES { bars.add(bar) } else { bar }
        };
        let lines = names.iter().map(line).collect();
        Ok(Self { bars, lines, names, columns, printer, interrupt })
    }

    /// Takes the lines off the terminal.
    pub fn clear(&self) {
        // What stays is only a stale line.
        self.bars.clear().ok();
    }
}

impl SweepObserver for SweepProgress {
    fn observe(&self, event: SweepEvent<'_>) {
        match event {
            SweepEvent::Step { job, done, total, loss } => {
                let bar = &self.lines[job];
                if bar.length() != Some(total) {
                    if self.lines.len() > MOST_LINES {
                        self.bars.add(bar.clone());
                    }
                    bar.set_length(total);
                    bar.enable_steady_tick(Duration::from_millis(500));
                }
                bar.set_position(done);
                bar.set_message(format!("loss {loss:.3}"));
            }
            SweepEvent::Finished { job, result } => {
                let report = result.reports.first().map(|(_, report)| report);
                let line =
                    metrics_line(&Metric::AP, |metric| report.and_then(|report| report.metric(metric)));
                if self.bars.is_hidden() {
                    self.printer.note(&format!("{}: {line}", self.names[job]));
                } else {
                    let name = self.columns.saturating_sub(line.chars().count() + 3).clamp(8, 60);
                    if let Ok(style) = ProgressStyle::with_template(&format!("{{prefix:<{name}!}}  {{msg}}"))
                    {
                        self.lines[job].set_style(style);
                    }
                    self.lines[job].finish_with_message(line);
                }
            }
            SweepEvent::Note(text) => self.bars.suspend(|| self.printer.note(text)),
        }
    }

    fn stop_requested(&self) -> bool {
        self.interrupt.requested()
    }
}
