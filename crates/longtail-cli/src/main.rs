//! The command line tool `longtail`: arguments, output and exit codes; the work is done in the other crates.
//!
//! Exit codes: 0 done; 1 ran, and the answer is no; 2 bad usage or input; 130 interrupted.

mod args;
mod commands;
mod draw;
mod printer;
mod progress;
mod scenes;
mod stopwatch;
mod tables;

use std::process::ExitCode;

use clap::Parser;

use crate::{args::Arguments, printer::Printer};

/// Keeps freed memory for the next tensor: a step's tensors are large, and fresh pages would cost a tenth of
/// a ResNet-50 step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a command that ran has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Exit code 0.
    Done,
    /// Exit code 1: it ran, and the answer is no.
    No,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let printer = Printer::new();
    match commands::dispatch(arguments, &printer) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::No) => ExitCode::from(1),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            printer.error(&error);
            ExitCode::from(if commands::is_interruption(&error) { 130 } else { 2 })
        }
    }
}

/// Whether the reader of our output went away, as `| head` does.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
