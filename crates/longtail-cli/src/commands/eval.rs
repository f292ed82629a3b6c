//! `longtail eval`

use std::path::Path;

use anyhow::bail;
use longtail_annotations::AnnotationSet;
use longtail_eval::{
    Chosen, ClassBins, Detections, EvalReport, Evaluation, GroundTruth, ImageCounts, Parameters, Partial,
    Protocol, Scoring, Settings, Shard, calibration, read_detections,
    reading::ground_truth::open_ground_truth,
};
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
    let settings = settings(arguments, protocol);
    let (set, counts) = ground_truth(truth, arguments.frequencies_from.as_deref())?;
    let given = |ids: &[i64]| (!ids.is_empty()).then(|| ids.to_vec());
    let chosen = Chosen { images: given(&arguments.images), categories: given(&arguments.categories) };
    if chosen != Chosen::default() && (arguments.errors || arguments.confusions) {
        bail!("--errors and --confusions are of the whole set; leave out --images and --categories");
    }
    let truth = GroundTruth::chosen(&set, &chosen)?;
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
    if arguments.errors || arguments.confusions {
        let detections = read_detections(path)?;
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
fn settings(arguments: &Eval, protocol: Protocol) -> Settings {
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
    Settings {
        protocol,
        max_detections: arguments.max_detections.clone().unwrap_or_default(),
        corrected_ids: arguments.corrected_ids,
        parameters,
    }
}

/// Reads ground truth; with training annotations, their image counts decide the frequency groups.
pub fn ground_truth(
    path: &Path,
    frequencies_from: Option<&Path>,
) -> anyhow::Result<(AnnotationSet, Option<ImageCounts>)> {
    let options = ReadOptions { index: IndexPlace::from_environment(), ..Default::default() };
    let mut set = open_ground_truth(path, &options)?;
    let counts = frequencies_from
        .map(|path| anyhow::Ok(ImageCounts::of(&open_ground_truth(path, &options)?)))
        .transpose()?;
    if let Some(counts) = &counts {
        counts.set_frequencies(&mut set)?;
    }
    Ok((set, counts))
}
