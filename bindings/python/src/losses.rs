//! Every loss of `longtail-loss`, value and gradient on arrays.

use std::sync::Arc;

use longtail_loss::{
    ClassContext, ClassificationLoss, Column, DrawKey, LossConfig, LossError, LossState, Normalizer,
    Reduction, RoiTargets, Workers, fused::LinearLayer,
};
use numpy::{
    IntoPyArray, PyArray1, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods,
    ndarray::Array2,
};
use pyo3::{exceptions::PyValueError, prelude::*};

use crate::{errors::Bad, threads::work};

/// A loss for some classes.
#[pyclass(frozen, module = "longtail._core")]
pub(crate) struct Loss {
    loss: Arc<dyn ClassificationLoss>,
    classes: usize,
}

/// Labels and settings of a step.
#[derive(FromPyObject)]
pub(crate) struct Step<'py> {
    /// 0 for background, else class + 1, `[N]`.
    labels: PyReadonlyArray1<'py, u32>,
    /// `[N]`, or None for 1.
    weights: Option<PyReadonlyArray1<'py, f32>>,
    /// `[N]`, or None for none.
    ignored: Option<PyReadonlyArray1<'py, bool>>,
    seed: u64,
    step: u64,
    /// What the sum over rows is divided by; None: rows that are not ignored.
    normalizer: Option<f64>,
    /// Running statistics as JSON.
    state: String,
    /// Sums an array over all workers, in place of 1 worker.
    sum: Option<Py<PyAny>>,
    threads: Option<usize>,
}

/// Workers that Python knows how to sum over.
struct PythonWorkers(Option<Py<PyAny>>);

impl Workers for PythonWorkers {
    fn sum(&self, values: &mut [f64]) {
        let Some(sum) = &self.0 else { return };
        let summed: PyResult<Vec<f64>> = Python::attach(|py| {
            let found = sum.bind(py).call1((values.to_vec().into_pyarray(py),))?;
            Ok(found.cast_into::<PyArray1<f64>>()?.readonly().as_array().to_vec())
        });
        match summed {
            Ok(summed) => values.copy_from_slice(&summed),
            // The trait cannot fail; the caller of the pool hands it on as an error.
            Err(error) => panic!("the sum over workers failed: {error}"),
        }
    }
}

fn bad(error: LossError) -> PyErr {
    match error {
        LossError::NotFinite { row, .. } => {
            Bad { entry: Some(row), field: Some("logits".into()), ..Bad::of(error.to_string()) }.into()
        }
        LossError::Label { row, .. } => {
            Bad { entry: Some(row), field: Some("target".into()), ..Bad::of(error.to_string()) }.into()
        }
        _ => PyValueError::new_err(error.to_string()),
    }
}

impl Step<'_> {
    fn targets(&self, classes: usize) -> PyResult<RoiTargets> {
        let draw = DrawKey { seed: self.seed, step: self.step };
        let mut targets = RoiTargets::new(&self.labels.as_array().to_vec(), classes, draw).map_err(bad)?;
        if let Some(weights) = &self.weights {
            targets = targets.with_weights(&weights.as_array().to_vec()).map_err(bad)?;
        }
        if let Some(ignored) = &self.ignored {
            targets = targets.ignoring(&ignored.as_array().to_vec()).map_err(bad)?;
        }
        let normalizer = self.normalizer.map_or(Normalizer::Rois, Normalizer::Constant);
        let reduction = Reduction { weight: 1.0, normalizer };
        reduction.validate().map_err(bad)?;
        Ok(targets.with_reduction(reduction))
    }

    fn state(&self) -> PyResult<LossState> {
        serde_json::from_str(&self.state)
            .map_err(|error| Bad::of(format!("running statistics: {error}")).into())
    }

    fn workers(&self, py: Python<'_>) -> PythonWorkers {
        PythonWorkers(self.sum.as_ref().map(|sum| sum.clone_ref(py)))
    }
}

fn to_json(state: &LossState) -> PyResult<String> {
    serde_json::to_string(state).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// What a column is about: a class from 0, -1 background, -2 any foreground, -3 - g what is not in group g.
pub(crate) fn column_number(column: &Column) -> i64 {
    match column {
        Column::Background => -1,
        Column::Foreground => -2,
        Column::Others(group) => -3 - *group as i64,
        Column::Class(class) => *class as i64,
    }
}

/// Values row by row.
pub(crate) fn rows(array: &PyReadonlyArray2<'_, f32>) -> Vec<f32> {
    array.as_slice().map_or_else(|_| array.as_array().iter().copied().collect(), <[f32]>::to_vec)
}

/// An array of rows.
pub(crate) fn matrix<'py>(py: Python<'py>, values: Vec<f32>, columns: usize) -> PyResult<Bound<'py, PyAny>> {
    let shape = (values.len() / columns.max(1), columns);
    let array =
        Array2::from_shape_vec(shape, values).map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(array.into_pyarray(py).into_any())
}

