//! Heads: trained on a bank, read and written, and asked for scores.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use longtail_head::{
    ExportFormat, Head as Trained, HeadError, HeadFile, HeadRecipe, columns::transposed, export, train,
};
use longtail_loss::{ClassificationLoss, Column};
use longtail_run::{Event, Observer};
use numpy::{IntoPyArray, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::{exceptions::PyValueError, prelude::*};
use rayon::prelude::*;

use crate::{
    banks::Bank,
    errors::{Bad, Failure},
    losses::{column_number, matrix, rows},
    metrics::json,
    threads::{Stop, work, work_until},
};

/// Least time between two calls of a progress function.
const BETWEEN_CALLS: Duration = Duration::from_millis(100);

/// A trained head.
#[pyclass(frozen, module = "longtail._core")]
pub(crate) struct Head {
    head: Trained,
    file: HeadFile,
    loss: Arc<dyn ClassificationLoss>,
}

impl Head {
    fn new((head, file): (Trained, HeadFile)) -> Result<Self, Failure> {
        let loss = Arc::from(file.build_loss()?);
        Ok(Self { head, file, loss })
    }

    /// Weights as scores use them, `[K × D]`.
    fn final_weight(&self) -> PyResult<Vec<f32>> {
        let (outputs, mut weight) = (self.head.outputs(), self.head.detector_weight());
        let done = self.loss.final_weights(&mut weight, outputs);
        done.map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(transposed(&weight, outputs))
    }
}

#[pymethods]
impl Head {
    /// Reads a head's file.
    #[staticmethod]
    fn read(path: PathBuf) -> PyResult<Self> {
        Ok(Self::new(Trained::read(&path).map_err(Failure::from)?)?)
    }

    /// Writes the file, whole or not at all.
    fn write(&self, path: PathBuf) -> PyResult<()> {
        Ok(self.head.write(&path, &self.file).map_err(Failure::from)?)
    }

    /// Writes the classifier alone under the names of a framework.
    fn export(&self, path: PathBuf, framework: &str) -> PyResult<()> {
        let format = match framework {
            "torchvision" => ExportFormat::Torchvision,
            "mmdetection" => ExportFormat::Mmdetection,
            "detectron2" => ExportFormat::Detectron2,
            other => {
                let reason = format!("framework is {other}; choose torchvision, mmdetection or detectron2");
                return Err(PyValueError::new_err(reason));
            }
        };
        Ok(export(&self.head, &self.file, &path, format, &path).map_err(Failure::from)?)
    }

    /// Everything about it but its weights, as JSON.
    #[getter]
    fn file(&self) -> PyResult<String> {
        json(&self.file)
    }

    /// Weights `[K, D]`, in native order of columns.
    #[getter]
    fn weight<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        matrix(py, self.final_weight()?, self.head.width)
    }

    /// Bias `[K]`.
    #[getter]
    fn bias<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.head.bias.clone().into_pyarray(py).into_any()
    }

    /// What each of the K columns is about, as [`crate::losses::Loss`] numbers them.
    #[getter]
    fn columns(&self) -> Vec<i64> {
        let columns: Vec<Column> = self.loss.columns(self.file.classes.len());
        columns.iter().map(column_number).collect()
    }

    /// Scores in 0 to 1 of the classes, `[N, C]`, of features `[N, D]`.
    fn scores<'py>(
        &self,
        py: Python<'py>,
        features: PyReadonlyArray2<'py, f32>,
        threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (found, expected) = (features.shape()[1], self.head.width);
        if found != expected || self.head.hidden.is_some() {
            let reason = format!("features have width {found}; the head takes {expected}");
            return Err(Bad { field: Some("features".into()), ..Bad::of(reason) }.into());
        }
        let mut values = rows(&features);
        self.head.prepare(&mut values);
        let (weight, bias) = (self.final_weight()?, self.head.bias.clone());
        let (loss, outputs) = (self.loss.clone(), bias.len());
        let scores = work(py, threads, move || {
            let mut logits = vec![0.0; values.len() / expected.max(1) * outputs];
            logits.par_chunks_mut(outputs).zip(values.par_chunks(expected)).for_each(|(row, x)| {
                for ((z, w), b) in row.iter_mut().zip(weight.chunks_exact(expected)).zip(&bias) {
                    *z = b + w.iter().zip(x).map(|(w, x)| w * x).sum::<f32>();
                }
            });
            loss.class_scores(&logits, outputs)
        })?;
        matrix(py, scores, self.file.classes.len())
    }
}

