//! Thresholds, cap and layout of an error analysis.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

/// What an error analysis goes by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ErrorOptions {
    /// IoU that makes a match, and IoU that is no more than background.
    pub bounds: OverlapBounds,
    /// Best detections of an image, over all its classes, that take part.
    pub max_detections: NonZeroUsize,
    /// Whether the ground truth is federated (LVIS): classes neither annotated nor verified absent in an
    /// image, and those not exhaustively annotated there, are not punished.
    pub federated: bool,
}

impl ErrorOptions {
    /// For COCO, as `tidecv` has it: foreground IoU 0.5, background IoU 0.1, 100 detections an image.
    pub const fn coco() -> Self {
        Self {
            bounds: OverlapBounds::TIDE,
            max_detections: NonZeroUsize::new(100).unwrap(),
            federated: false,
        }
    }

    /// For LVIS, as `tidecv` has it: foreground IoU 0.5, background IoU 0.1, 300 detections an image,
    /// federated.
    pub const fn lvis() -> Self {
        Self { bounds: OverlapBounds::TIDE, max_detections: NonZeroUsize::new(300).unwrap(), federated: true }
    }
}

impl Default for ErrorOptions {
    /// [`ErrorOptions::coco`].
    fn default() -> Self {
        Self::coco()
    }
}

/// Two IoUs with 0 < background ≤ foreground < 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct OverlapBounds {
    background: f64,
    foreground: f64,
}

/// The bounds as a file says them.
#[derive(Deserialize)]
struct Unchecked {
    background: f64,
    foreground: f64,
}

impl TryFrom<Unchecked> for OverlapBounds {
    type Error = BoundsError;

    fn try_from(bounds: Unchecked) -> Result<Self, BoundsError> {
        Self::new(bounds.background, bounds.foreground)
    }
}

/// IoUs that do not ascend from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error(
    "background IoU {background} and foreground IoU {foreground} do not ascend from 0 to 1; \
     expected 0 < background ≤ foreground < 1"
)]
pub struct BoundsError {
    /// As given.
    pub background: f64,
    /// As given.
    pub foreground: f64,
}

impl OverlapBounds {
    /// Those of the paper: background 0.1, foreground 0.5.
    pub const TIDE: Self = Self { background: 0.1, foreground: 0.5 };

    /// Bounds from a background and a foreground IoU.
    ///
    /// # Errors
    /// Unless 0 < background ≤ foreground < 1: at 0 every pair of boxes would overlap enough, and at 1 no
    /// ignored region would ignore anything.
    pub fn new(background: f64, foreground: f64) -> Result<Self, BoundsError> {
        if 0.0 < background && background <= foreground && foreground < 1.0 {
            Ok(Self { background, foreground })
        } else {
            Err(BoundsError { background, foreground })
        }
    }

    /// Largest IoU with any box that is still background.
    pub fn background(self) -> f64 {
        self.background
    }

    /// Least IoU of a match.
    pub fn foreground(self) -> f64 {
        self.foreground
    }
}
