//! The last hidden layer below the classifier, on slices: `relu(x Wᵀ + b)`.

use longtail_loss::fused::LinearLayer;
use serde::{Deserialize, Serialize};

use crate::settings::{SettingError, positive};

/// What becomes of the last hidden layer in training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum HiddenRecipe {
    /// It is trained with the classifier.
    Trained {
        /// Its learning rate over the classifier's.
        #[serde(default = "one")]
        learning_rate_factor: f64,
    },
    /// It stays that of stage 1.
    Frozen,
}

fn one() -> f64 {
    1.0
}

impl Default for HiddenRecipe {
    fn default() -> Self {
        Self::Trained { learning_rate_factor: one() }
    }
}

impl HiddenRecipe {
    /// Checks the factor.
    ///
    /// # Errors
    /// If it is not above 0.
    pub fn validate(&self) -> Result<(), SettingError> {
        match self {
            Self::Trained { learning_rate_factor } => {
                positive("hidden.learning_rate_factor", *learning_rate_factor)
            }
            Self::Frozen => Ok(()),
        }
    }
}

/// A hidden layer `[N, D] → [N, H]` with ReLU.
#[derive(Debug, Clone, PartialEq)]
pub struct Hidden {
    /// Weights, `[H × D]`.
    pub weight: Vec<f32>,
    /// Bias, `[H]`.
    pub bias: Vec<f32>,
    /// D.
    pub width: usize,
}

impl Hidden {
    /// Width H of its outputs.
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// `relu(X Wᵀ + b)`, `[N × H]`, of `inputs [N × D]`. The same bits on any number of threads.
    pub fn forward(&self, inputs: &[f32]) -> Vec<f32> {
        let mut outputs = self.layer(inputs).outputs();
        // NaN stays, so that the loss finds it.
        outputs.iter_mut().filter(|y| **y <= 0.0).for_each(|y| *y = 0.0);
        outputs
    }

    /// dW, `[H × D]`, and db, `[H]`, from the inputs, what [`Self::forward`] made of them, and the gradient of that.
    pub fn gradients(&self, inputs: &[f32], outputs: &[f32], mut gradient: Vec<f32>) -> [Vec<f32>; 2] {
        // ReLU has no derivative at 0; as everywhere, 0 is taken.
        gradient.iter_mut().zip(outputs).filter(|(_, y)| **y <= 0.0).for_each(|(g, _)| *g = 0.0);
        self.layer(inputs).parameter_gradients(&gradient).into()
    }

    pub(crate) fn layer<'a>(&'a self, inputs: &'a [f32]) -> LinearLayer<'a> {
        LinearLayer { inputs, weight: &self.weight, bias: &self.bias, width: self.width, frozen_inputs: true }
    }
}
