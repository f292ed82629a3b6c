//! Predictions for Open Images ground truth.

use std::path::Path;

use longtail_formats::open_images::{Prediction, read_predictions};

use super::truth::{Corners, OpenImagesTruth};
use crate::error::EvalError;

/// Scores that the challenge's evaluator still looks at lie above this.
const LEAST_SCORE: f64 = -10.0;

/// A prediction that is scored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub corners: Corners,
    pub score: f64,
    pub image: u32,
    pub class: u32,
}

/// Predictions that are scored, in the order in which they came: those of a class that is verified in their
/// image. The others are checked and dropped, so that they need no memory.
#[derive(Debug)]
pub struct OpenImagesPredictions<'a> {
    pub(super) truth: &'a OpenImagesTruth,
    pub(super) rows: Vec<Row>,
    pub(super) seen: u64,
}

impl<'a> OpenImagesPredictions<'a> {
    /// None yet.
    pub fn new(truth: &'a OpenImagesTruth) -> Self {
        Self { truth, rows: Vec::new(), seen: 0 }
    }

    /// Adds the predictions of a CSV file.
    ///
    /// # Errors
    /// If the file cannot be read, lacks a column, has a row that is not a prediction, or a label outside of
    /// given classes; the message has file and line. Nothing is added then.
    pub fn read(&mut self, path: &Path) -> Result<(), EvalError> {
        let truth = self.truth;
        let (rows, seen) = read_predictions(path, |prediction| row(truth, prediction))?;
        if self.rows.is_empty() {
            self.rows = rows;
        } else {
            self.rows.extend(rows);
        }
        self.seen += seen;
        Ok(())
    }

    /// Adds a batch.
    ///
    /// # Errors
    /// If a number is not finite or a label is outside of given classes; its index counts from the first
    /// batch on. The batch is then not added.
    pub fn extend(&mut self, batch: &[Prediction<'_>]) -> Result<(), EvalError> {
        let mut rows = Vec::new();
        for (index, prediction) in batch.iter().enumerate() {
            let fail = |reason| EvalError::Detection { index: self.seen as usize + index, reason };
            let Prediction { score, x_min, x_max, y_min, y_max, .. } = *prediction;
            if [score, x_min, x_max, y_min, y_max].iter().any(|value| !value.is_finite()) {
                return Err(fail("a coordinate or the score is not finite".into()));
            }
            rows.extend(row(self.truth, prediction).map_err(fail)?);
        }
        self.rows.extend(rows);
        self.seen += batch.len() as u64;
        Ok(())
    }

    /// Number of predictions that are scored.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// A prediction by indices; `None` if it is not scored.
fn row(truth: &OpenImagesTruth, prediction: &Prediction<'_>) -> Result<Option<Row>, String> {
    let Some(class) = truth.class(prediction.label) else {
        return match truth.closed {
            true => Err(format!("label `{}` is not among the classes", prediction.label)),
            false => Ok(None),
        };
    };
    let Some(image) = truth.image(prediction.image_id) else { return Ok(None) };
    let Prediction { score, x_min, x_max, y_min, y_max, .. } = *prediction;
    let counts = x_min < x_max && y_min < y_max && score > LEAST_SCORE && truth.is_verified(image, class);
    Ok(counts.then_some(Row { corners: [y_min, x_min, y_max, x_max], score, image, class }))
}