#[pymethods]
impl Loss {
    /// `config`: a recipe's table of the loss as JSON, such as `{"kind": "acsl", "threshold": 0.7}`.
    #[new]
    fn new(
        config: &str,
        classes: usize,
        image_counts: Option<Vec<u64>>,
        instance_counts: Option<Vec<u64>>,
        total_images: Option<u64>,
    ) -> PyResult<Self> {
        let config: LossConfig =
            serde_json::from_str(config).map_err(|error| PyValueError::new_err(error.to_string()))?;
        let context = ClassContext {
            num_classes: classes,
            image_counts: image_counts.as_deref(),
            instance_counts: instance_counts.as_deref(),
            total_images,
            statistics_free: false,
        };
        Ok(Self { loss: Arc::from(config.build(&context).map_err(bad)?), classes })
    }

    /// Width K of the head.
    #[getter]
    fn num_outputs(&self) -> usize {
        self.loss.num_outputs(self.classes)
    }

    /// What each of the K columns is about: a class from 0, -1 background, -2 any foreground, -3 - g what is
    /// not in group g.
    #[getter]
    fn columns(&self) -> Vec<i64> {
        self.loss.columns(self.classes).iter().map(column_number).collect()
    }

    /// Loss, gradient `[N, K]` and running statistics after the step, of logits `[N, K]`.
    fn evaluate<'py>(
        &self,
        py: Python<'py>,
        logits: PyReadonlyArray2<'py, f32>,
        step: Step<'py>,
    ) -> PyResult<(f64, Bound<'py, PyAny>, String)> {
        let (targets, state, workers) = (step.targets(self.classes)?, step.state()?, step.workers(py));
        let (loss, values, outputs) = (self.loss.clone(), rows(&logits), self.num_outputs());
        let found = work(py, step.threads, move || loss.evaluate(&values, &targets, &state, &workers))?;
        let found = found.map_err(bad)?;
        Ok((found.value, matrix(py, found.gradient, outputs)?, to_json(&found.state)?))
    }

    /// Loss of a linear layer, gradients of inputs `[N, D]` (None if they are frozen), weights `[K, D]` and
    /// bias `[K]`, and running statistics after the step.
    #[expect(clippy::type_complexity, reason = "a tuple of arrays, taken apart at once by Python")]
    fn evaluate_linear<'py>(
        &self,
        py: Python<'py>,
        inputs: PyReadonlyArray2<'py, f32>,
        weight: PyReadonlyArray2<'py, f32>,
        bias: PyReadonlyArray1<'py, f32>,
        step: Step<'py>,
        frozen_inputs: bool,
    ) -> PyResult<(f64, Option<Bound<'py, PyAny>>, Bound<'py, PyAny>, Bound<'py, PyAny>, String)> {
        let (targets, state, workers) = (step.targets(self.classes)?, step.state()?, step.workers(py));
        let width = inputs.shape()[1];
        if weight.shape()[1] != width {
            let reason =
                format!("inputs have {width} columns and weights {}; they must agree", weight.shape()[1]);
            return Err(PyValueError::new_err(reason));
        }
        let loss = self.loss.clone();
        let (inputs, weight, bias) = (rows(&inputs), rows(&weight), bias.as_array().to_vec());
        let found = work(py, step.threads, move || {
            let layer = LinearLayer { inputs: &inputs, weight: &weight, bias: &bias, width, frozen_inputs };
            loss.evaluate_linear(layer, &targets, &state, &workers)
        })?;
        let found = found.map_err(bad)?;
        let of_inputs = if frozen_inputs { None } else { Some(matrix(py, found.inputs, width)?) };
        let of_weight = matrix(py, found.weight, width)?;
        Ok((
            found.value,
            of_inputs,
            of_weight,
            found.bias.into_pyarray(py).into_any(),
            to_json(&found.state)?,
        ))
    }

    /// Scores in 0 to 1 of the classes, `[N, C]`, of logits `[N, K]`.
    fn class_scores<'py>(
        &self,
        py: Python<'py>,
        logits: PyReadonlyArray2<'py, f32>,
        threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let outputs = self.num_outputs();
        if logits.shape()[1] != outputs {
            let reason = format!("logits have {} columns, the loss has {outputs}", logits.shape()[1]);
            return Err(PyValueError::new_err(reason));
        }
        let (loss, values) = (self.loss.clone(), rows(&logits));
        let scores = work(py, threads, move || loss.class_scores(&values, outputs))?;
        matrix(py, scores, self.classes)
    }
}
