//! One file a command.

mod again;
mod calibrate;
mod compare;
mod completions;
mod data;
mod demo;
mod demo_budget;
mod emoji;
mod eval;
mod eval_open_images;
mod explain;
mod features;
mod head;
mod intervals;
mod predict;
mod report;
mod sweep;
mod train;
mod tune;
mod weights;

pub use again::is_interruption;

use crate::{
    Outcome,
    args::{Arguments, Command},
    printer::Printer,
};

/// Runs the command of the arguments.
pub fn dispatch(arguments: Arguments, printer: &Printer) -> anyhow::Result<Outcome> {
    match arguments.command {
        Command::Demo(arguments) => demo::run(&arguments, printer),
        Command::Emoji(command) => emoji::run(&command, printer),
        Command::Data(command) => data::run(&command, printer),
        Command::Train(arguments) => train::run(&arguments, printer),
        Command::Features(command) => features::run(&command, printer),
        Command::Head(command) => head::run(&command, printer),
        Command::Sweep(arguments) => sweep::run(&arguments, printer),
        Command::Tune(arguments) => tune::run(&arguments, printer),
        Command::Explain(command) => explain::run(&command, printer),
        Command::Predict(arguments) => predict::run(&arguments, printer),
        Command::Eval(arguments) => eval::run(&arguments, printer),
        Command::Calibrate(arguments) => calibrate::run(&arguments, printer),
        Command::Compare(arguments) => compare::run(&arguments, printer),
        Command::Weights(command) => weights::run(&command, printer),
        Command::Report(arguments) => report::run(&arguments, printer),
        Command::Completions { shell } => completions::run(shell, printer),
    }
}
