//! Rust's errors as Python's own kinds.

use std::path::Path;

use longtail_eval::EvalError;
use longtail_formats::FormatError;
use pyo3::{
    exceptions::{PyFileNotFoundError, PyMemoryError, PyNotImplementedError, PyOSError, PyValueError},
    prelude::*,
    sync::PyOnceLock,
    types::PyType,
};

/// What is wrong with data: becomes `longtail.DataError`, a `ValueError`.
#[derive(Debug, Default)]
pub(crate) struct Bad {
    pub reason: String,
    /// The file.
    pub path: Option<String>,
    /// Index in a list, from 0.
    pub entry: Option<usize>,
    /// Name of the member or argument.
    pub field: Option<String>,
}

impl Bad {
    /// Data in memory.
    pub(crate) fn of(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ..Self::default() }
    }

    /// In an entry of a list.
    pub(crate) fn entry(list: &str, index: usize, field: &str, reason: &str) -> Self {
        Self {
            reason: format!("{list}[{index}].{field}: {reason}"),
            path: None,
            entry: Some(index),
            field: Some(field.to_owned()),
        }
    }
}

impl From<Bad> for PyErr {
    fn from(bad: Bad) -> Self {
        static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        Python::attach(|py| match CLASS.import(py, "longtail._errors", "DataError") {
            Ok(class) => {
                let arguments = (bad.reason, bad.path, bad.entry, bad.field);
                Self::from_type(class.clone(), arguments)
            }
            Err(error) => error,
        })
    }
}

/// An error of any crate below, for Python.
#[derive(Debug)]
pub(crate) enum Failure {
    Eval(EvalError),
    Format(FormatError),
    Bad(Bad),
}

impl From<EvalError> for Failure {
    fn from(error: EvalError) -> Self {
        Self::Eval(error)
    }
}

impl From<FormatError> for Failure {
    fn from(error: FormatError) -> Self {
        Self::Format(error)
    }
}

impl From<Bad> for Failure {
    fn from(bad: Bad) -> Self {
        Self::Bad(bad)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Eval(error) => of_eval(error),
            Failure::Format(error) => of_format(error),
            Failure::Bad(bad) => bad.into(),
        }
    }
}

fn of_eval(error: EvalError) -> PyErr {
    let reason = error.to_string();
    match error {
        EvalError::File(error) => io(&error.path, &error.source, reason),
        EvalError::Format(error) => of_format(error),
        EvalError::TooLarge { .. } => PyMemoryError::new_err(reason),
        EvalError::Parse { path, .. }
        | EvalError::Table { path, .. }
        | EvalError::Results { path, .. }
        | EvalError::Partial { path, .. } => in_file(&path, reason),
        EvalError::Detection { index, .. } => Bad { entry: Some(index), ..Bad::of(reason) }.into(),
        EvalError::GroundTruth { .. } => Bad::of(reason).into(),
        EvalError::NoShards { .. } | EvalError::NoResampling { .. } => PyNotImplementedError::new_err(reason),
        _ => PyValueError::new_err(reason),
    }
}

fn of_format(error: FormatError) -> PyErr {
    let reason = error.to_string();
    match error {
        FormatError::Io { path, source, .. } => io(&path, &source, reason),
        FormatError::Parse { path, .. } | FormatError::Table { path, .. } => in_file(&path, reason),
        _ => Bad::of(reason).into(),
    }
}

fn in_file(path: &Path, reason: String) -> PyErr {
    Bad { path: Some(path.display().to_string()), ..Bad::of(reason) }.into()
}

/// With number and file name, as Python's own `open` raises it.
fn io(path: &Path, source: &std::io::Error, reason: String) -> PyErr {
    let arguments = (source.raw_os_error().unwrap_or(5), reason, path.display().to_string());
    match source.kind() {
        std::io::ErrorKind::NotFound => PyFileNotFoundError::new_err(arguments),
        _ => PyOSError::new_err(arguments),
    }
}
