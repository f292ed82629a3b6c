//! `longtail data check`

use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use longtail_data::{AnnotationSet, Finding, ImageFolder, ReadOptions, Severity, check};

use crate::{
    Outcome,
    args::{DataCheck, Format},
    printer::Printer,
    tables::{markdown, text},
};

/// Prints the findings; the answer is no if one is an error.
pub fn run(arguments: &DataCheck, printer: &Printer) -> anyhow::Result<Outcome> {
    let options = ReadOptions { images: arguments.images.clone(), ..Default::default() };
    let set = AnnotationSet::open(&arguments.annotations, &options)?;
    let folder = arguments.images.as_deref().map(ImageFolder::new);
    let bar = ProgressBar::new(if folder.is_some() { set.images.len() as u64 } else { 0 });
    bar.set_style(ProgressStyle::with_template("decoding images {bar:24} {pos}/{len}  {eta} left")?);
    let done = AtomicU64::new(0);
    let findings =
        check(&set, folder.as_ref(), &|| bar.set_position(done.fetch_add(1, Ordering::Relaxed) + 1));
    bar.finish_and_clear();
    let word = |severity: Severity| match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let row = |f: &Finding| {
        vec![word(f.severity).to_owned(), f.count.to_string(), f.message.to_owned(), f.examples.join("\n")]
    };
    let rows: Vec<Vec<String>> = findings.iter().map(row).collect();
    let heading = ["severity", "count", "finding", "first entries"];
    match arguments.format {
        Format::Json => printer.data(&serde_json::to_string_pretty(&findings)?)?,
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(["severity", "count", "finding", "first entries"])?;
            for f in &findings {
                writer.serialize((word(f.severity), f.count, &f.message, f.examples.join("; ")))?;
            }
            printer.data(&String::from_utf8(writer.into_inner()?)?)?;
        }
        Format::Text if findings.is_empty() => printer.data("nothing to report")?,
        Format::Text => printer.data(&text(&heading, &rows))?,
        Format::Markdown => {
            let rows: Vec<Vec<String>> = rows
                .into_iter()
                .map(|row| row.into_iter().map(|c| c.replace('\n', "; ")).collect())
                .collect();
            printer.data(&markdown(&heading, &rows))?;
        }
    }
    let failed = findings.iter().any(|f| f.severity == Severity::Error);
    Ok(if failed { Outcome::No } else { Outcome::Done })
}
