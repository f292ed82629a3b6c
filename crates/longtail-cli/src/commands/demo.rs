//! `longtail demo`

use std::path::Path;

use longtail_head::Length;
use longtail_report::Table;
use longtail_run::{RunFolder, next_run_path};
use longtail_train::Recipe;

use crate::{
    Outcome,
    args::Demo,
    commands::{again::with_resume_hint, demo_budget, train::command_line},
    printer::Printer,
    progress::Progress,
    scenes,
    tables::print_table,
};

/// The whole comparison.
pub(super) const RECIPE: &str = include_str!("../../../../configs/demo.toml");

/// What `--quick` changes: a smaller world and fewer steps, the same stages and classifiers.
const QUICK: [&str; 7] = [
    "data.classes=12",
    "data.images=600",
    "data.validation_images=100",
    "data.image_size=128",
    "stages.0.length.iterations=700",
    "stages.0.evaluate_every=0",
    "stages.1.length.iterations=200",
];

/// Trains on the embedded benchmark and prints the comparison.
pub fn run(arguments: &Demo, printer: &Printer) -> anyhow::Result<Outcome> {
    let mut overrides = overrides(arguments);
    let mut recipe = Recipe::parse(RECIPE, &overrides)?;
    if arguments.print_recipe {
        printer.data(&recipe.to_toml())?;
        return Ok(Outcome::Done);
    }
    let device = arguments.device.open(printer)?;
    let path = arguments.out.clone().unwrap_or_else(|| next_run_path(&Path::new("runs").join(&recipe.name)));
    let folder = RunFolder::open(&path, arguments.resume)?;
    printer.note(&format!("run folder: {}", path.display()));
    if arguments.resume {
        // As long as it was begun with; everything else must be as it was, or the run refuses.
        let begun = &Recipe::read(&folder.join("config.toml"), &[])?.stages[0];
        if let Length::Iterations(iterations) = begun.length {
            overrides.push(format!("stages.0.length.iterations={iterations}"));
            overrides.push(format!("stages.0.evaluate_every={}", begun.evaluate_every));
            recipe = Recipe::parse(RECIPE, &overrides)?;
        }
    } else if !(arguments.quick || arguments.full) {
        printer.note("measuring a few steps");
        let choice = demo_budget::choose(&recipe, &overrides, &device)?;
        printer.note(&choice.words());
        overrides.extend(choice.overrides());
        recipe = Recipe::parse(RECIPE, &overrides)?;
    }
    let mut progress = Progress::new(*printer)?;
    let ran =
        longtail_train::run(&recipe, &folder, arguments.resume, &device, &command_line(), &mut progress);
    with_resume_hint(ran, &path)?;
    let data = scenes::page_data(&path, &mut progress)?;
    super::report::write_page(&data, &path.join("report.html"), printer)?;
    print_table(&Table::of(&data), arguments.format, printer)?;
    if arguments.format == crate::args::Format::Text {
        for remark in &data.remarks {
            printer.data(&format!("\n{remark}"))?;
        }
    }
    Ok(Outcome::Done)
}

fn overrides(arguments: &Demo) -> Vec<String> {
    let mut overrides = vec![format!("seed={}", arguments.seed)];
    if arguments.quick {
        overrides.extend(QUICK.map(str::to_owned));
    }
    let given = [
        ("data.classes", arguments.classes.map(|v| v.to_string())),
        ("data.images", arguments.images.map(|v| v.to_string())),
        ("data.image_size", arguments.image_size.map(|v| v.to_string())),
    ];
    overrides.extend(given.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", value?))));
    overrides
}
