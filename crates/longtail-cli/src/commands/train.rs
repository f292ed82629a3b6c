//! `longtail train`

use std::path::Path;

use longtail_run::{RunFolder, next_run_path};
use longtail_train::Recipe;

use crate::{Outcome, args::Train, commands::again::with_resume_hint, printer::Printer, progress::Progress};

/// Runs a recipe.
pub fn run(arguments: &Train, printer: &Printer) -> anyhow::Result<Outcome> {
    let recipe = Recipe::read(&arguments.recipe, &arguments.overrides)?;
    let device = arguments.device.open(printer)?;
    let path = match &arguments.out {
        Some(path) => path.clone(),
        None => next_run_path(&Path::new("runs").join(&recipe.name)),
    };
    let folder = RunFolder::open(&path, arguments.resume)?;
    printer.note(&format!("run folder: {}", path.display()));
    let mut progress = Progress::new(*printer)?;
    let ran =
        longtail_train::run(&recipe, &folder, arguments.resume, &device, &command_line(), &mut progress);
    with_resume_hint(ran, &path)?;
    super::report::write(&path, printer)?;
    Ok(Outcome::Done)
}

/// The command line as typed, with the program's plain name.
pub fn command_line() -> String {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    format!("longtail {arguments}")
}
