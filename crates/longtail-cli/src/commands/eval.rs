//! `longtail eval`

use std::path::Path;

use anyhow::bail;
use longtail_annotations::AnnotationSet;
use longtail_eval::{
    Chosen, ClassBins, Detections, EvalReport, Evaluation, GroundTruth, ImageCounts, IouType, Parameters,
    Partial, Protocol, Scoring, Settings, Shard, calibration, confusion_matrix, operating_points,
    read_detections,
    reading::ground_truth::{open_ground_truth, open_masked_ground_truth},
};
use longtail_files::write_file;
use longtail_formats::{IndexPlace, ReadOptions};
use longtail_report::{analyses, analyses::Analyses, scores};
use serde::Serialize;

use crate::{
    Outcome,
    args::{Eval, Format},
    commands::eval_open_images,
    printer::Printer,
    stopwatch::Stopwatch,
    tables::{markdown, text},
};

/// Scores detections, a part of them, or joins parts.
pub fn run(arguments: &Eval, printer: &Printer) -> anyhow::Result<Outcome> {
    if arguments.protocol == Some(Scoring::OpenImages) {
        return eval_open_images::run(arguments, printer);
    }
    let tables = [
        ("--image-labels", arguments.image_labels.is_some()),
        ("--classes", arguments.classes.is_some()),
        ("--hierarchy", arguments.hierarchy.is_some()),
        ("--group-of-weight", arguments.group_of_weight.is_some()),
    ];
    if let Some((name, _)) = tables.into_iter().find(|(_, given)| *given) {
        bail!("{name} is for --protocol open-images");
    }
    let mut stopwatch = Stopwatch::default();
    let (evaluation, report, mut analyses) = if arguments.merge.is_empty() {
        match score(arguments, &mut stopwatch, printer)? {
            Some(scored) => scored,
            None => return Ok(Outcome::Done),
        }
    } else {
        let parts = arguments.merge.iter().map(|path| Partial::read(path)).collect::<Result<_, _>>()?;
        let evaluation = Partial::merge(parts)?;
        stopwatch.lap("read parts");
        let report = evaluation.report(None);
        stopwatch.lap("accumulate");
        (evaluation, report, Analyses::default())
    };
    if arguments.timings {
        printer.note(&stopwatch.phases());
    }
    if let Some(path) = &arguments.arrays {
        evaluation.arrays().write(path)?;
    }
    if let Some(folder) = &arguments.tables {
        evaluation.write_tables(folder, &report)?;
    }
    if arguments.operating_points || arguments.curves.is_some() {
        let mut operating = operating_points(&evaluation, arguments.at_score)?;
        if let Some(path) = &arguments.curves {
            write_file(path, |out| Ok(serde_json::to_writer(out, &operating)?))?;
        }
        operating.iter_mut().for_each(|of| of.curve.clear());
        analyses.operating_points = arguments.operating_points.then_some(operating);
    }
    analyses.calibration = arguments.calibration.then(|| calibration(&evaluation)).transpose()?;
    match arguments.format {
        Format::Json => {
            #[derive(Serialize)]
            struct Everything<'a> {
                #[serde(flatten)]
                report: &'a EvalReport,
                #[serde(flatten)]
                analyses: &'a Analyses,
            }
            let everything = Everything { report: &report, analyses: &analyses };
            printer.data(&serde_json::to_string_pretty(&everything)?)?;
        }
        Format::Csv => printer.data(&scores::classes_csv(&report)?)?,
        Format::Text | Format::Markdown => {
            let table = if arguments.format == Format::Text { text } else { markdown };
            let mut parts = vec![scores::metrics(&report, table), scores::detections(&report)];
            parts.extend(analyses.tables(table));
            printer.data(&parts.join("\n\n"))?;
        }
    }
    Ok(Outcome::Done)
}

