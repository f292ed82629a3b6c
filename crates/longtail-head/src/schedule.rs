//! How long a training lasts, and its learning rate over that time: linear warm-up, then steps down at milestones.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::{SettingError, positive};

/// How long a stage lasts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Length {
    /// Optimizer steps.
    Iterations(u64),
    /// Passes over the sampler's epoch.
    Epochs(f64),
}

impl Length {
    /// Number of iterations, at least 1.
    pub fn iterations(self, per_epoch: u64) -> u64 {
        match self {
            Self::Iterations(iterations) => iterations,
            Self::Epochs(epochs) => (epochs * per_epoch as f64).ceil().max(1.0) as u64,
        }
    }

    /// Checks the range; `field` is the dotted key of this value for the message.
    ///
    /// # Errors
    /// If it is 0 or less, or not finite.
    pub fn validate(self, field: &str) -> Result<(), SettingError> {
        match self {
            Self::Iterations(0) => Err(SettingError::new(field, "is 0 iterations; it must be at least 1")),
            Self::Iterations(_) => Ok(()),
            Self::Epochs(epochs) => positive(&format!("{field}.epochs"), epochs),
        }
    }
}

/// Warm-up and milestones of a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// Iterations of the linear warm-up.
    pub warmup_iterations: u64,
    /// Share of the learning rate at iteration 0, in `(0, 1]`.
    pub warmup_factor: f64,
    /// Points where the learning rate drops, as increasing shares of the stage in `(0, 1)`: 8 and 11 of 12
    /// epochs are 0.667 and 0.917.
    pub milestones: Vec<f64>,
    /// Factor at each milestone.
    pub decay: f64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            warmup_iterations: 500,
            warmup_factor: 1.0 / 3.0,
            milestones: vec![8.0 / 12.0, 11.0 / 12.0],
            decay: 0.1,
        }
    }
}

impl Schedule {
    /// Factor on the learning rate at iteration `iteration` (from 0) of `total`.
    pub fn factor(&self, iteration: u64, total: u64) -> f64 {
        let warmup = if iteration < self.warmup_iterations {
            let done = iteration as f64 / self.warmup_iterations as f64;
            self.warmup_factor + (1.0 - self.warmup_factor) * done
        } else {
            1.0
        };
        let passed =
            self.milestones.iter().filter(|&&share| iteration as f64 >= share * total as f64).count();
        warmup * self.decay.powi(passed as i32)
    }

    /// Checks the ranges; `field` is the dotted key of this block for the message.
    ///
    /// # Errors
    /// If a share or factor is out of its range.
    pub fn validate(&self, field: &str) -> Result<(), SettingError> {
        let unit = |name: &str, value: f64| {
            if value > 0.0 && value <= 1.0 {
                return Ok(());
            }
            Err(SettingError::new(format!("{field}.{name}"), format!("is {value}; it must lie in (0, 1]")))
        };
        unit("warmup_factor", self.warmup_factor)?;
        unit("decay", self.decay)?;
        let increasing = self.milestones.windows(2).all(|pair| pair[0] < pair[1]);
        let inside = self.milestones.iter().all(|&share| share > 0.0 && share < 1.0);
        if !(increasing && inside) {
            return Err(SettingError::new(
                format!("{field}.milestones"),
                format!("is {:?}; give increasing shares of the stage between 0 and 1", self.milestones),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_is_linear_and_milestones_drop_tenfold() {
        let schedule = Schedule {
            warmup_iterations: 10,
            warmup_factor: 0.5,
            milestones: vec![0.5, 0.75],
            ..Default::default()
        };
        let at = |iteration| schedule.factor(iteration, 100);
        approx::assert_relative_eq!(at(0), 0.5);
        approx::assert_relative_eq!(at(5), 0.75);
        approx::assert_relative_eq!(at(10), 1.0);
        approx::assert_relative_eq!(at(49), 1.0);
        approx::assert_relative_eq!(at(50), 0.1);
        approx::assert_relative_eq!(at(75), 0.01, epsilon = 1e-12);
    }

    #[test]
    fn milestones_out_of_order_are_refused() {
        let schedule = Schedule { milestones: vec![0.9, 0.5], ..Default::default() };
        let message = schedule.validate("stages.0.schedule").unwrap_err().to_string();
        assert!(message.contains("stages.0.schedule.milestones"), "{message}");
    }
}
