//! `longtail data`: one file a subcommand.

mod check;
mod stats;

use crate::{Outcome, args::Data, printer::Printer};

/// Runs a subcommand.
pub fn run(command: &Data, printer: &Printer) -> anyhow::Result<Outcome> {
    match command {
        Data::Stats(arguments) => stats::run(arguments, printer),
        Data::Check(arguments) => check::run(arguments, printer),
    }
}
