//! `longtail eval --protocol open-images`

use std::path::Path;

use anyhow::{Context, bail};
use longtail_eval::{ClassBins, EvalReport, OpenImagesEvaluation, OpenImagesPredictions, OpenImagesTruth};
use longtail_formats::open_images::{
    Hierarchy, ImageLabel, OpenImagesBox, expand_boxes, expand_image_labels, is_expanded, read_boxes,
    read_classes, read_image_labels,
};

use crate::{
    Outcome,
    args::{Eval, Format},
    commands::eval::{HEADING, metrics},
    printer::Printer,
    stopwatch::Stopwatch,
    tables::{markdown, text},
};

/// Classes shown at each end of the table.
const ENDS: usize = 10;

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
        Format::Csv => classes_csv(&report)?,
        Format::Text => tables(&report, text),
        Format::Markdown => tables(&report, markdown),
    })?;
    Ok(Outcome::Done)
}

/// Options of the other protocols have no meaning here, and must not be passed over in silence.
fn refuse_other_options(arguments: &Eval) -> anyhow::Result<()> {
    let others = [
        ("--errors", arguments.errors),
        ("--look-alikes", arguments.look_alikes),
        ("--calibration", arguments.calibration),
        ("--arrays", arguments.arrays.is_some()),
        ("--shard", arguments.shard.is_some()),
        ("--max-detections", arguments.max_detections.is_some()),
        ("--corrected-ids", arguments.corrected_ids),
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

fn percent(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |v| format!("{:.2}", 100.0 * v))
}

/// The metrics, then the best and the worst classes.
fn tables(report: &EvalReport, table: fn(&[&str], &[Vec<String>]) -> String) -> String {
    let mut classes: Vec<_> = report.per_category.iter().filter(|c| c.ap50.is_some()).collect();
    classes.sort_by(|a, b| b.ap50.partial_cmp(&a.ap50).unwrap_or(std::cmp::Ordering::Equal));
    let mut parts = vec![table(&HEADING, &metrics(report))];
    let of = classes.len();
    if of > 2 * ENDS {
        classes.drain(ENDS..of - ENDS);
        parts.push(format!("best and worst {ENDS} of {of} classes with boxes"));
    } else {
        parts.push(format!("{of} classes with boxes"));
    }
    let row = |c: &&longtail_eval::CategoryResult| {
        vec![c.name.clone(), percent(c.ap50), c.ground_truth.to_string(), c.detections.to_string()]
    };
    let rows: Vec<Vec<String>> = classes.iter().map(row).collect();
    parts.push(table(&["class", "AP50 %", "boxes", "predictions"], &rows));
    parts.join("\n\n")
}

/// One row a class, full precision; an empty cell is an undefined value.
fn classes_csv(report: &EvalReport) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["id", "LabelName", "name", "frequency", "AP50", "ground_truth", "detections"])?;
    for c in &report.per_category {
        let group = c.frequency.map_or("", |f| f.letter());
        writer.serialize((c.category_id, &c.label, &c.name, group, c.ap50, c.ground_truth, c.detections))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}
