//! Progress on standard error, and Ctrl-C: the same for a run and for a sweep over a bank.

mod run;
mod sweep;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use longtail_eval::Metric;

pub use run::Progress;
pub use sweep::SweepProgress;

use crate::printer::Printer;

/// Columns where the terminal does not say.
const USUAL_COLUMNS: usize = 80;

/// Ctrl-C: once asks to save and stop, twice ends the process with 130.
#[derive(Debug, Clone)]
struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Catches Ctrl-C for the rest of the process; `saved` is what is written before it ends.
    ///
    /// # Errors
    /// If another handler is installed already.
    fn catch(printer: Printer, saved: &'static str) -> anyhow::Result<Self> {
        let asked = Self(Arc::new(AtomicBool::new(false)));
        let handler = asked.clone();
        ctrlc::set_handler(move || {
            if handler.0.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
            printer.note(&format!("\ninterrupted: saving {saved}; press Ctrl-C again to leave now"));
        })?;
        Ok(asked)
    }

    fn requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// A bar in a line that fits into `columns`.
fn bar(total: u64, target: ProgressDrawTarget, columns: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), target);
    if let Ok(style) = ProgressStyle::with_template(&template(columns)) {
        bar.set_style(style.progress_chars("━╸─"));
    }
    // The first bar only waits for work.
    if total > 0 {
        bar.enable_steady_tick(Duration::from_millis(500));
    }
    bar
}

/// What is done, a bar, how far, how long, and a short message. The last column stays free: some terminals
/// wrap there.
fn template(columns: usize) -> String {
    if columns >= 90 {
        let bar = (columns - 79).min(40);
        format!(
            "{{prefix:<28!}} {{bar:{bar}}} {{pos:>5}}/{{len:<5}} {{elapsed:>4}} elapsed, {{eta:>4}} left  {{msg:<11!}}"
        )
    } else {
        let bar = columns.saturating_sub(50).max(4);
        format!("{{prefix:<20!}} {{bar:{bar}}} {{percent:>3}}% {{eta:>4}} left  {{msg:<11!}}")
    }
}

fn terminal_columns() -> usize {
    terminal_size::terminal_size_of(std::io::stderr()).map_or(USUAL_COLUMNS, |(width, _)| width.0.into())
}

/// A headline and its parts by frequency in percent.
fn metrics_line(headline: &Metric, value: impl Fn(&Metric) -> Option<f64>) -> String {
    let part = |metric: &Metric| {
        format!("{metric} {}", value(metric).map_or("–".to_owned(), |v| format!("{:.1}", 100.0 * v)))
    };
    headline.with_groups().each_ref().map(part).join("  ")
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use indicatif::TermLike;

    use super::*;

    /// A terminal that keeps what is written.
    #[derive(Debug)]
    struct Paper {
        columns: u16,
        written: Arc<Mutex<String>>,
    }

    impl TermLike for Paper {
        fn width(&self) -> u16 {
            self.columns
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)?;
            self.write_str("\n")
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.written.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            self.write_str("\n")
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_bar_fits_into_terminals_of_60_to_200_columns() {
        for columns in 60..=200 {
            let written = Arc::new(Mutex::new(String::new()));
            let paper = Paper { columns, written: Arc::clone(&written) };
            let target = ProgressDrawTarget::term_like(Box::new(paper));
            let bar = bar(90_000, target, columns.into());
            bar.set_prefix("stage 2 of 2: a name that is longer than its column");
            bar.set_position(12_345);
            bar.set_message("loss 123456.789");
            bar.tick();
            bar.abandon();
            let text = written.lock().unwrap().clone();
            let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
            assert!(!lines.is_empty(), "{columns}: nothing was drawn");
            for line in &lines {
                assert!(line.chars().count() < usize::from(columns), "{columns}: {line}");
            }
            let last = lines[lines.len() - 1];
            for part in ["stage 2 of 2", "loss 123456", "─"] {
                assert!(last.contains(part), "{columns}: no {part} in {last}");
            }
        }
    }

    #[test]
    fn undefined_metrics_are_dashes() {
        let line = metrics_line(&Metric::AP, |metric| (metric.to_string() == "APf").then_some(0.4567));
        assert_eq!(line, "AP –  APr –  APc –  APf 45.7");
    }
}
