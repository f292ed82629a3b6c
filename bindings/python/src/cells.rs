//! Matching and accumulation over all images, classes and area ranges, below the drop-in classes.

use longtail_mask::box_iou;
use numpy::{
    IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods,
    ndarray::{Array, Array2, ArrayD, IxDyn},
};
use pyo3::{
    exceptions::{PyIndexError, PyValueError},
    prelude::*,
};
use rayon::prelude::*;

use crate::{
    curves::{Curve, Entry, curve},
    errors::Bad,
    matching::{Boxes, Matched, Overlaps, Rules, match_boxes, order},
    threads::work,
};

/// One image and class that has ground truth or detections.
struct Cell {
    /// `class × images + image`.
    key: i64,
    /// First of its ground truths, and of its detections, in the caller's sorted lists.
    first: [usize; 2],
    /// Detections by descending score, counted from the first.
    order: Vec<u32>,
    scores: Vec<f64>,
    overlaps: Overlaps,
    areas: Vec<Matched>,
    /// By area: whether a match counts as one, `[T × D]`.
    hits: Vec<Vec<bool>>,
}

/// All cells of an evaluation.
#[pyclass(frozen, module = "longtail._core")]
pub(crate) struct Cells {
    cells: Vec<Cell>,
    thresholds: usize,
    areas: usize,
}

/// Arrays of boxes as Python hands them over, in the order of their keys.
#[derive(FromPyObject)]
pub(crate) struct Columns<'py> {
    /// `class × images + image`, ascending.
    key: PyReadonlyArray1<'py, i64>,
    bbox: PyReadonlyArray2<'py, f64>,
    area: PyReadonlyArray1<'py, f64>,
    id: PyReadonlyArray1<'py, f64>,
    ignore: PyReadonlyArray1<'py, bool>,
    crowd: PyReadonlyArray1<'py, bool>,
    score: PyReadonlyArray1<'py, f64>,
}

/// Owned, for the threads.
struct Sorted {
    key: Vec<i64>,
    boxes: Boxes,
}

impl Columns<'_> {
    fn take(&self, found: bool) -> PyResult<Sorted> {
        let count = self.key.len();
        let marks = if found { &self.score.len() } else { &self.crowd.len() };
        let lengths = [self.bbox.shape()[0], self.area.len(), self.id.len(), self.ignore.len(), *marks];
        if lengths != [count; 5] || self.bbox.shape()[1] != 4 {
            return Err(PyValueError::new_err(format!(
                "columns of {lengths:?} rows for {count} keys; they must agree"
            )));
        }
        let key: Vec<i64> = self.key.as_array().to_vec();
        if !key.is_sorted() {
            return Err(PyValueError::new_err("keys must ascend"));
        }
        let bbox = self.bbox.as_array();
        let boxes = Boxes {
            bbox: bbox.outer_iter().map(|row| [row[0], row[1], row[2], row[3]]).collect(),
            area: self.area.as_array().to_vec(),
            id: self.id.as_array().to_vec(),
            ignore: self.ignore.as_array().to_vec(),
            crowd: self.crowd.as_array().to_vec(),
            score: self.score.as_array().to_vec(),
        };
        Ok(Sorted { key, boxes })
    }
}

impl Boxes {
    fn part(&self, range: std::ops::Range<usize>) -> Self {
        let marks = |list: &[bool]| list.get(range.clone()).unwrap_or_default().to_vec();
        Self {
            bbox: self.bbox[range.clone()].to_vec(),
            area: self.area[range.clone()].to_vec(),
            id: self.id[range.clone()].to_vec(),
            ignore: marks(&self.ignore),
            crowd: marks(&self.crowd),
            score: self.score.get(range).unwrap_or_default().to_vec(),
        }
    }
}

