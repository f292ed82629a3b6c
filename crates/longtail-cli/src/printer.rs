//! The one place that writes to the terminal: data on standard output, talk on standard error.

use std::{
    fmt,
    io::{IsTerminal, Write},
};

/// Owns standard output and standard error.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    colour: bool,
}

/// A command that mends an error, or says more about it: printed under the error as a line of its own.
///
/// It travels as the context of the error: `result.context(Hint(command))`.
#[derive(Debug)]
pub struct Hint(pub String);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
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

    /// An error with its causes, and the hint that came with it.
    pub fn error(&self, error: &anyhow::Error) {
        let label = |name: &str, code: &str| {
            if self.colour { format!("\u{1b}[{code}m{name}\u{1b}[0m") } else { name.to_owned() }
        };
        self.note(&words_of(error, &label("error", "1;31"), &label("hint", "1;36")));
    }
}

fn words_of(error: &anyhow::Error, label: &str, hint_label: &str) -> String {
    let hint = error.downcast_ref::<Hint>().map(|hint| hint.0.as_str());
    let mut causes = error.chain().map(ToString::to_string).filter(|cause| Some(cause.as_str()) != hint);
    let mut last = causes.next().unwrap_or_default();
    let mut text = format!("{label}: {last}");
    for cause in causes {
        // Transparent errors repeat their source word for word.
        if !last.contains(&cause) {
            text.push_str(&format!("\n  because: {cause}"));
        }
        last = cause;
    }
    if let Some(hint) = hint {
        text.push_str(&format!("\n{hint_label}: {hint}"));
    }
    text
}

/// Columns that text on standard output may take: `COLUMNS`, or the terminal's width. Files and pipes have
/// none.
pub fn columns() -> Option<usize> {
    let asked = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).filter(|&n| n > 0);
    asked.or_else(|| terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| width.0.into()))
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn a_hint_is_the_last_line_and_a_cause_is_said_once() {
        let failed: anyhow::Result<()> = Err(anyhow!("no such file"));
        let error = failed.context("cannot read a.toml").context(Hint("longtail demo".into())).unwrap_err();
        assert_eq!(
            words_of(&error, "error", "hint"),
            "error: cannot read a.toml\n  because: no such file\nhint: longtail demo"
        );
        let repeated = anyhow!("no such file").context("cannot read a.toml: no such file");
        assert_eq!(words_of(&repeated, "error", "hint"), "error: cannot read a.toml: no such file");
    }
}
