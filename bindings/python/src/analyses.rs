//! What an evaluation says beyond its metrics: differences with intervals, kinds of errors, look-alike
//! classes, calibration; corrections of scores; the page.

use std::collections::BTreeMap;

use longtail_eval::{
    Bootstrap, Detection, EvalReport, Evaluation, GroundTruth, Protocol, Scoring, Settings,
    analysis::rescoring::{Method, Rescoring, fit},
    calibration as calibration_of, compare as compare_evaluations,
};
use longtail_loss::post_hoc::{adjust_logits, norcal, tau_normalize};
use longtail_report::{Method as Reported, ReportData, TruthName, analyses, html};
use numpy::{IntoPyArray, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::{exceptions::PyValueError, prelude::*};
use serde_json::json;

use crate::{
    errors::{Bad, Failure},
    inputs::{self, Found, Training, Truth},
    losses::{matrix, rows},
    metrics::json as to_json,
    threads::work,
};

fn protocol_of(name: &str) -> PyResult<Protocol> {
    match name.parse::<Scoring>().map_err(|error| Failure::Eval(error.into()))? {
        Scoring::Annotations(protocol) => Ok(protocol),
        Scoring::OpenImages => Err(Bad::of("this analysis is for the protocols of COCO and LVIS").into()),
    }
}

/// Detectors held against the first, by resampled images; JSON.
#[pyfunction]
#[pyo3(signature = (truth, detections, protocol, frequencies_from, resamples, seed, threads))]
pub(crate) fn compare(
    py: Python<'_>,
    truth: Truth<'_>,
    detections: Vec<Found<'_>>,
    protocol: &str,
    frequencies_from: Option<Training<'_>>,
    resamples: u64,
    seed: u64,
    threads: Option<usize>,
) -> PyResult<String> {
    let protocol = protocol_of(protocol)?;
    let set = truth.take()?;
    let lists: Vec<_> = detections.iter().map(Found::take).collect::<PyResult<_>>()?;
    let counts = frequencies_from.map(|training| training.take()).transpose()?;
    let task = move || -> Result<serde_json::Value, Failure> {
        let (set, _) = inputs::open(set, counts, Scoring::Annotations(protocol))?;
        let truth = GroundTruth::new(&set)?;
        let settings = Settings::strict(protocol);
        let evaluations: Vec<Evaluation> = lists
            .into_iter()
            .map(|list| list.evaluate(&set, &truth, &settings))
            .collect::<Result<_, Failure>>()?;
        let comparisons = compare_evaluations(&evaluations, Bootstrap { resamples, seed }, &|| ())?;
        let of = |c: &longtail_eval::Comparison| json!({ "metrics": c.metrics, "classes": c.classes });
        Ok(json!({
            "baseline": evaluations[0].report(None),
            "resamples": resamples,
            "comparisons": comparisons.iter().map(of).collect::<Vec<_>>(),
        }))
    };
    to_json(&work(py, threads, task)??)
}

/// Errors by TIDE's definitions, look-alike classes and calibration, as `which` names them; JSON.
#[pyfunction]
#[pyo3(signature = (which, truth, detections, protocol, frequencies_from, threads))]
pub(crate) fn analyse(
    py: Python<'_>,
    which: &str,
    truth: Truth<'_>,
    detections: Found<'_>,
    protocol: &str,
    frequencies_from: Option<Training<'_>>,
    threads: Option<usize>,
) -> PyResult<String> {
    let protocol = protocol_of(protocol)?;
    let (set, list) = (truth.take()?, detections.take()?);
    let counts = frequencies_from.map(|training| training.take()).transpose()?;
    let which = which.to_owned();
    let task = move || -> Result<serde_json::Value, Failure> {
        let (set, counts) = inputs::open(set, counts, Scoring::Annotations(protocol))?;
        Ok(match which.as_str() {
            "errors" => json!(analyses::errors(&set, &list.read(&set)?, protocol)?),
            "look-alikes" => json!(analyses::pairs(&set, &list.read(&set)?, counts.as_ref())),
            _ => {
                let truth = GroundTruth::new(&set)?;
                let evaluation = list.evaluate(&set, &truth, &Settings::strict(protocol))?;
                json!(calibration_of(&evaluation)?)
            }
        })
    };
    to_json(&work(py, threads, task)??)
}

/// A map of scores fitted on half of the images, with what it gains on the other half; JSON.
#[pyfunction]
#[pyo3(signature = (method, truth, detections, protocol, counts, seed, threads))]
pub(crate) fn fit_correction(
    py: Python<'_>,
    method: &str,
    truth: Truth<'_>,
    detections: Found<'_>,
    protocol: &str,
    counts: BTreeMap<i64, u64>,
    seed: u64,
    threads: Option<usize>,
) -> PyResult<String> {
    let method = match method {
        "norcal" => Method::NorCal,
        "logit-adjustment" => Method::LogitAdjustment,
        "platt" => Method::Platt,
        other => {
            let reason = format!("{other} is not a correction; choose norcal, logit-adjustment or platt");
            return Err(PyValueError::new_err(reason));
        }
    };
    let protocol = protocol_of(protocol)?;
    let (set, list) = (truth.take()?, detections.take()?);
    let task = move || -> Result<_, Failure> {
        let (set, _) = inputs::open(set, None, Scoring::Annotations(protocol))?;
        let detections = list.read(&set)?;
        Ok(fit(method, protocol, &set, &detections, &counts, seed)?)
    };
    to_json(&work(py, threads, task)??)
}

/// Scores `[N]` of detections under a map of scores.
#[pyfunction]
pub(crate) fn apply_correction<'py>(
    py: Python<'py>,
    rescoring: &str,
    detections: Found<'py>,
    threads: Option<usize>,
) -> PyResult<Bound<'py, PyAny>> {
    let rescoring: Rescoring =
        serde_json::from_str(rescoring).map_err(|error| Bad::of(format!("the correction: {error}")))?;
    let list = detections.take()?;
    let task = move || -> Result<Vec<Detection>, Failure> {
        let set = longtail_annotations::AnnotationSet {
            path: None,
            layout: longtail_annotations::Layout::Coco,
            images: Vec::new(),
            annotations: Vec::new(),
            categories: Vec::new(),
        };
        Ok(rescoring.apply(&list.read(&set)?)?)
    };
    let found = work(py, threads, task)??;
    Ok(found.iter().map(|d| d.score).collect::<Vec<f64>>().into_pyarray(py).into_any())
}

