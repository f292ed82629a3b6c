//! `longtail completions`

use clap::CommandFactory;

use crate::{Outcome, args::Arguments, printer::Printer};

/// Prints the completions of a shell.
pub fn run(shell: clap_complete::Shell, printer: &Printer) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "longtail", &mut script);
    printer.data(&String::from_utf8_lossy(&script))?;
    Ok(Outcome::Done)
}
