//! The step of [`crate::sgd`] on slices, for layers whose gradients do not come from automatic differentiation.

use rayon::prelude::*;

use crate::sgd::SgdConfig;

/// Values of a task; only the clipping norm is a sum, and that is taken in order.
const CHUNK: usize = 1 << 14;

/// Momentum of parameters.
#[derive(Debug, Clone, Default)]
pub struct SliceSgd {
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

impl SliceSgd {
    /// Goes on from the momentum of a checkpoint.
    pub fn with_velocity(velocity: Vec<Vec<f32>>) -> Self {
        Self { velocity }
    }

    /// Momentum of each parameter after the first step; none before.
    pub fn velocity(&self) -> &[Vec<f32>] {
        &self.velocity
    }

    /// One step over parameters, always the same ones in the same order. Returns the norm over all gradients before clipping.
    /// The same bits on any number of threads.
    pub fn step(&mut self, config: &SgdConfig, parameters: Vec<Parameter<'_>>) -> f64 {
        let squares = |gradient: &[f32]| gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>();
        let norm = parameters.iter().map(|parameter| squares(&parameter.gradient)).sum::<f64>().sqrt();
        let clip = config.gradient_clip_norm;
        // torch.nn.utils.clip_grad_norm_ adds 1e-6 to the norm.
        let scale = if clip > 0.0 { (clip / (norm + 1e-6)).min(1.0) as f32 } else { 1.0 };
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
        norm
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
        let mut sgd = SliceSgd::default();
        let mut w = [2.0_f32];
        assert_eq!(sgd.step(&config, vec![parameter(&mut w, 1.0, 0.1)]), 1.0);
        // v = 1 + 0.02; w = 2 - 0.102.
        assert!((w[0] - 1.898).abs() < 1e-6, "{w:?}");
        sgd.step(&config, vec![parameter(&mut w, 1.0, 0.1)]);
        // v = 0.9 · 1.02 + 1 + 0.01898 = 1.93698.
        assert!((w[0] - (1.898 - 0.193_698)).abs() < 1e-6, "{w:?}");
    }

    #[test]
    fn clipping_is_by_the_norm_over_all() {
        let config =
            SgdConfig { momentum: 0.0, weight_decay: 0.0, gradient_clip_norm: 1.0, ..SgdConfig::default() };
        let (mut a, mut b) = ([0.0_f32], [0.0_f32]);
        let parameters = vec![parameter(&mut a, 3.0, 1.0), parameter(&mut b, 4.0, 0.5)];
        let norm = SliceSgd::default().step(&config, parameters);
        assert_eq!(norm, 5.0);
        assert!((a[0] + 0.6).abs() < 1e-5 && (b[0] + 0.4).abs() < 1e-5, "{a:?} {b:?}");
    }
}
