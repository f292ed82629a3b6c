//! `longtail data convert-detections`

use longtail_eval::{ResultsFormat, expand_detections, read_results, write_results};
use longtail_formats::{Document, ReadOptions, open_images::Hierarchy};

use crate::{Outcome, args::DataConvertDetections, printer::Printer};

/// Reads and writes, and says how many detections there are.
pub fn run(arguments: &DataConvertDetections, printer: &Printer) -> anyhow::Result<Outcome> {
    let DataConvertDetections { input, output, ground_truth, from, to, part, images, hierarchy, .. } =
        arguments;
    let options = ReadOptions { part: part.clone(), images: images.clone(), ..Default::default() };
    let truth = Document::open(ground_truth, &options)?;
    let mut detections = read_results(input, from.unwrap_or_else(|| ResultsFormat::detect(input)), &truth)?;
    if let Some(path) = hierarchy {
        detections = expand_detections(&Hierarchy::read(path)?, &truth, &detections)?;
    }
    // A folder that is still to be made has no ending.
    let by_ending =
        || if output.extension().is_none() { ResultsFormat::Yolo } else { ResultsFormat::detect(output) };
    let unknown = write_results(output, to.unwrap_or_else(by_ending), &truth, &detections)?;
    printer.note(&format!("{} detections written to {}", detections.len() - unknown, output.display()));
    if unknown > 0 {
        printer.note(&format!("{unknown} of classes that the ground truth lacks were left out"));
    }
    Ok(Outcome::Done)
}
