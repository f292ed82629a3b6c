//! `longtail data check`

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use indicatif::{ProgressBar, ProgressStyle};
use longtail_curate::{Change, CheckOptions, Finding, Kind, Severity, check, fix};
use longtail_data::ImageFolder;
use serde_json::json;

use super::open;
use crate::{
    Outcome,
    args::{DataCheck, Format},
    printer::Printer,
    tables::{markdown, text},
};

/// Repairs of a kind that the terminal shows.
const SHOWN: usize = 3;

/// Prints the findings; the answer is no if one is an error that stays.
pub fn run(arguments: &DataCheck, printer: &Printer) -> anyhow::Result<Outcome> {
    let (part, images) = (arguments.part.as_deref(), arguments.images.as_deref());
    let (set, remarks) = open(&arguments.annotations, part, images, arguments.no_index, printer)?;
    let (part, images) = (arguments.against_part.as_deref(), arguments.against_images.as_deref());
    let other = arguments.against.as_deref();
    let other = other.map(|path| open(path, part, images, arguments.no_index, printer)).transpose()?;
    let other = match other {
        // What cannot be read of the other set is for a check of its own.
        Some((set, remarks)) => {
            remarks.refuse_unreadable(arguments.against.as_deref().unwrap_or(Path::new("")))?;
            Some(set)
        }
        None => None,
    };
    let folder = arguments.images.as_deref().map(ImageFolder::new);
    let other_folder = arguments.against_images.as_deref().map(ImageFolder::new);
    let options = CheckOptions {
        remarks: Some(&remarks),
        images: folder.as_ref(),
        against: other.as_ref(),
        against_images: other_folder.as_ref(),
    };
    let bar = ProgressBar::new(options.images_to_decode(&set) as u64);
    bar.set_style(ProgressStyle::with_template("decoding images {bar:24} {pos}/{len}  {eta} left")?);
    let done = AtomicU64::new(0);
    let checked = check(&set, &options, &|| bar.set_position(done.fetch_add(1, Ordering::Relaxed) + 1));
    bar.finish_and_clear();
    // What is in the way of a repair is among the findings: they are printed whatever becomes of the copy.
    let in_the_way = |f: &&Finding| f.kind.is_misreading() || f.kind == Kind::EntryUnreadable;
    let changes = match (&arguments.fix, checked.findings.iter().find(in_the_way)) {
        (Some(_), Some(finding)) => {
            printer.note(&format!("no repaired copy was written: first see to the {}", finding.message));
            None
        }
        (Some(target), None) => {
            let changes = fix(&arguments.annotations, &checked.sizes, target)?;
            printer.note(&match changes.len() {
                0 => "nothing that can be repaired: no file was written".to_owned(),
                count => format!("{count} repairs: {}", target.display()),
            });
            Some(changes)
        }
        (None, _) => None,
    };
    let output = match (arguments.format, &changes) {
        (Format::Json, None) => serde_json::to_string_pretty(&checked.findings)?,
        (Format::Json, Some(changes)) => {
            serde_json::to_string_pretty(&json!({"findings": checked.findings, "changes": changes}))?
        }
        (Format::Csv, None) => findings_csv(&checked.findings)?,
        (Format::Csv, Some(changes)) => changes_csv(changes)?,
        (Format::Text | Format::Markdown, _) => {
            tables(&checked.findings, changes.as_deref(), arguments.format)
        }
    };
    printer.data(&output)?;
    let stays = |f: &&Finding| !(changes.is_some() && f.fixable);
    let failed = checked.findings.iter().filter(stays).any(|f| f.severity == Severity::Error);
    Ok(if failed { Outcome::No } else { Outcome::Done })
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

fn findings_csv(findings: &[Finding]) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["severity", "count", "kind", "finding", "first entries", "fixable"])?;
    for f in findings {
        let examples = f.examples.join("; ");
        writer.serialize((word(f.severity), f.count, f.kind, f.message, examples, f.fixable))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

fn changes_csv(changes: &[Change]) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["kind", "entry", "action"])?;
    for c in changes {
        writer.serialize((c.kind, &c.entry, &c.action))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

fn tables(findings: &[Finding], changes: Option<&[Change]>, format: Format) -> String {
    let table = |heading: &[&str], rows: Vec<Vec<String>>| match format {
        Format::Markdown => {
            let in_a_line = |row: &Vec<String>| row.iter().map(|cell| cell.replace('\n', "; ")).collect();
            let rows: Vec<Vec<String>> = rows.iter().map(in_a_line).collect();
            markdown(heading, &rows)
        }
        _ => text(heading, &rows),
    };
    let row = |f: &Finding| {
        let fixable = if f.fixable { "yes" } else { "" };
        let (severity, count) = (word(f.severity).to_owned(), f.count.to_string());
        vec![severity, count, f.message.to_owned(), f.examples.join("\n"), fixable.to_owned()]
    };
    let mut parts = vec![if findings.is_empty() && format == Format::Text {
        "nothing to report".to_owned()
    } else {
        let heading = ["severity", "count", "finding", "first entries", "--fix"];
        table(&heading, findings.iter().map(row).collect())
    }];
    let mut kinds: Vec<Vec<&Change>> = Vec::new();
    for change in changes.unwrap_or_default() {
        match kinds.iter_mut().find(|kind| kind[0].kind == change.kind) {
            Some(kind) => kind.push(change),
            None => kinds.push(vec![change]),
        }
    }
    if !kinds.is_empty() {
        let row = |kind: &Vec<&Change>| {
            let mut first: Vec<String> =
                kind.iter().take(SHOWN).map(|c| format!("{}: {}", c.entry, c.action)).collect();
            if kind.len() > SHOWN {
                first.push("…".into());
            }
            vec![kind.len().to_string(), kind[0].kind.message().to_owned(), first.join("\n")]
        };
        parts.push("repaired (--format json or csv lists every change)".into());
        parts.push(table(&["count", "finding", "what was done"], kinds.iter().map(row).collect()));
    }
    parts.join("\n\n")
}
