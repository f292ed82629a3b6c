//! `longtail report`

use std::path::Path;

use longtail_report::{
    ReportData, Table,
    run::{remark, table},
};
use longtail_run::{Results, RunError, Silent, write_atomically};
use std::io::Write;

use crate::{
    Outcome,
    args::{Format, Report},
    commands::intervals,
    printer::Printer,
    scenes,
    tables::print_table,
};

/// Writes the page of a run, or prints mean ± standard deviation of several.
pub fn run(arguments: &Report, printer: &Printer) -> anyhow::Result<Outcome> {
    if arguments.intervals {
        return intervals::print(&arguments.runs, arguments.format, printer);
    }
    let table = match arguments.runs.as_slice() {
        [run] => {
            let data = scenes::page_data(run, &mut Silent)?;
            let path = arguments.out.clone().unwrap_or_else(|| run.join("report.html"));
            write_page(&data, &path, printer)?;
            Table::of(&data)
        }
        runs => table(runs)?,
    };
    print_table(&table, arguments.format, printer)?;
    if matches!(arguments.format, Format::Text | Format::Markdown) {
        let results: Result<Vec<Results>, RunError> =
            arguments.runs.iter().map(|run| Results::read(run)).collect();
        if let Some(remark) = remark(&results?) {
            printer.data(&format!("\n{remark}"))?;
        }
    }
    Ok(Outcome::Done)
}

/// Writes the page of a finished run into its folder.
pub fn write(run: &Path, printer: &Printer) -> anyhow::Result<()> {
    let data = scenes::page_data(run, &mut Silent)?;
    write_page(&data, &run.join("report.html"), printer)
}

/// Renders and writes a page.
pub fn write_page(data: &ReportData, path: &Path, printer: &Printer) -> anyhow::Result<()> {
    let page = longtail_report::html(data)?;
    write_atomically(path, |file| file.write_all(page.as_bytes()))?;
    printer.note(&format!("report: {}", path.display()));
    Ok(())
}
