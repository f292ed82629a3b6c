//! `longtail features`

mod extract;
mod import;
mod info;

pub(crate) use extract::words;

use crate::{Outcome, args::Features, printer::Printer};

/// Runs the command of the arguments.
pub fn run(command: &Features, printer: &Printer) -> anyhow::Result<Outcome> {
    match command {
        Features::Extract(arguments) => extract::run(arguments, printer),
        Features::Import(arguments) => import::run(arguments, printer),
        Features::Info(arguments) => info::run(arguments, printer),
    }
}
