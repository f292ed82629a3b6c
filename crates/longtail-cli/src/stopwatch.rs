//! How long the phases of a command take.

use std::time::{Duration, Instant};

/// Seconds of the phases.
pub struct Stopwatch {
    last: Instant,
    phases: Vec<(&'static str, Duration)>,
}

impl Default for Stopwatch {
    fn default() -> Self {
        Self { last: Instant::now(), phases: Vec::new() }
    }
}

impl Stopwatch {
    /// Ends a phase, and starts the next.
    pub fn lap(&mut self, name: &'static str) {
        self.phases.push((name, self.last.elapsed()));
        self.last = Instant::now();
    }

    /// Takes a part of the last phase out of it.
    pub fn split(&mut self, name: &'static str, part: Duration) {
        if let Some((_, last)) = self.phases.last_mut() {
            *last = last.saturating_sub(part);
        }
        self.phases.insert(self.phases.len().saturating_sub(1), (name, part));
    }

    /// Phases of 1 ms and more.
    pub fn phases(&self) -> String {
        let shown = self.phases.iter().filter(|(_, time)| time.as_millis() > 0);
        let shown: Vec<String> =
            shown.map(|(name, time)| format!("{name} {:.3} s", time.as_secs_f64())).collect();
        shown.join(", ")
    }
}
