//! `longtail data expand-hierarchy`

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use longtail_formats::open_images::{Hierarchy, TableKind, expand_file};

use crate::{Outcome, args::DataExpandHierarchy, printer::Printer};

/// Writes the expanded file and says on stderr by how much it grew.
pub fn run(arguments: &DataExpandHierarchy, printer: &Printer) -> anyhow::Result<Outcome> {
    let DataExpandHierarchy { input, output, hierarchy } = arguments;
    let hierarchy = Hierarchy::read(hierarchy)?;
    let bytes = input.metadata().with_context(|| format!("cannot read {}", input.display()))?.len();
    let bar = ProgressBar::new(bytes);
    bar.set_style(ProgressStyle::with_template("expanding {bar:24} {bytes}/{total_bytes}  {eta} left")?);
    let rows = expand_file(&hierarchy, input, output, &|bytes| bar.set_position(bytes))?;
    bar.finish_and_clear();
    let kind = match rows.kind {
        TableKind::Boxes => "boxes",
        TableKind::ImageLabels => "image labels",
    };
    printer.note(&format!("{} {kind} became {} in {}", rows.read, rows.written, output.display()));
    Ok(Outcome::Done)
}
