//! `longtail head eval`

use longtail_bank::Bank;
use longtail_eval::write_detections;
use longtail_head::{Head, Inputs};
use longtail_report::Table;
use longtail_train::{
    bank::truth::Truths,
    head::{detect, test_rules},
};

use crate::{Outcome, args::HeadEval, commands::head::report_of, printer::Printer, tables::print_table};

/// Scores a head on stored proposals.
pub fn run(arguments: &HeadEval, printer: &Printer) -> anyhow::Result<Outcome> {
    let (head, file) = Head::read(&arguments.head)?;
    let bank = Bank::open(&arguments.bank)?;
    let header = bank.header();
    let other = arguments.bank.display().to_string();
    file.check(&arguments.head, head.inputs(), &Inputs::of(&other, header))?;
    let rules = test_rules(&bank)?;
    let found = detect(&bank, &head, file.build_loss()?.as_ref(), &rules)?;
    if let Some(path) = &arguments.detections {
        write_detections(path, &found)?;
        printer.note(&format!("detections: {}", path.display()));
    }
    let truths = Truths::of(&bank)?;
    if truths.names().is_empty() {
        printer.note(&format!("{other} has no ground truth to score against; {} detections", found.len()));
        return Ok(Outcome::Done);
    }
    let reports = truths.score(&found)?;
    let data = report_of("longtail head", truths.names(), vec![(file.name.clone(), &file, reports)]);
    print_table(&Table::of(&data), arguments.format, printer)?;
    Ok(Outcome::Done)
}
