//! `longtail calibrate`

use std::{collections::BTreeMap, fs, io::Write};

use anyhow::{Context, bail};
use longtail_annotations::{AnnotationSet, ClassCounts, LabelMap};
use longtail_eval::{
    analysis::rescoring::{Method, Rescoring, fit},
    read_detections, write_detections,
};
use longtail_run::write_atomically;

use crate::{
    Outcome,
    args::{Calibrate, CalibrationMethod, Format},
    printer::Printer,
    tables::{markdown, text},
};

/// Fits a map of scores and says what it gains, or applies one.
pub fn run(arguments: &Calibrate, printer: &Printer) -> anyhow::Result<Outcome> {
    let detections = read_detections(&arguments.detections)?;
    if let (Some(map), Some(out)) = (&arguments.map, &arguments.out) {
        let json = fs::read_to_string(map).with_context(|| format!("cannot read {}", map.display()))?;
        let rescoring: Rescoring = serde_json::from_str(&json)
            .with_context(|| format!("{} is not a map of scores", map.display()))?;
        write_detections(out, &rescoring.apply(&detections)?)?;
        printer.note(&format!("detections: {}", out.display()));
        return Ok(Outcome::Done);
    }
    let (Some(truth), Some(method)) = (&arguments.ground_truth, arguments.method) else {
        bail!("--ground-truth and --method are needed, or --map");
    };
    let method = match method {
        CalibrationMethod::Norcal => Method::NorCal,
        CalibrationMethod::LogitAdjustment => Method::LogitAdjustment,
        CalibrationMethod::Platt => Method::Platt,
    };
    let counts = match (&arguments.counts, method) {
        (Some(path), _) => counts(&longtail_formats::read_annotations(path)?),
        (None, Method::Platt) => BTreeMap::new(),
        (None, _) => bail!("--counts is needed: this map reads the training images of each class"),
    };
    let truth = longtail_formats::read_annotations(truth)?;
    let fitted = fit(method, arguments.protocol, &truth, &detections, &counts, arguments.seed)?;
    if let Some(path) = &arguments.save {
        let json = serde_json::to_vec_pretty(&fitted.rescoring)?;
        write_atomically(path, |file| file.write_all(&json))?;
        printer.note(&format!("map: {}", path.display()));
    }
    if let Some(path) = &arguments.out {
        write_detections(path, &fitted.rescoring.apply(&detections)?)?;
        printer.note(&format!("detections: {}", path.display()));
    }
    let percent =
        |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{:.2}", 100.0 * value));
    let heading = ["held-out images, percent", "logged", "fitted", "change"];
    let rows: Vec<Vec<String>> = fitted
        .gain
        .iter()
        .map(|gain| {
            let change = gain.before.zip(gain.after).map(|(before, after)| after - before);
            let change = change.map_or("–".to_owned(), |change| format!("{:+.2}", 100.0 * change));
            vec![gain.metric.clone(), percent(gain.before), percent(gain.after), change]
        })
        .collect();
    let output = match arguments.format {
        Format::Json => serde_json::to_string_pretty(&fitted)?,
        Format::Text => text(&heading, &rows),
        Format::Markdown => markdown(&heading, &rows),
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(heading)?;
            rows.iter().try_for_each(|row| writer.write_record(row))?;
            String::from_utf8(writer.into_inner()?)?
        }
    };
    printer.data(&output)?;
    let setting = match &fitted.rescoring {
        Rescoring::NorCal { gamma, .. } => format!("γ = {gamma}"),
        Rescoring::LogitAdjustment { tau, .. } => format!("τ = {tau}"),
        Rescoring::Platt { classes, .. } => format!("{} classes of their own", classes.len()),
    };
    let [first, second] = fitted.images;
    printer.note(&format!("fitted on {first} images ({setting}), measured on the other {second}"));
    Ok(Outcome::Done)
}

fn counts(set: &AnnotationSet) -> BTreeMap<i64, u64> {
    let labels = LabelMap::new(&set.categories);
    let counts = ClassCounts::of(set, &labels);
    (0..labels.len() as u32).map(|label| (labels.category_id(label), counts.images[label as usize])).collect()
}
