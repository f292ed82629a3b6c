//! The whole precision and recall arrays, as the references keep them.

use std::{collections::HashMap, path::Path};

use longtail_files::write_bytes;
use rayon::prelude::*;
use safetensors::{Dtype, tensor::TensorView};

use super::{accumulate::Curves, evaluation::Evaluation, matches::sorted};
use crate::error::EvalError;

/// Precision, recall and scores at every cell; -1 where a class has no countable ground truth.
///
/// Dimensions are those of the references: IoU thresholds T (10), recall thresholds R (101), classes K by
/// ascending id, area ranges A (4: all, small, medium, large), and for COCO caps M (3: 1, 10, 100).
#[derive(Debug, Clone, PartialEq)]
pub struct Arrays {
    /// `[T, R, K, A]`, or `[T, R, K, A, M]`.
    pub precision: Vec<f64>,
    /// `[T, K, A]`, or `[T, K, A, M]`.
    pub recall: Vec<f64>,
    /// As precision: the score at each recall threshold.
    pub scores: Vec<f64>,
    /// Shape of precision and scores.
    pub shape: Vec<usize>,
}

impl Evaluation {
    /// All cells. Pooled AP has the same ones as fixed AP: a class each.
    pub fn arrays(&self) -> Arrays {
        let plan = &self.plan;
        let caps = if plan.caps.is_empty() { &[usize::MAX][..] } else { &plan.caps };
        let classes = self.classes.len();
        let by_class = self.matches.by_class(plan, classes);
        // By class, area and cap.
        let cells: Vec<Vec<Option<Curves>>> = (0..classes)
            .into_par_iter()
            .map(|class| {
                let rows: Vec<_> = caps.iter().map(|&cap| sorted(by_class.rows(class), cap)).collect();
                let cell = |area: usize, cap: usize| {
                    let countable = by_class.countable[class][area];
                    (countable > 0).then(|| Curves::with_scores(plan, &rows[cap], area, countable))
                };
                let indices =
                    (0..plan.areas.len()).flat_map(|area| (0..caps.len()).map(move |cap| (area, cap)));
                indices.map(|(area, cap)| cell(area, cap)).collect()
            })
            .collect();
        let (ious, recalls) = (plan.iou_thresholds.len(), plan.recall_thresholds.len());
        let at = |count: usize, value: fn(&Curves) -> &[f64]| -> Vec<f64> {
            let of_cell = |index: usize| {
                cells.iter().flatten().map(move |c| c.as_ref().map_or(-1.0, |curves| value(curves)[index]))
            };
            (0..count).flat_map(of_cell).collect()
        };
        let mut shape = vec![ious, recalls, classes, plan.areas.len()];
        shape.extend((!plan.caps.is_empty()).then_some(caps.len()));
        Arrays {
            precision: at(ious * recalls, |c| &c.precision),
            recall: at(ious, |c| &c.recall),
            scores: at(ious * recalls, |c| &c.scores),
            shape,
        }
    }
}

impl Arrays {
    /// Shape of recall.
    pub fn recall_shape(&self) -> Vec<usize> {
        [&self.shape[..1], &self.shape[2..]].concat()
    }

    /// Writes a safetensors file with `precision`, `recall` and `scores`, f64: whole, or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), EvalError> {
        let bytes = |values: &[f64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let arrays = [
            ("precision", self.shape.clone(), bytes(&self.precision)),
            ("recall", self.recall_shape(), bytes(&self.recall)),
            ("scores", self.shape.clone(), bytes(&self.scores)),
        ];
        let views = arrays
            .iter()
            .map(|(name, shape, bytes)| Ok((*name, TensorView::new(Dtype::F64, shape.clone(), bytes)?)));
        let file = views
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .and_then(|views| safetensors::serialize(views, None::<HashMap<String, String>>));
        let failed = |error: safetensors::SafeTensorError| std::io::Error::other(error.to_string());
        let bytes = file.map_err(|error| EvalError::io("write", path, failed(error)))?;
        Ok(write_bytes(path, &bytes)?)
    }
}