/// Keys of the cells with the ranges of their ground truths and detections.
fn ranges(truth: &[i64], found: &[i64]) -> Vec<(i64, [std::ops::Range<usize>; 2])> {
    let (mut g, mut d, mut cells) = (0, 0, Vec::new());
    while let Some(&key) = truth.get(g).into_iter().chain(found.get(d)).min() {
        let end = |list: &[i64], first: usize| first + list[first..].partition_point(|k| *k <= key);
        let (truth_end, found_end) = (end(truth, g), end(found, d));
        cells.push((key, [g..truth_end, d..found_end]));
        (g, d) = (truth_end, found_end);
    }
    cells
}

/// Matches every cell. `given`: overlaps of each cell that has any, for other things than boxes.
#[pyfunction]
#[pyo3(signature = (truth, found, thresholds, areas, most, given = None, threads = None))]
pub(crate) fn evaluate_cells(
    py: Python<'_>,
    truth: Columns<'_>,
    found: Columns<'_>,
    thresholds: Vec<f64>,
    areas: Vec<[f64; 2]>,
    most: Option<usize>,
    given: Option<Vec<Option<PyReadonlyArray2<'_, f64>>>>,
    threads: Option<usize>,
) -> PyResult<Cells> {
    let (truth, found) = (truth.take(false)?, found.take(true)?);
    let cells = ranges(&truth.key, &found.key);
    let given = given
        .map(|given| -> PyResult<Vec<Overlaps>> {
            if given.len() != cells.len() {
                return Err(Bad::of(format!("overlaps of {} cells for {}", given.len(), cells.len())).into());
            }
            let one = |(values, (_, [g, d])): (
                Option<PyReadonlyArray2<'_, f64>>,
                &(i64, [std::ops::Range<usize>; 2]),
            )| {
                let Some(values) = values else { return Ok(Overlaps { values: Vec::new(), columns: 0 }) };
                let shape = [values.shape()[0], values.shape()[1]];
                if shape[1] != g.len() || shape[0] < d.len().min(most.unwrap_or(usize::MAX)) {
                    let expected = [d.len(), g.len()];
                    return Err(Bad::of(format!(
                        "overlaps of shape {shape:?} for {expected:?} detections and ground truths"
                    ))
                    .into());
                }
                Ok(Overlaps { values: values.as_array().iter().copied().collect(), columns: shape[1] })
            };
            given.into_iter().zip(&cells).map(one).collect()
        })
        .transpose()?;
    let rules = Rules { thresholds, areas, most: most.unwrap_or(usize::MAX) };
    let (thresholds, areas) = (rules.thresholds.len(), rules.areas.len());
    let cells = work(py, threads, move || {
        let one = |(n, (key, [g, d])): (usize, (i64, [std::ops::Range<usize>; 2]))| {
            let first = [g.start, d.start];
            let (truth, found) = (truth.boxes.part(g), found.boxes.part(d));
            let order = order(&found.score, rules.most);
            let overlaps = match &given {
                Some(given) => given[n].clone(),
                None => {
                    let by_score: Vec<[f64; 4]> = order.iter().map(|&d| found.bbox[d as usize]).collect();
                    let values = box_iou(&by_score, &truth.bbox, &truth.crowd);
                    let values = values.map_err(|error| Bad::of(error.to_string()))?;
                    Overlaps { values, columns: truth.id.len() }
                }
            };
            let usable = !overlaps.values.is_empty() || truth.id.is_empty() || found.id.is_empty();
            let areas = match usable {
                true => match_boxes(&truth, &found, &order, &overlaps, &rules),
                false => {
                    // No overlaps at all: nothing is matched.
                    let none = Overlaps {
                        values: vec![-1.0; order.len() * truth.id.len()],
                        columns: truth.id.len(),
                    };
                    match_boxes(&truth, &found, &order, &none, &rules)
                }
            };
            let hits = |area: &Matched| {
                let hit = |&g: &i32| g >= 0 && truth.id[area.truths[g as usize] as usize] != 0.0;
                area.found_match.iter().map(hit).collect()
            };
            let hits = areas.iter().map(hits).collect();
            let scores = order.iter().map(|&d| found.score[d as usize]).collect();
            Ok(Cell { key, first, order, scores, overlaps, areas, hits })
        };
        cells.into_par_iter().enumerate().map(one).collect::<Result<Vec<Cell>, Bad>>()
    })??;
    Ok(Cells { cells, thresholds, areas })
}

