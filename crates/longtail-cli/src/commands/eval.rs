//! `longtail eval`

use std::path::Path;

use anyhow::bail;
use longtail_annotations::AnnotationSet;
use longtail_eval::{
    ClassBins, Detections, EvalReport, Evaluation, GroundTruth, ImageCounts, Partial, Scoring, Settings,
    Shard, calibration,
};
use longtail_formats::{IndexPlace, ReadOptions};

use serde::Serialize;

use crate::{
    Outcome,
    args::{Eval, Format},
    commands::{analysis::Analyses, eval_open_images},
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
    analyses.calibration = arguments.calibration.then(|| calibration(&evaluation));
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
        Format::Csv => printer.data(&classes_csv(&report)?)?,
        Format::Text | Format::Markdown => {
            let table = if arguments.format == Format::Text { text } else { markdown };
            let mut parts = vec![table(&HEADING, &metrics(&report))];
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
    let settings = Settings {
        protocol,
        max_detections: arguments.max_detections.unwrap_or_default(),
        corrected_ids: arguments.corrected_ids,
    };
    let (set, counts) = ground_truth(truth, arguments.frequencies_from.as_deref())?;
    let truth = GroundTruth::new(&set)?;
    let shard = arguments.shard.unwrap_or(Shard::WHOLE);
    stopwatch.lap("read ground truth");
    if let Some(partial) = &arguments.partial {
        let mut detections = Detections::new(&truth, shard);
        detections.read(path)?;
        Partial::new(&detections, shard, settings)?.write(partial)?;
        return Ok(None);
    }
    let (evaluation, read) = Evaluation::read(&truth, path, settings)?;
    stopwatch.lap("read detections");
    stopwatch.split("match", evaluation.matching());
    if read == 0 {
        printer.note("note: there is no detection; every class with ground truth scores 0");
    }
    let wanted = (arguments.errors, arguments.look_alikes);
    let analyses = Analyses::of(&set, counts.as_ref(), path, protocol, wanted)?;
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

/// Reads ground truth; with training annotations, their image counts decide the frequency groups.
pub fn ground_truth(
    path: &Path,
    frequencies_from: Option<&Path>,
) -> anyhow::Result<(AnnotationSet, Option<ImageCounts>)> {
    let options = ReadOptions { index: IndexPlace::from_environment(), ..Default::default() };
    let mut set = longtail_formats::open_annotations(path, &options)?;
    let counts = frequencies_from
        .map(|path| anyhow::Ok(ImageCounts::of(&longtail_formats::open_annotations(path, &options)?)))
        .transpose()?;
    if let Some(counts) = &counts {
        counts.set_frequencies(&mut set)?;
    }
    Ok((set, counts))
}

pub const HEADING: [&str; 2] = ["metric", "%"];

/// Place of a metric in a table: as the protocols list them, bins by their bounds, recalls last.
fn rank(name: &str) -> (usize, u64) {
    const PRECISIONS: [&str; 13] = [
        "mAP50", "mAP50r", "mAP50c", "mAP50f", "AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf",
    ];
    const RECALLS: [&str; 4] = ["AR@", "ARs@", "ARm@", "ARl@"];
    if let Some((_, bin)) = name.split_once('[') {
        let (last, bounds) = bin.strip_prefix('>').map_or((0, bin), |bound| (1, bound));
        let digits = bounds.chars().take_while(char::is_ascii_digit).collect::<String>();
        return (PRECISIONS.len(), digits.parse().map_or(0, |bound: u64| bound.saturating_add(last)));
    }
    let recall = RECALLS.iter().position(|start| name.starts_with(start));
    let place = PRECISIONS.iter().position(|precision| *precision == name);
    (place.unwrap_or(PRECISIONS.len() + 1 + recall.unwrap_or(0)), 0)
}

/// Metrics in the order in which the protocols list them.
pub fn metrics(report: &EvalReport) -> Vec<Vec<String>> {
    let mut rows: Vec<(&String, &Option<f64>)> = report.metrics.iter().collect();
    rows.sort_by_key(|(name, _)| rank(name));
    let percent = |value: &Option<f64>| value.map_or("–".to_owned(), |v| format!("{:.2}", 100.0 * v));
    rows.into_iter().map(|(name, value)| vec![name.clone(), percent(value)]).collect()
}

/// One row a class, full precision; an empty cell is an undefined value.
fn classes_csv(report: &EvalReport) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "category_id",
        "name",
        "frequency",
        "AP",
        "AP50",
        "AP75",
        "AR",
        "ground_truth",
        "detections",
    ])?;
    for c in &report.per_category {
        let group = c.frequency.map_or("", |f| f.letter());
        writer.serialize((
            c.category_id,
            &c.name,
            group,
            c.ap,
            c.ap50,
            c.ap75,
            c.ar,
            c.ground_truth,
            c.detections,
        ))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}
