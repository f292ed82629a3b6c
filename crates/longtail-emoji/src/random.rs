//! Draws that use only exact arithmetic: no sine or logarithm, whose last bits differ
//! between machines.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Uniform in `low..high`.
pub fn uniform(generator: &mut ChaCha8Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * generator.random::<f32>()
}

/// True with a probability.
pub fn chance(generator: &mut ChaCha8Rng, probability: f32) -> bool {
    generator.random::<f32>() < probability
}

/// About normal: the centred sum of four uniform numbers, standard deviation 1.
pub fn bell(generator: &mut ChaCha8Rng) -> f32 {
    let sum: f32 = (0..4).map(|_| generator.random::<f32>()).sum();
    (sum - 2.0) * 1.732_050_8
}

/// Cosine and sine of an angle whose half has the tangent `t`: exact arithmetic instead of a library's sine.
pub fn rotation(t: f32) -> (f32, f32) {
    let norm = 1.0 + t * t;
    ((1.0 - t * t) / norm, 2.0 * t / norm)
}
