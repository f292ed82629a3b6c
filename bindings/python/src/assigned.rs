//! Accumulation of per-image results that a caller has assigned, or may have changed.

use numpy::{PyArray1, PyArrayMethods};
use pyo3::{
    prelude::*,
    types::{PyDict, PyList},
};
use rayon::prelude::*;

use crate::{
    cells::arrays,
    curves::{Curve, Entry, curve},
    errors::Bad,
    threads::work,
};

/// An entry of `evalImgs` that a caller has assigned.
struct Assigned {
    scores: Vec<f64>,
    hit: Vec<bool>,
    ignored: Vec<bool>,
    countable: usize,
}

impl Assigned {
    fn of(entry: &Bound<'_, PyDict>, names: &[String; 4]) -> PyResult<Self> {
        let get = |name: &String| {
            let found = entry.get_item(name)?;
            found.ok_or_else(|| {
                PyErr::from(Bad::of(format!("an entry of the per-image results has no `{name}`")))
            })
        };
        let [scores, matches, ignored, truth] = names;
        let flags = |value: Bound<'_, PyAny>| -> PyResult<Vec<bool>> {
            let flat = value.call_method1("astype", ("bool",))?.call_method0("ravel")?;
            Ok(flat.cast::<PyArray1<bool>>()?.readonly().as_array().to_vec())
        };
        let scores: Vec<f64> = get(scores)?.try_iter()?.map(|s| s?.extract()).collect::<PyResult<_>>()?;
        let truth = flags(get(truth)?)?;
        let (hit, ignored) = (flags(get(matches)?)?, flags(get(ignored)?)?);
        Ok(Self { scores, hit, ignored, countable: truth.iter().filter(|i| !**i).count() })
    }
}

/// As [`Cells::accumulate`], of entries that a caller has changed or made: `entries[class][area range]` are
/// lists of dicts and None. `names` are those of scores, matches, ignored detections and ignored ground
/// truths.
#[pyfunction]
#[pyo3(signature = (entries, names, thresholds, caps, recalls, shape, threads = None))]
pub(crate) fn accumulate_entries<'py>(
    py: Python<'py>,
    entries: Vec<Vec<Bound<'py, PyList>>>,
    names: [String; 4],
    thresholds: usize,
    caps: Vec<Option<usize>>,
    recalls: Vec<f64>,
    shape: [usize; 5],
    threads: Option<usize>,
) -> PyResult<[Bound<'py, PyAny>; 3]> {
    let mut owned: Vec<Vec<Vec<Assigned>>> = Vec::with_capacity(entries.len());
    for areas in &entries {
        let mut of_class = Vec::with_capacity(areas.len());
        for list in areas {
            let present = list.iter().filter(|entry| !entry.is_none());
            let dict = |entry: Bound<'py, PyAny>| Assigned::of(entry.cast::<PyDict>()?, &names);
            let of_area: Vec<Assigned> = present.map(dict).collect::<PyResult<_>>()?;
            let fits = |e: &Assigned| [e.hit.len(), e.ignored.len()] == [thresholds * e.scores.len(); 2];
            if !of_area.iter().all(fits) {
                return Err(Bad::of(
                    "per-image results have matches of another shape than thresholds × scores",
                )
                .into());
            }
            of_class.push(of_area);
        }
        owned.push(of_class);
    }
    let found = work(py, threads, move || {
        let cell = |list: &Vec<Assigned>, cap: Option<usize>| {
            let entries: Vec<Entry<'_>> = list
                .iter()
                .map(|e| Entry {
                    scores: &e.scores,
                    hit: &e.hit,
                    ignored: &e.ignored,
                    countable: e.countable,
                })
                .collect();
            curve(&entries, cap.unwrap_or(usize::MAX), thresholds, &recalls)
        };
        let of_class = |areas: &Vec<Vec<Assigned>>| -> Vec<Vec<Option<Curve>>> {
            areas.iter().map(|list| caps.iter().map(|&cap| cell(list, cap)).collect()).collect()
        };
        owned.par_iter().map(of_class).collect::<Vec<_>>()
    })?;
    arrays(py, &found, thresholds, shape)
}
