//! Stochastic gradient descent with PyTorch's semantics: weight decay added to the gradient, momentum without
//! dampening, gradient clipping by the *global* norm.
//!
//! The detector's tensors take the same step where they are, in `longtail-train`; a test there holds the two together.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::{SettingError, positive};

/// Settings of the optimizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SgdConfig {
    /// Learning rate after the warm-up, for the stage's batch size.
    pub learning_rate: f64,
    /// Momentum, without dampening.
    pub momentum: f64,
    /// Weight decay, added to the gradient of every trained parameter.
    pub weight_decay: f64,
    /// Largest global gradient norm; larger gradients are scaled down to it. 0 switches clipping off.
    pub gradient_clip_norm: f64,
}

impl Default for SgdConfig {
    fn default() -> Self {
        Self { learning_rate: 0.01, momentum: 0.9, weight_decay: 1e-4, gradient_clip_norm: 35.0 }
    }
}

impl SgdConfig {
    /// Checks the ranges; `field` is the dotted key of this block for the message.
    ///
    /// # Errors
    /// If a value is not finite, the learning rate is not positive, or momentum is outside `[0, 1)`.
    pub fn validate(&self, field: &str) -> Result<(), SettingError> {
        positive(&format!("{field}.learning_rate"), self.learning_rate)?;
        if !(0.0..1.0).contains(&self.momentum) {
            return Err(SettingError::new(
                format!("{field}.momentum"),
                format!("is {}; it must lie in [0, 1)", self.momentum),
            ));
        }
        for (name, value) in
            [("weight_decay", self.weight_decay), ("gradient_clip_norm", self.gradient_clip_norm)]
        {
            if !(value.is_finite() && value >= 0.0) {
                return Err(SettingError::new(
                    format!("{field}.{name}"),
                    format!("is {value}; it must be 0 or more"),
                ));
            }
        }
        Ok(())
    }

    /// Factor on gradients whose global norm is `norm`, as `torch.nn.utils.clip_grad_norm_` has it.
    pub fn clip_factor(&self, norm: f64) -> f64 {
        let clip = self.gradient_clip_norm;
        // PyTorch adds 1e-6 to the norm.
        if clip > 0.0 { (clip / (norm + 1e-6)).min(1.0) } else { 1.0 }
    }
}

/// The global norm of the gradients is NaN or infinite: no step was taken.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("gradient norm = {norm}")]
pub struct NormNotFinite {
    /// The norm.
    pub norm: f64,
}

impl NormNotFinite {
    /// The norm, if it is finite.
    ///
    /// # Errors
    /// If it is not: clipping would take NaN for a small one.
    pub fn check(norm: f64) -> Result<f64, Self> {
        if norm.is_finite() { Ok(norm) } else { Err(Self { norm }) }
    }
}

/// Values of a task; only the clipping norm is a sum, and that is taken in order.
const CHUNK: usize = 1 << 14;

/// Momentum of parameters.
#[derive(Debug, Clone, Default)]
pub struct Sgd {
    velocity: Vec<Vec<f32>>,
}

/// A parameter in a step.
pub struct Parameter<'a> {
    /// Its values.
    pub values: &'a mut [f32],
    /// Their gradient, of the same length.
    pub gradient: Vec<f32>,
    /// Learning rate.
    pub learning_rate: f64,
}

impl Sgd {
    /// Goes on from the momentum of a checkpoint.
    pub fn with_velocity(velocity: Vec<Vec<f32>>) -> Self {
        Self { velocity }
    }

    /// Momentum of each parameter after the first step; none before.
    pub fn velocity(&self) -> &[Vec<f32>] {
        &self.velocity
    }

    /// One step over parameters, always the same ones in the same order. Returns the norm over all gradients before
    /// clipping. The same bits on any number of threads.
    ///
    /// # Errors
    /// If the norm is not finite; no parameter is changed then.
    pub fn step(&mut self, config: &SgdConfig, parameters: Vec<Parameter<'_>>) -> Result<f64, NormNotFinite> {
        let squares = |gradient: &[f32]| gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>();
        let norm = parameters.iter().map(|parameter| squares(&parameter.gradient)).sum::<f64>().sqrt();
        NormNotFinite::check(norm)?;
        let scale = config.clip_factor(norm) as f32;
        let (decay, momentum) = (config.weight_decay as f32, config.momentum as f32);
        // PyTorch's first step takes the gradient itself, which momentum over zeros gives too.
        if self.velocity.is_empty() {
            self.velocity = parameters.iter().map(|parameter| vec![0.0; parameter.values.len()]).collect();
        }
        for (parameter, velocity) in parameters.into_iter().zip(&mut self.velocity) {
            let rate = parameter.learning_rate as f32;
            parameter
                .values
                .par_chunks_mut(CHUNK)
                .zip(parameter.gradient.par_chunks(CHUNK))
                .zip(velocity.par_chunks_mut(CHUNK))
                .for_each(|((weight, gradient), velocity)| {
                    for ((w, g), v) in weight.iter_mut().zip(gradient).zip(velocity) {
                        *v = *v * momentum + (g * scale + *w * decay);
                        *w -= *v * rate;
                    }
                });
        }
        Ok(norm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(values: &mut [f32], gradient: f32, learning_rate: f64) -> Parameter<'_> {
        Parameter { values, gradient: vec![gradient], learning_rate }
    }

    #[test]
    fn steps_are_those_of_pytorch() {
        // torch.optim.SGD(lr=0.1, momentum=0.9, weight_decay=0.01) over w = 2 with gradients 1 and 1.
        let config =
            SgdConfig { momentum: 0.9, weight_decay: 0.01, gradient_clip_norm: 0.0, ..SgdConfig::default() };
        let mut sgd = Sgd::default();
        let mut w = [2.0_f32];
        assert_eq!(sgd.step(&config, vec![parameter(&mut w, 1.0, 0.1)]), Ok(1.0));
        // v = 1 + 0.02; w = 2 - 0.102.
        assert!((w[0] - 1.898).abs() < 1e-6, "{w:?}");
        sgd.step(&config, vec![parameter(&mut w, 1.0, 0.1)]).unwrap();
        // v = 0.9 · 1.02 + 1 + 0.01898 = 1.93698.
        assert!((w[0] - (1.898 - 0.193_698)).abs() < 1e-6, "{w:?}");
    }

    #[test]
    fn clipping_is_by_the_norm_over_all() {
        let config =
            SgdConfig { momentum: 0.0, weight_decay: 0.0, gradient_clip_norm: 1.0, ..SgdConfig::default() };
        let (mut a, mut b) = ([0.0_f32], [0.0_f32]);
        let parameters = vec![parameter(&mut a, 3.0, 1.0), parameter(&mut b, 4.0, 0.5)];
        let norm = Sgd::default().step(&config, parameters);
        assert_eq!(norm, Ok(5.0));
        assert!((a[0] + 0.6).abs() < 1e-5 && (b[0] + 0.4).abs() < 1e-5, "{a:?} {b:?}");
    }

    #[test]
    fn a_norm_that_is_not_finite_takes_no_step() {
        for clip in [0.0, 35.0] {
            let config = SgdConfig { gradient_clip_norm: clip, ..SgdConfig::default() };
            for gradient in [f32::NAN, f32::INFINITY] {
                let (mut sgd, mut w) = (Sgd::default(), [2.0_f32]);
                let found = sgd.step(&config, vec![parameter(&mut w, gradient, 0.1)]);
                assert!(found.is_err_and(|e| !e.norm.is_finite()));
                assert!(w == [2.0] && sgd.velocity().is_empty());
            }
        }
    }
}
