//! `longtail data`: one file a subcommand.

mod check;
mod expand_hierarchy;
mod stats;

use crate::{Outcome, args::Data, printer::Printer};

/// Runs a subcommand.
pub fn run(command: &Data, printer: &Printer) -> anyhow::Result<Outcome> {
    match command {
        Data::Stats(arguments) => stats::run(arguments, printer),
        Data::Check(arguments) => check::run(arguments, printer),
        Data::ExpandHierarchy(arguments) => expand_hierarchy::run(arguments, printer),
    }
}