/// What there is to print, or `None` where a part was written instead.
fn score(
    arguments: &Eval,
    stopwatch: &mut Stopwatch,
    printer: &Printer,
) -> anyhow::Result<Option<(Evaluation, EvalReport, Analyses)>> {
    let required = (arguments.protocol, &arguments.ground_truth, &arguments.detections);
    let (Some(Scoring::Annotations(protocol)), Some(truth), Some(path)) = required else {
        bail!("--protocol, --ground-truth and --detections are needed, or --merge");
    };
    let settings = settings(arguments, protocol)?;
    let masks = settings.iou_type.needs_masks();
    let given = |ids: &[i64]| (!ids.is_empty()).then(|| ids.to_vec());
    let chosen = Chosen { images: given(&arguments.images), categories: given(&arguments.categories) };
    let of_boxes = arguments.errors || arguments.confusions || arguments.confusion_matrix.is_some();
    if chosen != Chosen::default() && of_boxes {
        let what = "--errors, --confusions and --confusion-matrix";
        bail!("{what} are of the whole set; leave out --images and --categories");
    }
    if masks && of_boxes {
        bail!("--errors, --confusions and --confusion-matrix are of boxes; leave out --iou-type");
    }
    let frequencies = arguments.frequencies_from.as_deref();
    let (set, counts, truth) = if masks {
        let mut masked = open_masked_ground_truth(truth, &read_options())?;
        let counts = image_counts(frequencies, &mut masked.set)?;
        let truth = GroundTruth::masked(&masked, &chosen)?;
        (masked.set, counts, truth)
    } else {
        let (set, counts) = ground_truth(truth, frequencies)?;
        let truth = GroundTruth::chosen(&set, &chosen)?;
        (set, counts, truth)
    };
    let shard = arguments.shard.unwrap_or(Shard::WHOLE);
    stopwatch.lap("read ground truth");
    if let Some(partial) = &arguments.partial {
        let mut detections = Detections::new(&truth, shard);
        detections.read(path)?;
        Partial::new(&detections, shard, &settings)?.write(partial)?;
        return Ok(None);
    }
    let evaluation = Evaluation::read(&truth, path, &settings)?;
    stopwatch.lap("read detections");
    stopwatch.split("match", evaluation.matching());
    if evaluation.detections().read == 0 {
        printer.note("note: there is no detection; every class with ground truth scores 0");
    }
    let mut analyses = Analyses::default();
    if of_boxes {
        let detections = read_detections(path)?;
        if let (Some(path), Some(score)) = (&arguments.confusion_matrix, arguments.at_score) {
            let matrix = confusion_matrix(&set, &detections, score);
            write_file(path, |out| Ok(serde_json::to_writer(out, &matrix)?))?;
        }
        analyses.errors =
            arguments.errors.then(|| analyses::errors(&set, &detections, protocol)).transpose()?;
        let pairs = || analyses::pairs(&set, &detections, counts.as_ref());
        analyses.confusions = arguments.confusions.then(pairs);
    }
    let bins = match counts {
        Some(counts) if !arguments.bins.is_empty() => Some(ClassBins::new(counts, arguments.bins.clone())?),
        _ => None,
    };
    stopwatch.lap("analyse");
    let mut report = evaluation.report(bins.as_ref());
    stopwatch.lap("accumulate");
    report.provenance.insert("detections".into(), path.display().to_string());
    Ok(Some((evaluation, report, analyses)))
}

/// The protocol with what was chosen; the references' values for the rest.
fn settings(arguments: &Eval, protocol: Protocol) -> anyhow::Result<Settings> {
    let mut parameters = Parameters { class_agnostic: arguments.class_agnostic, ..Parameters::default() };
    if !arguments.iou_thresholds.is_empty() {
        parameters.iou_thresholds.clone_from(&arguments.iou_thresholds);
    }
    if !arguments.recall_thresholds.is_empty() {
        parameters.recall_thresholds.clone_from(&arguments.recall_thresholds);
    }
    if !arguments.areas.is_empty() {
        parameters.areas.clone_from(&arguments.areas);
    }
    let iou_type = match (arguments.iou_type.unwrap_or_default(), arguments.dilation_ratio) {
        (IouType::Boundary { .. }, Some(dilation_ratio)) => IouType::Boundary { dilation_ratio },
        (iou_type, None) => iou_type,
        (iou_type, Some(_)) => bail!("--dilation-ratio has no meaning with --iou-type {iou_type}"),
    };
    Ok(Settings {
        protocol,
        iou_type,
        max_detections: arguments.max_detections.clone().unwrap_or_default(),
        corrected_ids: arguments.corrected_ids,
        parameters,
    })
}

/// Reads ground truth; with training annotations, their image counts decide the frequency groups.
pub fn ground_truth(
    path: &Path,
    frequencies_from: Option<&Path>,
) -> anyhow::Result<(AnnotationSet, Option<ImageCounts>)> {
    let mut set = open_ground_truth(path, &read_options())?;
    let counts = image_counts(frequencies_from, &mut set)?;
    Ok((set, counts))
}

/// Reads training annotations, whose image counts then decide a set's frequency groups.
fn image_counts(path: Option<&Path>, set: &mut AnnotationSet) -> anyhow::Result<Option<ImageCounts>> {
    let Some(path) = path else { return Ok(None) };
    let counts = ImageCounts::of(&open_ground_truth(path, &read_options())?);
    counts.set_frequencies(set)?;
    Ok(Some(counts))
}

fn read_options() -> ReadOptions {
    ReadOptions { index: IndexPlace::from_environment(), ..Default::default() }
}
