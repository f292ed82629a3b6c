//! The RoIs of an image view, as they are given to the writer.

use crate::{
    error::BankError,
    header::{Counts, Header, Part},
    precision::{F16_MAX, Precision},
};

/// RoIs of an image in one view; foreground first in a training part.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ImageRows {
    /// The annotation file's image id.
    pub image_id: i64,
    /// Place in the header's views.
    pub view: usize,
    /// Height and width of the original image.
    pub size: [u32; 2],
    /// Feature vectors, `[R × D]`.
    pub features: Vec<f32>,
    /// 0 for background, `c + 1` for class c. In a proposals part empty.
    pub labels: Vec<u32>,
    /// IoU with the best box of the ground truth, in `0..=1`. In a proposals part empty.
    pub ious: Vec<f32>,
    /// x1, y1, x2, y2 in pixels of the original image.
    pub boxes: Vec<[f32; 4]>,
    /// Regressed boxes in pixels of the original image, `[R × columns × 4]`; proposals only.
    pub regressed: Vec<f32>,
    /// Stage-1 logits, `[R × K]`; empty if they are not stored.
    pub logits: Vec<f32>,
    /// RoIs there were, beyond those given here; less than the rows count as the rows.
    pub found: Counts,
}

impl ImageRows {
    /// Number of RoIs.
    pub fn len(&self) -> usize {
        self.boxes.len()
    }

    /// Whether there is no RoI.
    pub fn is_empty(&self) -> bool {
        self.boxes.is_empty()
    }

    /// What there was and what is kept.
    pub fn counts(&self) -> Counts {
        let foreground_kept = self.labels.iter().filter(|label| **label > 0).count() as u64;
        let background_kept = self.len() as u64 - foreground_kept;
        Counts {
            foreground: self.found.foreground.max(foreground_kept),
            foreground_kept,
            background: self.found.background.max(background_kept),
            background_kept,
        }
    }

    /// Refuses what cannot be kept in a bank of this header.
    ///
    /// # Errors
    /// If arrays do not fit together, a label is not a class, a value is not finite or too large for the precision, or
    /// background comes before foreground.
    pub fn check(&self, header: &Header) -> Result<(), BankError> {
        let (image_id, rows, classes) = (self.image_id, self.len(), header.classes.len());
        let labelled = if header.part == Part::Training { rows } else { 0 };
        for (array, found, expected) in [
            ("features", self.features.len(), rows * header.width),
            ("labels", self.labels.len(), labelled),
            ("ious", self.ious.len(), labelled),
            ("regressed boxes", self.regressed.len(), rows * header.box_columns * 4),
            ("logits", self.logits.len(), rows * header.logit_columns),
        ] {
            if found != expected {
                return Err(BankError::Length { image_id, array, found, expected });
            }
        }
        if let Some((row, &label)) = self.labels.iter().enumerate().find(|(_, l)| **l as usize > classes) {
            return Err(BankError::Label { image_id, row, label, classes });
        }
        let boxes: &[f32] = bytemuck::cast_slice(&self.boxes);
        for (what, values, width) in [
            ("a feature", self.features.as_slice(), header.width),
            ("a logit", &self.logits, header.logit_columns),
            ("a box", boxes, 4),
            ("a regressed box", &self.regressed, header.box_columns * 4),
            ("an IoU", &self.ious, 1),
        ] {
            if let Some(index) = values.iter().position(|value| !value.is_finite()) {
                let (row, value) = (index / width.max(1), values[index]);
                return Err(BankError::NotFinite { what, image_id, row, value });
            }
        }
        if header.precision == Precision::F16
            && let Some(index) = self.features.iter().position(|value| value.abs() > F16_MAX)
        {
            let (row, column) = (index / header.width, index % header.width);
            return Err(BankError::Overflow { image_id, row, column, value: self.features[index] });
        }
        Ok(())
    }

    /// The same RoIs, foreground first; otherwise in their order.
    pub fn foreground_first(mut self, width: usize) -> Self {
        let mut order: Vec<usize> = (0..self.labels.len()).collect();
        order.sort_by_key(|&row| self.labels[row] == 0);
        let take = |values: &[f32], width: usize| -> Vec<f32> {
            if values.is_empty() || width == 0 {
                return Vec::new();
            }
            order.iter().flat_map(|&row| &values[row * width..(row + 1) * width]).copied().collect()
        };
        let logit_width = self.logits.len().checked_div(order.len()).unwrap_or(0);
        self.features = take(&self.features, width);
        self.logits = take(&self.logits, logit_width);
        self.ious = take(&self.ious, 1);
        self.boxes = order.iter().map(|&row| self.boxes[row]).collect();
        self.labels = order.iter().map(|&row| self.labels[row]).collect();
        self
    }
}
