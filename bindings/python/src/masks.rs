//! Masks as `pycocotools.mask` hands them about: compressed text with a size.

use longtail_mask::{MaskError, Merge, Rle, Size, box_iou, iou, merge};
use numpy::{
    IntoPyArray, PyReadonlyArray2, PyReadonlyArray3, PyUntypedArrayMethods,
    ndarray::{Array2, Array3, Axis, ShapeBuilder},
};
use pyo3::{prelude::*, pybacked::PyBackedBytes, types::PyBytes};

use crate::{cells::shape, errors::Bad};

/// Height, width, and the text of the runs.
type Text = (u32, u32, PyBackedBytes);

/// A mask as it goes back.
type Written<'py> = (u32, u32, Bound<'py, PyBytes>);

fn bad(error: &MaskError) -> PyErr {
    Bad { field: Some("segmentation".into()), ..Bad::of(error.to_string()) }.into()
}

fn at(index: usize) -> impl Fn(MaskError) -> PyErr {
    move |error| {
        Bad {
            entry: Some(index),
            field: Some("segmentation".into()),
            ..Bad::of(format!("mask {index}: {error}"))
        }
        .into()
    }
}

fn read(masks: &[Text]) -> PyResult<Vec<Rle>> {
    let one = |(index, (height, width, text)): (usize, &Text)| {
        Size::new(*height, *width).and_then(|size| Rle::from_text(size, &text[..])).map_err(at(index))
    };
    masks.iter().enumerate().map(one).collect()
}

fn written<'py>(py: Python<'py>, mask: &Rle) -> Written<'py> {
    (mask.size().height(), mask.size().width(), PyBytes::new(py, mask.to_text().as_bytes()))
}

/// Masks of bitmaps `[height, width, count]`; all but 0 is inside.
#[pyfunction]
pub(crate) fn encode_masks<'py>(
    py: Python<'py>,
    bitmaps: PyReadonlyArray3<'py, u8>,
) -> PyResult<Vec<Written<'py>>> {
    let [height, width, count] = [bitmaps.shape()[0], bitmaps.shape()[1], bitmaps.shape()[2]];
    let side = |length: usize| {
        u32::try_from(length).map_err(|_| PyErr::from(Bad::of(format!("a side of {length} pixels"))))
    };
    let size = Size::new(side(height)?, side(width)?).map_err(|error| bad(&error))?;
    let bitmaps = bitmaps.as_array();
    let one = |index: usize| {
        // Column by column, as runs go.
        let columns: Vec<u8> = bitmaps.index_axis(Axis(2), index).t().iter().copied().collect();
        Ok(written(py, &Rle::encode_columns(size, &columns).map_err(at(index))?))
    };
    (0..count).map(one).collect()
}

/// Bitmaps `[height, width, count]` of 0 and 1, of masks of one size.
#[pyfunction]
pub(crate) fn decode_masks<'py>(py: Python<'py>, masks: Vec<Text>) -> PyResult<Bound<'py, PyAny>> {
    let (height, width) = masks.first().map_or((0, 0), |mask| (mask.0, mask.1));
    let mut bitmaps = Vec::new();
    for (index, mask) in read(&masks)?.iter().enumerate() {
        if (mask.size().height(), mask.size().width()) != (height, width) {
            let sizes = format!("{height} × {width} and {} × {}", mask.size().height(), mask.size().width());
            return Err(Bad {
                entry: Some(index),
                ..Bad::of(format!("masks of {sizes} cannot be decoded together"))
            }
            .into());
        }
        bitmaps.extend(mask.decode_columns().map_err(at(index))?);
    }
    let shape_of = (height as usize, width as usize, masks.len());
    Ok(Array3::from_shape_vec(shape_of.f(), bitmaps).map_err(shape)?.into_pyarray(py).into_any())
}

/// Pixels of each mask, `[count]`.
#[pyfunction]
pub(crate) fn mask_areas<'py>(py: Python<'py>, masks: Vec<Text>) -> PyResult<Bound<'py, PyAny>> {
    let areas: Vec<u32> = read(&masks)?.iter().map(Rle::area).collect();
    Ok(areas.into_pyarray(py).into_any())
}

