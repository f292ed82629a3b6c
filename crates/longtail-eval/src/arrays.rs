//! The whole precision and recall arrays, as the references keep them.

use std::{collections::HashMap, io::Write, path::Path};

use rayon::prelude::*;
use safetensors::{Dtype, tensor::TensorView};

use crate::{
    accumulate::Curves,
    detection::write_whole,
    error::EvalError,
    evaluation::Evaluation,
    matches::sorted,
    numerics::{AREAS, IOU_COUNT, RECALL_COUNT},
    protocol::{COCO_CAPS, Protocol},
};

/// Precision, recall and scores at every cell; -1 where a class has no countable ground truth.
///
/// Dimensions are those of the references: IoU thresholds (10), recall thresholds (101), classes by ascending id,
/// area ranges (4: all, small, medium, large), and for COCO caps (3: 1, 10, 100).
#[derive(Debug, Clone, PartialEq)]
pub struct Arrays {
    /// `[10, 101, K, 4]` or `[10, 101, K, 4, 3]`.
    pub precision: Vec<f64>,
    /// `[10, K, 4]` or `[10, K, 4, 3]`.
    pub recall: Vec<f64>,
    /// As precision: the score at each recall threshold.
    pub scores: Vec<f64>,
    /// Number of classes.
    pub classes: usize,
    /// Number of caps; 1 means that the dimension is left out.
    pub caps: usize,
}

impl Evaluation {
    /// All cells. Pooled AP has the same ones as fixed AP: a class each.
    pub fn arrays(&self) -> Arrays {
        let caps: Vec<Option<usize>> = match self.settings.protocol {
            Protocol::Coco => COCO_CAPS.map(Some).to_vec(),
            _ => vec![None],
        };
        let classes = self.classes.len();
        let by_class = self.matches.by_class(classes);
        // By class, area and cap.
        let cells: Vec<Vec<Option<Curves>>> = (0..classes)
            .into_par_iter()
            .map(|class| {
                let rows: Vec<_> = caps.iter().map(|cap| sorted(by_class.rows(class), *cap)).collect();
                let cell = |area: usize, cap: usize| {
                    let countable = by_class.countable[class][area];
                    (countable > 0).then(|| Curves::with_scores(&rows[cap], area, countable))
                };
                let places = (0..AREAS.len()).flat_map(|area| (0..caps.len()).map(move |cap| (area, cap)));
                places.map(|(area, cap)| cell(area, cap)).collect()
            })
            .collect();
        let flat = || cells.iter().flatten();
        let at = |value: &dyn Fn(&Curves, usize, usize) -> f64| -> Vec<f64> {
            let thresholds = (0..IOU_COUNT).flat_map(|t| (0..RECALL_COUNT).map(move |r| (t, r)));
            thresholds
                .flat_map(|(t, r)| flat().map(move |c| c.as_ref().map_or(-1.0, |c| value(c, t, r))))
                .collect()
        };
        Arrays {
            precision: at(&|c, t, r| c.precision[t][r]),
            recall: (0..IOU_COUNT)
                .flat_map(|t| flat().map(move |c| c.as_ref().map_or(-1.0, |c| c.recall[t])))
                .collect(),
            scores: at(&|c, t, r| c.scores[t][r]),
            classes,
            caps: caps.len(),
        }
    }
}

impl Arrays {
    /// Writes a safetensors file with `precision`, `recall` and `scores`, f64: whole, or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), EvalError> {
        let bytes = |values: &[f64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let cell = [self.classes, AREAS.len()].into_iter().chain((self.caps > 1).then_some(self.caps));
        let recall: Vec<usize> = [IOU_COUNT].into_iter().chain(cell.clone()).collect();
        let precision: Vec<usize> = [IOU_COUNT, RECALL_COUNT].into_iter().chain(cell).collect();
        let arrays = [
            ("precision", precision.clone(), bytes(&self.precision)),
            ("recall", recall, bytes(&self.recall)),
            ("scores", precision, bytes(&self.scores)),
        ];
        let views = arrays
            .iter()
            .map(|(name, shape, bytes)| Ok((*name, TensorView::new(Dtype::F64, shape.clone(), bytes)?)));
        let file = views
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .and_then(|views| safetensors::serialize(views, None::<HashMap<String, String>>));
        write_whole(path, |writer| {
            writer.write_all(&file.map_err(|error| std::io::Error::other(error.to_string()))?)
        })
    }
}
