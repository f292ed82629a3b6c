//! The step of [`crate::sgd`] on slices, for layers whose gradients do not come from automatic differentiation.

use rayon::prelude::*;

use crate::sgd::SgdConfig;

/// Values of a task; only the clipping norm is a sum, and that is taken in order.
const CHUNK: usize = 1 << 14;

/// Momentum of `P` parameters.
#[derive(Debug, Clone, Default)]
pub struct SliceSgd<const P: usize> {
    velocity: Option<[Vec<f32>; P]>,
}

impl<const P: usize> SliceSgd<P> {
    /// Goes on from the momentum of a checkpoint.
    pub fn with_velocity(velocity: [Vec<f32>; P]) -> Self {
        Self { velocity: Some(velocity) }
    }

    /// Momentum of each parameter after the first step.
    pub fn velocity(&self) -> Option<&[Vec<f32>; P]> {
        self.velocity.as_ref()
    }

    /// One step over parameters, each with its gradient of the same length and a learning rate. Returns the norm over all
    /// gradients before clipping. The same bits on any number of threads.
    pub fn step(
        &mut self,
        config: &SgdConfig,
        learning_rates: [f64; P],
        parameters: [(&mut [f32], Vec<f32>); P],
    ) -> f64 {
        let squares = |gradient: &[f32]| gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>();
        let norm = parameters.iter().map(|(_, gradient)| squares(gradient)).sum::<f64>().sqrt();
        let clip = config.gradient_clip_norm;
        // torch.nn.utils.clip_grad_norm_ adds 1e-6 to the norm.
        let scale = if clip > 0.0 { (clip / (norm + 1e-6)).min(1.0) as f32 } else { 1.0 };
        let (decay, momentum) = (config.weight_decay as f32, config.momentum as f32);
        // PyTorch's first step takes the gradient itself, which momentum over zeros gives too.
        let velocity =
            self.velocity.get_or_insert_with(|| parameters.each_ref().map(|(w, _)| vec![0.0; w.len()]));
        for (((weight, gradient), velocity), rate) in parameters.into_iter().zip(velocity).zip(learning_rates)
        {
            let rate = rate as f32;
            weight
                .par_chunks_mut(CHUNK)
                .zip(gradient.par_chunks(CHUNK))
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

    #[test]
    fn steps_are_those_of_pytorch() {
        // torch.optim.SGD(lr=0.1, momentum=0.9, weight_decay=0.01) over w = 2 with gradients 1 and 1.
        let config =
            SgdConfig { momentum: 0.9, weight_decay: 0.01, gradient_clip_norm: 0.0, ..SgdConfig::default() };
        let mut sgd = SliceSgd::<1>::default();
        let mut w = [2.0_f32];
        assert_eq!(sgd.step(&config, [0.1], [(&mut w, vec![1.0])]), 1.0);
        // v = 1 + 0.02; w = 2 - 0.102.
        assert!((w[0] - 1.898).abs() < 1e-6, "{w:?}");
        sgd.step(&config, [0.1], [(&mut w, vec![1.0])]);
        // v = 0.9 · 1.02 + 1 + 0.01898 = 1.93698.
        assert!((w[0] - (1.898 - 0.193_698)).abs() < 1e-6, "{w:?}");
    }

    #[test]
    fn clipping_is_by_the_norm_over_all() {
        let config =
            SgdConfig { momentum: 0.0, weight_decay: 0.0, gradient_clip_norm: 1.0, ..SgdConfig::default() };
        let (mut a, mut b) = ([0.0_f32], [0.0_f32]);
        let rates = [1.0, 0.5];
        let norm = SliceSgd::default().step(&config, rates, [(&mut a, vec![3.0]), (&mut b, vec![4.0])]);
        assert_eq!(norm, 5.0);
        assert!((a[0] + 0.6).abs() < 1e-5 && (b[0] + 0.4).abs() < 1e-5, "{a:?} {b:?}");
    }
}