/// Box x, y, width, height of each mask, `[count, 4]`.
#[pyfunction]
pub(crate) fn mask_boxes<'py>(py: Python<'py>, masks: Vec<Text>) -> PyResult<Bound<'py, PyAny>> {
    let boxes: Vec<f64> = read(&masks)?.iter().flat_map(|mask| mask.to_bbox().map(f64::from)).collect();
    Ok(Array2::from_shape_vec((masks.len(), 4), boxes).map_err(shape)?.into_pyarray(py).into_any())
}

/// Union of masks, or their intersection.
#[pyfunction]
pub(crate) fn merge_masks<'py>(py: Python<'py>, masks: Vec<Text>, intersect: bool) -> PyResult<Written<'py>> {
    let how = if intersect { Merge::Intersection } else { Merge::Union };
    Ok(written(py, &merge(&read(&masks)?, how).map_err(|error| bad(&error))?))
}

/// Overlaps, detections × ground truths; of crowds by the detection's area.
#[pyfunction]
pub(crate) fn mask_overlaps<'py>(
    py: Python<'py>,
    found: Vec<Text>,
    truth: Vec<Text>,
    crowd: Vec<bool>,
) -> PyResult<Bound<'py, PyAny>> {
    let (found, truth) = (read(&found)?, read(&truth)?);
    let overlaps = py.detach(|| iou(&found, &truth, &crowd)).map_err(|error| bad(&error))?;
    Ok(Array2::from_shape_vec((found.len(), truth.len()), overlaps)
        .map_err(shape)?
        .into_pyarray(py)
        .into_any())
}

/// Masks of polygons, each x, y, x, y, ….
#[pyfunction]
pub(crate) fn masks_of_polygons<'py>(
    py: Python<'py>,
    polygons: Vec<Vec<f64>>,
    height: u32,
    width: u32,
) -> PyResult<Vec<Written<'py>>> {
    let size = Size::new(height, width).map_err(|error| bad(&error))?;
    let one = |(index, polygon): (usize, &Vec<f64>)| {
        Ok(written(py, &Rle::from_polygon(size, polygon).map_err(at(index))?))
    };
    polygons.iter().enumerate().map(one).collect()
}

/// Masks of boxes x, y, width, height.
#[pyfunction]
pub(crate) fn masks_of_boxes<'py>(
    py: Python<'py>,
    boxes: Vec<[f64; 4]>,
    height: u32,
    width: u32,
) -> PyResult<Vec<Written<'py>>> {
    let size = Size::new(height, width).map_err(|error| bad(&error))?;
    let one =
        |(index, bbox): (usize, &[f64; 4])| Ok(written(py, &Rle::from_box(size, *bbox).map_err(at(index))?));
    boxes.iter().enumerate().map(one).collect()
}

/// A mask of counts: pixels outside, inside, outside, … column by column.
#[pyfunction]
pub(crate) fn mask_of_counts<'py>(
    py: Python<'py>,
    counts: Vec<u32>,
    height: u32,
    width: u32,
) -> PyResult<Written<'py>> {
    let mask =
        Size::new(height, width).and_then(|size| Rle::new(size, counts)).map_err(|error| bad(&error))?;
    Ok(written(py, &mask))
}

/// Overlaps of boxes x, y, width, height, detections × ground truths, crowds by the detection's area.
#[pyfunction]
pub(crate) fn box_overlaps<'py>(
    py: Python<'py>,
    found: PyReadonlyArray2<'py, f64>,
    truth: PyReadonlyArray2<'py, f64>,
    crowd: Vec<bool>,
) -> PyResult<Bound<'py, PyAny>> {
    let rows = |array: &PyReadonlyArray2<'_, f64>| -> PyResult<Vec<[f64; 4]>> {
        if array.shape()[1] != 4 {
            return Err(Bad::of(format!(
                "boxes have {} numbers; expected x, y, width, height",
                array.shape()[1]
            ))
            .into());
        }
        Ok(array.as_array().outer_iter().map(|row| [row[0], row[1], row[2], row[3]]).collect())
    };
    let (found, truth) = (rows(&found)?, rows(&truth)?);
    let values = box_iou(&found, &truth, &crowd).map_err(|error| Bad::of(error.to_string()))?;
    Ok(Array2::from_shape_vec((found.len(), truth.len()), values).map_err(shape)?.into_pyarray(py).into_any())
}
