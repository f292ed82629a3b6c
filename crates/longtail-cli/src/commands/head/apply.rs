//! `longtail head apply`

use anyhow::Context;
use longtail_head::{ExportFormat, Head, export};
use longtail_train::{bank::FeatureSource, head::apply};

use crate::{
    Outcome,
    args::{Format, Framework, HeadApply},
    printer::Printer,
    progress::Progress,
    tables::print_table,
};

/// Puts a head back.
pub fn run(arguments: &HeadApply, printer: &Printer) -> anyhow::Result<Outcome> {
    let (head, file) = Head::read(&arguments.head)?;
    if let Some(framework) = arguments.to {
        arguments.device.expect_processor("writing a classifier")?;
        let format = match framework {
            Framework::Torchvision => ExportFormat::Torchvision,
            Framework::Mmdetection => ExportFormat::Mmdetection,
            Framework::Detectron2 => ExportFormat::Detectron2,
        };
        export(&head, &file, &arguments.head, format, &arguments.out)?;
        printer.note(&format!("classifier: {}", arguments.out.display()));
        return Ok(Outcome::Done);
    }
    let given = arguments.run.as_ref().context("--run or --to is needed")?;
    let source = FeatureSource::open(given, None, None, &[])?;
    // A checkpoint lies two folders below its run.
    let run = source.path.ancestors().nth(2).context("a checkpoint lies in a run folder")?.to_owned();
    let mut progress = Progress::new(*printer)?;
    let results = apply(
        &head,
        &file,
        &arguments.head,
        &source,
        &run,
        &arguments.out,
        arguments.evaluate,
        &arguments.device.open(printer)?,
        &mut progress,
    )?;
    printer.note(&format!("repaired run: {}", arguments.out.display()));
    if results.classifiers.iter().any(|classifier| !classifier.reports.is_empty()) {
        let table = longtail_report::run::table(std::slice::from_ref(&arguments.out))?;
        print_table(&table, Format::Text, printer)?;
    }
    Ok(Outcome::Done)
}
