//! The one place that writes to the terminal: data on standard output, talk on standard error.

use std::io::{IsTerminal, Write};

/// Owns standard output and standard error.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    colour: bool,
}

impl Printer {
    /// Colour on a terminal, unless `NO_COLOR` is set.
    pub fn new() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colour: wanted && std::io::stderr().is_terminal() }
    }

    /// Data: goes to standard output, as it is.
    ///
    /// # Errors
    /// If the reader went away.
    pub fn data(&self, text: &str) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    /// Talk: goes to standard error.
    pub fn note(&self, text: &str) {
        // Nobody can be told when standard error is closed.
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    /// An error with its causes.
    pub fn error(&self, error: &anyhow::Error) {
        let label = if self.colour { "\u{1b}[1;31merror\u{1b}[0m" } else { "error" };
        let mut text = format!("{label}: {error}");
        let mut last = error.to_string();
        for cause in error.chain().skip(1) {
            let cause = cause.to_string();
            // Transparent errors repeat their source word for word.
            if !last.contains(&cause) {
                text.push_str(&format!("\n  because: {cause}"));
            }
            last = cause;
        }
        self.note(&text);
    }
}