#[pymethods]
impl Cells {
    /// Keys of the cells, `class × images + image`, ascending.
    #[getter]
    fn keys<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        self.cells.iter().map(|cell| cell.key).collect::<Vec<_>>().into_pyarray(py)
    }

    /// Overlaps of a cell, detections by descending score × ground truths; None where one of both is missing.
    fn overlaps<'py>(&self, py: Python<'py>, cell: usize) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Overlaps { values, columns } = &self.cell(cell)?.overlaps;
        if values.is_empty() {
            return Ok(None);
        }
        let array = Array2::from_shape_vec((values.len() / columns, *columns), values.clone());
        Ok(Some(array.map_err(shape)?.into_pyarray(py).into_any()))
    }

    /// A cell in an area range: indices of its detections and of its ground truths in the lists that were
    /// handed over; for each detection and threshold the index of its match among these ground truths, or -1;
    /// the same for each ground truth among these detections; which ground truths, and which detections at
    /// which threshold, do not count.
    #[expect(clippy::type_complexity, reason = "a tuple of arrays, taken apart at once by Python")]
    fn entry<'py>(
        &self,
        py: Python<'py>,
        cell: usize,
        area: usize,
    ) -> PyResult<(
        Bound<'py, PyAny>,
        Bound<'py, PyAny>,
        Bound<'py, PyAny>,
        Bound<'py, PyAny>,
        Bound<'py, PyAny>,
        Bound<'py, PyAny>,
    )> {
        let Cell { first, order, areas, .. } = self.cell(cell)?;
        let matched =
            areas.get(area).ok_or_else(|| PyIndexError::new_err(format!("there is no area range {area}")))?;
        let absolute = |list: &[u32], first: usize| {
            list.iter().map(|i| first as i64 + i64::from(*i)).collect::<Vec<_>>()
        };
        let (width, columns, t) = (order.len(), matched.truths.len(), self.thresholds);
        let table =
            |values: &[i32], columns| Array2::from_shape_vec((t, columns), values.to_vec()).map_err(shape);
        let ignored = Array2::from_shape_vec((t, width), matched.found_ignored.clone()).map_err(shape)?;
        Ok((
            absolute(order, first[1]).into_pyarray(py).into_any(),
            absolute(&matched.truths, first[0]).into_pyarray(py).into_any(),
            table(&matched.found_match, width)?.into_pyarray(py).into_any(),
            table(&matched.truth_match, columns)?.into_pyarray(py).into_any(),
            matched.truth_ignored.clone().into_pyarray(py).into_any(),
            ignored.into_pyarray(py).into_any(),
        ))
    }

    /// Precision and scores `[T, R, K, A, M]` and recall `[T, K, A, M]` of the chosen classes, area ranges
    /// and images, by their indices among those that were evaluated; -1 where nothing counts. `images` is how
    /// many were evaluated.
    #[pyo3(signature = (images, classes, areas, chosen, caps, recalls, shape, threads = None))]
    fn accumulate<'py>(
        slf: &Bound<'py, Self>,
        images: usize,
        classes: Vec<usize>,
        areas: Vec<usize>,
        chosen: Vec<usize>,
        caps: Vec<Option<usize>>,
        recalls: Vec<f64>,
        shape: [usize; 5],
        threads: Option<usize>,
    ) -> PyResult<[Bound<'py, PyAny>; 3]> {
        let py = slf.py();
        let this = slf.get();
        if areas.iter().any(|area| *area >= this.areas) {
            return Err(PyIndexError::new_err(format!("area ranges {areas:?} of {}", this.areas)));
        }
        let (thresholds, handle) = (this.thresholds, slf.clone().unbind());
        let found = work(py, threads, move || {
            let this = handle.get();
            let mut every = vec![false; images];
            chosen.iter().for_each(|&image| every[image] = true);
            // Images are taken in the order of `chosen`; ascending, it is that of the cells.
            let of_class = |&class: &usize| {
                let key = |image: usize| (class * images + image) as i64;
                let first = this.cells.partition_point(|cell| cell.key < key(0));
                let last = this.cells.partition_point(|cell| cell.key < key(images));
                let cells = &this.cells[first..last];
                let of_image = |image: &usize| cells.binary_search_by_key(&key(*image), |cell| cell.key).ok();
                match chosen.is_sorted() {
                    true => {
                        cells.iter().filter(|cell| every[(cell.key - key(0)) as usize]).collect::<Vec<_>>()
                    }
                    false => chosen.iter().filter_map(of_image).map(|n| &cells[n]).collect(),
                }
            };
            let one = |class: &usize| {
                let cells = of_class(class);
                let cell = |area: usize, cap: Option<usize>| {
                    let entries: Vec<Entry<'_>> = cells.iter().map(|cell| cell.entry(area)).collect();
                    curve(&entries, cap.unwrap_or(usize::MAX), this.thresholds, &recalls)
                };
                areas.iter().map(|&area| caps.iter().map(|&cap| cell(area, cap)).collect()).collect()
            };
            let found: Vec<Vec<Vec<Option<Curve>>>> = classes.par_iter().map(one).collect();
            // The last reference to the cells may be this one; it is given back with the GIL.
            (found, handle)
        })?
        .0;
        arrays(py, &found, thresholds, shape)
    }

    fn __len__(&self) -> usize {
        self.cells.len()
    }
}

