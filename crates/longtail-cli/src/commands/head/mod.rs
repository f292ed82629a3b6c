//! `longtail head`

mod apply;
mod eval;
mod sweep;
mod train;

use longtail_head::{HeadFile, sweep::Reports};
use longtail_report::{
    ReportData, TruthName,
    run::{method, train_images},
};
use longtail_run::ClassifierResult;

use crate::{Outcome, args::Head, printer::Printer};

/// Runs the command of the arguments.
pub fn run(command: &Head, printer: &Printer) -> anyhow::Result<Outcome> {
    match command {
        Head::Train(arguments) => train::run(arguments, printer),
        Head::Eval(arguments) => eval::run(arguments, printer),
        Head::Sweep(arguments) => sweep::run(arguments, printer),
        Head::Apply(arguments) => apply::run(arguments, printer),
    }
}

/// Heads with their reports, as tables and pages show them.
fn report_of(
    title: &str,
    truths: Vec<(String, String)>,
    heads: Vec<(String, &HeadFile, Reports)>,
) -> ReportData {
    let train_images = heads.first().map(|(_, file, _)| train_images(&file.classes));
    let methods = heads.into_iter().map(|(name, file, reports)| {
        method(&ClassifierResult {
            name,
            stage: "head".into(),
            iterations: file.training.as_ref().map_or(0, |training| training.iterations),
            loss: file.loss.clone(),
            correction: file.correction,
            reports: reports.into_iter().collect(),
            detections: String::new(),
        })
    });
    ReportData {
        title: title.to_owned(),
        methods: methods.collect(),
        truths: truths.into_iter().map(|(name, label)| TruthName { name, label }).collect(),
        train_images: train_images.unwrap_or_default(),
        ..ReportData::default()
    }
}