/// Tells Python how far the heads are, and asks whether to go on.
struct Watcher<'a> {
    index: usize,
    call: Option<&'a Py<PyAny>>,
    stop: &'a Stop,
    last: Option<Instant>,
    failed: &'a Mutex<Option<PyErr>>,
}

impl Watcher<'_> {
    fn call(&self, kind: &str, arguments: (u64, u64, f64), text: &str) {
        let Some(call) = self.call else { return };
        let (done, total, loss) = arguments;
        let called =
            Python::attach(|py| call.call1(py, (self.index, kind, done, total, loss, text)).map(|_| ()));
        if let Err(error) = called {
            self.stop.request();
            if let Ok(mut failed) = self.failed.lock() {
                failed.get_or_insert(error);
            }
        }
    }
}

impl Observer for Watcher<'_> {
    fn observe(&mut self, event: Event<'_>) {
        match event {
            Event::Step { done, total, loss, .. } => {
                let is_due = self.last.is_none_or(|last| last.elapsed() >= BETWEEN_CALLS);
                if is_due || done == total {
                    self.last = Some(Instant::now());
                    self.call("step", (done, total, loss), "");
                }
            }
            Event::Note(text) => self.call("note", (0, 0, 0.0), text),
            _ => {}
        }
    }

    fn stop_requested(&self) -> bool {
        self.stop.is_requested()
    }
}

/// Trains heads on a bank, one a recipe (as JSON), side by side. `progress` is called with the index of a
/// recipe, `step` or `note`, steps done, steps in all, the loss, and the note.
#[pyfunction]
#[pyo3(signature = (bank, recipes, progress, threads))]
pub(crate) fn train_heads(
    py: Python<'_>,
    bank: &Bank,
    recipes: Vec<String>,
    progress: Option<Py<PyAny>>,
    threads: Option<usize>,
) -> PyResult<Vec<Head>> {
    let parse = |text: &String| {
        serde_json::from_str::<HeadRecipe>(text).map_err(|error| PyValueError::new_err(error.to_string()))
    };
    let recipes: Vec<HeadRecipe> = recipes.iter().map(parse).collect::<PyResult<_>>()?;
    let (bank, stop) = (bank.bank.clone(), Stop::default());
    let asked = stop.clone();
    let failed = Arc::new(Mutex::new(None));
    let failure = failed.clone();
    let found = work_until(py, threads, &stop, move || {
        let one = |(index, recipe): (usize, &HeadRecipe)| -> Result<Head, Failure> {
            let call = progress.as_ref();
            let mut watcher = Watcher { index, call, stop: &asked, last: None, failed: &failure };
            let trained = train(&bank, recipe, None, &mut watcher);
            Head::new(trained.inspect_err(|_: &HeadError| asked.request())?)
        };
        recipes.par_iter().enumerate().map(one).collect::<Vec<_>>()
    })?;
    if let Some(error) = failed.lock().ok().and_then(|mut failed| failed.take()) {
        return Err(error);
    }
    // The error that stopped the others is told, and not that they were stopped.
    let interrupted = |f: &Failure| matches!(f, Failure::Head(error) if error.is_interruption());
    let (mut heads, mut first) = (Vec::new(), None::<Failure>);
    for result in found {
        match result {
            Ok(head) => heads.push(head),
            Err(error) if first.as_ref().is_none_or(interrupted) => first = Some(error),
            Err(_) => {}
        }
    }
    first.map_or(Ok(heads), |error| Err(error.into()))
}