impl Cell {
    fn entry(&self, area: usize) -> Entry<'_> {
        let Matched { truth_ignored, found_ignored, .. } = &self.areas[area];
        let countable = truth_ignored.iter().filter(|ignored| !**ignored).count();
        Entry { scores: &self.scores, hit: &self.hits[area], ignored: found_ignored, countable }
    }
}

impl Cells {
    fn cell(&self, index: usize) -> PyResult<&Cell> {
        self.cells.get(index).ok_or_else(|| PyIndexError::new_err(format!("there is no cell {index}")))
    }
}

pub(crate) fn shape(error: numpy::ndarray::ShapeError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// Arrays of -1 with the curves written into them, class, area range and cap by their order.
pub(crate) fn arrays<'py>(
    py: Python<'py>,
    found: &[Vec<Vec<Option<Curve>>>],
    thresholds: usize,
    shape: [usize; 5],
) -> PyResult<[Bound<'py, PyAny>; 3]> {
    let [t, r, k, a, m] = shape;
    if t != thresholds {
        return Err(Bad::of(format!(
            "{t} IoU thresholds now, {thresholds} when it was evaluated; call evaluate() again"
        ))
        .into());
    }
    let empty = |shape: &[usize]| -> ArrayD<f64> { Array::from_elem(IxDyn(shape), -1.0) };
    let (mut precision, mut scores, mut recall) =
        (empty(&[t, r, k, a, m]), empty(&[t, r, k, a, m]), empty(&[t, k, a, m]));
    for (class, areas) in found.iter().enumerate() {
        for (area, caps) in areas.iter().enumerate() {
            for (cap, curve) in caps.iter().enumerate() {
                let Some(curve) = curve else { continue };
                for t in 0..t {
                    recall[[t, class, area, cap].as_slice()] = curve.recall[t];
                    for n in 0..r {
                        precision[[t, n, class, area, cap].as_slice()] = curve.precision[t * r + n];
                        scores[[t, n, class, area, cap].as_slice()] = curve.scores[t * r + n];
                    }
                }
            }
        }
    }
    Ok([
        precision.into_pyarray(py).into_any(),
        recall.into_pyarray(py).into_any(),
        scores.into_pyarray(py).into_any(),
    ])
}