/// A correction of a softmax classifier: scores `[N, C]` of logits `[N, C + 1]`, or, of `tau-norm`, weights
/// `[C + 1, D]` of weights.
#[pyfunction]
pub(crate) fn correct<'py>(
    py: Python<'py>,
    kind: &str,
    values: PyReadonlyArray2<'py, f32>,
    counts: Vec<u64>,
    strength: f64,
) -> PyResult<Bound<'py, PyAny>> {
    let bad = |error: longtail_loss::LossError| PyValueError::new_err(error.to_string());
    let columns = values.shape()[1];
    let given = rows(&values);
    match kind {
        "norcal" => matrix(py, norcal(&given, &counts, strength).map_err(bad)?, counts.len()),
        "logit-adjustment" => {
            matrix(py, adjust_logits(&given, &counts, strength).map_err(bad)?, counts.len())
        }
        _ => {
            let outputs = values.shape()[0];
            let mut weight = longtail_head::columns::transposed(&given, columns);
            tau_normalize(&mut weight, outputs, strength).map_err(bad)?;
            matrix(py, longtail_head::columns::transposed(&weight, outputs), columns)
        }
    }
}

/// The one-file page of several reports, as HTML. Each is a name with a report as JSON.
#[pyfunction]
pub(crate) fn report_page(
    title: String,
    reports: Vec<(String, String)>,
    counts: BTreeMap<i64, u64>,
) -> PyResult<String> {
    let method = |(name, text): (String, String)| -> PyResult<Reported> {
        let report: EvalReport =
            serde_json::from_str(&text).map_err(|error| Bad::of(format!("the report {name}: {error}")))?;
        Ok(Reported { name, background: String::new(), reports: BTreeMap::from([("truth".into(), report)]) })
    };
    let methods: Vec<Reported> = reports.into_iter().map(method).collect::<PyResult<_>>()?;
    let label = match methods.first().and_then(|method| method.reports.get("truth")) {
        Some(report) => format!("{} protocol", report.protocol),
        None => return Err(Bad::of("there is no report to show; give one or more").into()),
    };
    let compared = (methods.len() > 1).then(|| (0, methods.len() - 1));
    let data = ReportData {
        title,
        truths: vec![TruthName { name: "truth".into(), label }],
        methods,
        train_images: counts,
        compared,
        ..ReportData::default()
    };
    Ok(html(&data).map_err(Failure::from)?)
}
