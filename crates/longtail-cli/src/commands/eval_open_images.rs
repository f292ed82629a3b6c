//! `longtail eval --protocol open-images`

use std::path::Path;

use anyhow::{Context, bail};
use longtail_eval::{ClassBins, EvalReport, OpenImagesEvaluation, OpenImagesPredictions, OpenImagesTruth};
use longtail_formats::open_images::{
    Hierarchy, ImageLabel, OpenImagesBox, expand_boxes, expand_image_labels, is_expanded, read_boxes,
    read_classes, read_image_labels,
};
use longtail_report::scores;

use crate::{
    Outcome,
    args::{Eval, Format},
    printer::Printer,
    stopwatch::Stopwatch,
    tables::{markdown, text},
};

/// Scores predictions by the rules of the challenge.
pub fn run(arguments: &Eval, printer: &Printer) -> anyhow::Result<Outcome> {
    refuse_other_options(arguments)?;
    let (Some(boxes), Some(predictions)) = (&arguments.ground_truth, &arguments.detections) else {
        bail!("--ground-truth and --detections are needed");
    };
    let Some(labels) = &arguments.image_labels else {
        bail!(
            "--image-labels is needed: without it no prediction of a class that has no box in an image would count, and \
             all numbers would be too high"
        );
    };
    let mut stopwatch = Stopwatch::default();
    let tree = arguments.hierarchy.as_deref().map(Hierarchy::read).transpose()?;
    let classes = arguments.classes.as_deref().map(read_classes).transpose()?;
    let expanded = (expanded_boxes(boxes, tree.as_ref())?, expanded_labels(labels, tree.as_ref())?);
    let mut truth = OpenImagesTruth::new(boxes.display().to_string(), &expanded.0, &expanded.1, classes)?;
    // The sorted truth has what they say.
    drop(expanded);
    let counts = match &arguments.frequencies_from {
        Some(path) => {
            let counts = truth.image_counts(&expanded_boxes(path, tree.as_ref())?);
            truth.set_frequencies(&counts)?;
            Some(counts)
        }
        None => None,
    };
    let bins = match counts {
        Some(counts) if !arguments.bins.is_empty() => Some(ClassBins::new(counts, arguments.bins.clone())?),
        _ => None,
    };
    stopwatch.lap("read ground truth");
    let mut all = OpenImagesPredictions::new(&truth);
    all.read(predictions)?;
    stopwatch.lap("read predictions");
    let weight = f64::from(arguments.group_of_weight.unwrap_or(1));
    let mut report = OpenImagesEvaluation::new(&all, weight)?.report(bins.as_ref());
    stopwatch.lap("match and accumulate");
    if arguments.timings {
        printer.note(&stopwatch.phases());
    }
    if all.is_empty() {
        printer.note(
            "note: no prediction is scored; either there is none, or image ids or labels are not those of the ground truth",
        );
    }
    report.provenance.insert("image_labels".into(), labels.display().to_string());
    report.provenance.insert("detections".into(), predictions.display().to_string());
    if let Some(path) = &arguments.hierarchy {
        report.provenance.insert("expanded_by".into(), path.display().to_string());
    }
    printer.data(&match arguments.format {
        Format::Json => serde_json::to_string_pretty(&report)?,
        Format::Csv => scores::classes_csv(&report)?,
        Format::Text => tables(&report, text),
        Format::Markdown => tables(&report, markdown),
    })?;
    Ok(Outcome::Done)
}

/// Options of the other protocols have no meaning here, and must not be passed over in silence.
fn refuse_other_options(arguments: &Eval) -> anyhow::Result<()> {
    let others = [
        ("--errors", arguments.errors),
        ("--confusions", arguments.confusions),
        ("--calibration", arguments.calibration),
        ("--arrays", arguments.arrays.is_some()),
        ("--shard", arguments.shard.is_some()),
        ("--max-detections", arguments.max_detections.is_some()),
        ("--corrected-ids", arguments.corrected_ids),
        ("--iou-type", arguments.iou_type.is_some()),
        ("--iou-thresholds", !arguments.iou_thresholds.is_empty()),
        ("--recall-thresholds", !arguments.recall_thresholds.is_empty()),
        ("--areas", !arguments.areas.is_empty()),
        ("--images", !arguments.images.is_empty()),
        ("--categories", !arguments.categories.is_empty()),
        ("--class-agnostic", arguments.class_agnostic),
    ];
    match others.into_iter().find(|(_, given)| *given) {
        Some((name, _)) => bail!("{name} has no meaning with --protocol open-images"),
        None => Ok(()),
    }
}

fn expanded_boxes(path: &Path, tree: Option<&Hierarchy>) -> anyhow::Result<Vec<OpenImagesBox>> {
    let boxes = read_boxes(path)?;
    let Some(tree) = tree else { return Ok(boxes) };
    if is_expanded(tree, &boxes) {
        bail!(
            "{} is expanded already: every box is there for its ancestors too; leave out --expand and --hierarchy",
            path.display()
        );
    }
    expand_boxes(tree, &boxes).with_context(|| format!("cannot expand {}", path.display()))
}

fn expanded_labels(path: &Path, tree: Option<&Hierarchy>) -> anyhow::Result<Vec<ImageLabel>> {
    let labels = read_image_labels(path)?;
    let Some(tree) = tree else { return Ok(labels) };
    expand_image_labels(tree, &labels).with_context(|| format!("cannot expand {}", path.display()))
}

/// The metrics, then the best and the worst classes.
fn tables(report: &EvalReport, table: scores::PrintTable) -> String {
    let parts =
        [scores::metrics(report, table), scores::detections(report), scores::extreme_classes(report, table)];
    parts.join("\n\n")
}
