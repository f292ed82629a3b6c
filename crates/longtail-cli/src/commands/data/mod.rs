//! `longtail data`: one file a subcommand.

mod check;
mod convert;
mod convert_detections;
mod expand_hierarchy;
mod filter;
mod merge;
mod rewrite;
mod split;
mod stats;
mod subset;

use crate::{Outcome, args::Data, printer::Printer};

/// Runs a subcommand.
pub fn run(command: &Data, printer: &Printer) -> anyhow::Result<Outcome> {
    match command {
        Data::Stats(arguments) => stats::run(arguments, printer),
        Data::Check(arguments) => check::run(arguments, printer),
        Data::ExpandHierarchy(arguments) => expand_hierarchy::run(arguments, printer),
        Data::Convert(arguments) => convert::run(arguments, printer),
        Data::ConvertDetections(arguments) => convert_detections::run(arguments, printer),
        Data::Merge(arguments) => merge::run(arguments, printer),
        Data::Split(arguments) => split::run(arguments, printer),
        Data::Subset(arguments) => subset::run(arguments, printer),
        Data::Filter(arguments) => filter::run(arguments, printer),
    }
}
