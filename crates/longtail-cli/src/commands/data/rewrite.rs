//! What the commands that make data sets from data sets share: reading, writing, and telling what was lost.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use longtail_formats::{DataFormat, Document, Losses, Placement, ReadOptions, Remarks, WriteOptions};
use serde::Serialize;

use crate::{
    args::{Format, Place, Reading, Writing},
    printer::Printer,
    tables::{markdown, text},
};

impl Reading {
    /// Opens a data set with everything it says, and with what was left out or looked up.
    pub fn open(&self, path: &Path) -> anyhow::Result<(Document, Remarks)> {
        let options = ReadOptions {
            format: self.from,
            part: self.part.clone(),
            images: self.images.clone(),
            voc_origin: self.voc_origin,
            labels: self.labels,
            boxes: self.boxes,
            ..Default::default()
        };
        let (document, remarks) = Document::inspect(path, &options)?;
        remarks.refuse_unreadable(path)?;
        Ok((document, remarks))
    }
}

/// Says what a reader left out or looked up.
pub fn print_remarks(remarks: &Remarks, printer: &Printer) {
    for remark in remarks.iter() {
        let first: Vec<&str> = remark.examples.iter().take(2).map(String::as_str).collect();
        let more = if remark.count > first.len() { "; …" } else { "" };
        printer.note(&format!("{} × {}: {}{more}", remark.count, remark.kind.message(), first.join("; ")));
    }
}

/// Where a data set goes.
pub struct Target<'a> {
    path: PathBuf,
    format: DataFormat,
    options: WriteOptions,
    writing: &'a Writing,
}

impl<'a> Target<'a> {
    /// A target for a document, checked before the work starts.
    pub fn new(
        path: &Path,
        document: &Document,
        part: Option<&str>,
        reading: &Reading,
        writing: &'a Writing,
    ) -> anyhow::Result<Self> {
        let Some(format) = writing.to.or_else(|| DataFormat::of_target(path, document.set.layout)) else {
            bail!("{}: its ending does not tell the format; choose with --to", path.display());
        };
        let images = match (writing.place_images, &reading.images) {
            (None, _) => None,
            (Some(_), None) => bail!("--place-images needs --images, the folder where the images are"),
            (Some(_), _) if !format.is_folder() => {
                bail!("--place-images: {format} has no place for images; only folders do")
            }
            (Some(place), Some(folder)) => {
                let placement = if place == Place::Copy { Placement::Copy } else { Placement::Link };
                Some((folder.clone(), placement))
            }
        };
        let target = Self {
            path: path.to_owned(),
            format,
            options: WriteOptions {
                part: part.unwrap_or("train").to_owned(),
                images,
                voc_origin: reading.voc_origin,
            },
            writing,
        };
        target.check()?;
        Ok(target)
    }

    fn check(&self) -> anyhow::Result<()> {
        let path = self.path.display();
        if !self.format.is_folder() && self.path.is_dir() {
            bail!("{path} is a folder, and {} is a file", self.format);
        }
        if !self.format.is_folder() && self.path.exists() && !self.writing.force {
            bail!("{path} exists already; choose another name, or overwrite it with --force");
        }
        Ok(())
    }

    /// The same target for another part: a file of its name, or a part of the folder.
    pub fn of_part(&self, part: &str) -> anyhow::Result<Self> {
        let path = match self.format {
            DataFormat::Csv => self.path.join(format!("{part}.csv")),
            DataFormat::Coco | DataFormat::Lvis => self.path.join(format!("{part}.json")),
            _ => self.path.clone(),
        };
        let options = WriteOptions { part: part.to_owned(), ..self.options.clone() };
        let target = Self { path, options, ..*self };
        target.check()?;
        Ok(target)
    }

    /// Writes, and says where and in which format.
    pub fn write(&self, document: &Document, printer: &Printer) -> anyhow::Result<Losses> {
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let losses = document.write(&self.path, self.format, &self.options)?;
        let part =
            if self.format.is_folder() { format!(", part {}", self.options.part) } else { String::new() };
        printer.note(&format!("wrote {} as {}{part}", self.path.display(), self.format));
        if self.format.is_folder() && self.options.images.is_none() {
            printer
                .note("  images are not in it; --images FOLDER --place-images copy or link puts them there");
        }
        Ok(losses)
    }

    /// A target whose format can be written to a folder of parts.
    pub fn parts(
        folder: &Path,
        document: &Document,
        reading: &Reading,
        writing: &'a Writing,
    ) -> anyhow::Result<Self> {
        // Files get the ending of JSON unless --to says otherwise.
        let named = folder.join("part.json");
        let target = Self::new(&named, document, None, reading, writing)?;
        Ok(Self { path: folder.to_owned(), ..target })
    }

    /// The chosen output format of the report.
    pub fn report_format(&self) -> Format {
        self.writing.format
    }
}

/// Prints a report with what was lost: as JSON whole, as rows otherwise, the losses then on stderr.
pub fn print_report<R: Serialize>(
    report: &R,
    losses: &Losses,
    remarks: &Remarks,
    heading: &[&str],
    rows: &[Vec<String>],
    format: Format,
    printer: &Printer,
) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Whole<'a, R> {
        #[serde(flatten)]
        report: &'a R,
        lost: &'a Losses,
        remarks: &'a Remarks,
    }
    let output = match format {
        Format::Json => serde_json::to_string_pretty(&Whole { report, lost: losses, remarks })?,
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(heading)?;
            for row in rows {
                writer.write_record(row)?;
            }
            String::from_utf8(writer.into_inner()?)?
        }
        Format::Markdown => markdown(heading, rows),
        Format::Text => text(heading, rows),
    };
    printer.data(&output)?;
    print_remarks(remarks, printer);
    if !losses.is_empty() {
        printer.note("left out, because the format has no place for it:");
        for (what, count) in losses.iter() {
            printer.note(&format!("  {count} × {what}"));
        }
    }
    Ok(())
}

/// Before and after, as rows.
pub fn before_and_after(rows: &[(&str, [usize; 2])]) -> Vec<Vec<String>> {
    rows.iter()
        .map(|(what, [before, after])| vec![(*what).into(), before.to_string(), after.to_string()])
        .collect()
}
