//! `longtail data`: one file a subcommand.

mod check;
mod convert;
mod convert_detections;
mod expand_hierarchy;
mod filter;
mod merge;
mod rewrite;
mod split;
mod stats;
mod subset;

use std::path::Path;

use longtail_annotations::AnnotationSet;
use longtail_formats::{DataFormat, IndexPlace, IndexUse, ReadOptions, Remarks};

use crate::{Outcome, args::Data, printer::Printer};

/// Runs a subcommand.
pub fn run(command: &Data, printer: &Printer) -> anyhow::Result<Outcome> {
    match command {
        Data::Stats(arguments) => stats::run(arguments, printer),
        Data::Check(arguments) => check::run(arguments, printer),
        Data::ExpandHierarchy(arguments) => expand_hierarchy::run(arguments, printer),
        Data::Convert(arguments) => convert::run(arguments, printer),
        Data::ConvertDetections(arguments) => convert_detections::run(arguments, printer),
        Data::Merge(arguments) => merge::run(arguments, printer),
        Data::Split(arguments) => split::run(arguments, printer),
        Data::Subset(arguments) => subset::run(arguments, printer),
        Data::Filter(arguments) => filter::run(arguments, printer),
    }
}

/// Opens a data set of any format, with what was left out or looked up. A large COCO or LVIS file is opened with its
/// index if wanted; says so when an index is written.
pub fn open(
    path: &Path,
    part: Option<&str>,
    images: Option<&Path>,
    no_index: bool,
    printer: &Printer,
) -> anyhow::Result<(AnnotationSet, Remarks)> {
    let (part, images) = (part.map(str::to_owned), images.map(Path::to_owned));
    let options = ReadOptions { part, images, ..Default::default() };
    if !matches!(DataFormat::detect(path)?, DataFormat::Coco | DataFormat::Lvis) {
        return Ok(longtail_formats::inspect_annotations(path, &options)?);
    }
    let place = if no_index { IndexPlace::Nowhere } else { IndexPlace::from_environment() };
    let (mut set, used, mut remarks) = longtail_formats::inspect_indexed(path, &place)?;
    longtail_formats::settle(&mut set, options.images.as_deref(), &mut remarks);
    match used {
        IndexUse::Written(index) => {
            printer.note(&format!("index for the next opening: {} (--no-index: none)", index.display()));
        }
        IndexUse::Failed(reason) => printer.note(&format!("no index could be written: {reason}")),
        IndexUse::Read(_) | IndexUse::None => {}
    }
    Ok((set, remarks))
}
