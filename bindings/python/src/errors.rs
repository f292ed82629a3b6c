//! Rust's errors as Python's own kinds.

use std::path::Path;

use longtail_bank::BankError;
use longtail_curate::CurateError;
use longtail_eval::EvalError;
use longtail_formats::FormatError;
use longtail_head::HeadError;
use longtail_report::ReportError;
use pyo3::{
    exceptions::{
        PyFileExistsError, PyFileNotFoundError, PyKeyboardInterrupt, PyMemoryError, PyNotImplementedError,
        PyOSError, PyRuntimeError, PyValueError,
    },
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
    Bank(BankError),
    Head(HeadError),
    Curate(CurateError),
    Report(ReportError),
    Bad(Bad),
}

impl From<BankError> for Failure {
    fn from(error: BankError) -> Self {
        Self::Bank(error)
    }
}

impl From<HeadError> for Failure {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl From<CurateError> for Failure {
    fn from(error: CurateError) -> Self {
        Self::Curate(error)
    }
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        Self::Report(error)
    }
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
            Failure::Bank(error) => of_bank(error),
            Failure::Head(error) => of_head(error),
            Failure::Curate(error) => of_curate(error),
            Failure::Report(error) => PyRuntimeError::new_err(error.to_string()),
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

fn of_bank(error: BankError) -> PyErr {
    let reason = error.to_string();
    match error {
        BankError::Io { path, source, .. } => io(&path, &source, reason),
        BankError::NoBank { path } => PyFileNotFoundError::new_err((2, reason, path.display().to_string())),
        BankError::Exists { path } => PyFileExistsError::new_err((17, reason, path.display().to_string())),
        BankError::Locked { .. } => PyRuntimeError::new_err(reason),
        BankError::Header { path, .. } | BankError::Shard { path, .. } => in_file(&path, reason),
        _ => Bad::of(reason).into(),
    }
}

fn of_head(error: HeadError) -> PyErr {
    let reason = error.to_string();
    match error {
        HeadError::Io { path, source, .. } => io(&path, &source, reason),
        HeadError::Bank(error) => of_bank(error),
        HeadError::Stopped { .. } => PyKeyboardInterrupt::new_err(reason),
        HeadError::Head { path, .. } => in_file(&path, reason),
        HeadError::NotFinite { .. } => Bad::of(reason).into(),
        _ => PyValueError::new_err(reason),
    }
}

fn of_curate(error: CurateError) -> PyErr {
    let reason = error.to_string();
    match error {
        CurateError::Io { path, source, .. } => io(&path, &source, reason),
        CurateError::Format(error) => of_format(error),
        CurateError::Fix { path, .. } => in_file(&path, reason),
        CurateError::Setting { .. } => PyValueError::new_err(reason),
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
