//! Exponentials and the sums built on them, on slices: no framework, vectorised for the machine at run time.
//!
//! Everything is branch-free arithmetic marked `#[inline(always)]`, so that `vectorised` compiles it for the
//! widest vectors there are. The compiler does not fuse a product and a sum by itself: the bits are the same
//! on all machines.

use rayon::prelude::*;

/// Runs loops compiled for the widest vectors of the machine. The closure and what it calls must be
/// `#[inline(always)]`: what the compiler leaves as a function of its own is compiled for the baseline.
#[inline(always)]
pub fn vectorised<R>(loops: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(loops)
}

/// Parallel lanes of a running sum.
pub const LANES: usize = 16;

/// `e^x`, relative error below 1e-6 for x in `-87..=88`; beyond, the value at the end of that range.
///
/// Range reduction and polynomial of Cephes' `expf` (Moshier, public domain).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Adding and subtracting 1.5 · 2²³ rounds to a whole number.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let n = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
    // ln 2 in two parts, the first with few digits, so that n · ln 2 is exact enough.
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let mut p = 1.987_569_2e-4;
    for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p * r + c;
    }
    let power = f32::from_bits(((n as i32 + 127) << 23) as u32);
    (p * r * r + r + 1.0) * power
}

/// `ln(1 + u)` for u in `0..=1`, relative error below 1e-6 down to the smallest u.
#[inline(always)]
pub fn ln_1p(u: f32) -> f32 {
    // 2 artanh(u / (2 + u)), as a series in s² ≤ 1/9.
    let s = u / (2.0 + u);
    let s2 = s * s;
    let mut p = 1.0 / 15.0;
    for c in [1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0, 1.0] {
        p = p * s2 + c;
    }
    2.0 * s * p
}

/// `ln(1 + e^z)` and `sigmoid(z)`, neither of which overflows.
#[inline(always)]
pub fn softplus_and_sigmoid(z: f32) -> (f32, f32) {
    let u = exp(-z.abs());
    let inverse = 1.0 / (1.0 + u);
    (z.max(0.0) + ln_1p(u), if z >= 0.0 { inverse } else { u * inverse })
}

/// `sigmoid(z)`.
#[inline(always)]
pub fn sigmoid(z: f32) -> f32 {
    softplus_and_sigmoid(z).1
}

/// 16 running sums of `f` over a slice, which the compiler can vectorise, and what is left behind the last
/// whole block.
#[inline(always)]
pub fn lane_sums(values: &[f32], f: impl Fn(f32) -> f32) -> ([f32; LANES], &[f32]) {
    let mut lanes = [0.0_f32; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += f(*value);
        }
    }
    (lanes, rest)
}

/// `-(1 - p_t)^γ log p_t` of a logit as a negative, and its derivative; a positive is the negative of `-z`.
#[inline(always)]
pub(crate) fn focal_negative(z: f32, gamma: f32) -> (f32, f32) {
    // As a negative p_t = 1 - sigmoid(z), so 1 - p_t = sigmoid(z) =: s and -log p_t = softplus(z).
    let (softplus, s) = softplus_and_sigmoid(z);
    let power = s.powf(gamma);
    // d/dz s^γ·softplus = γ s^γ (1 - s) softplus + s^γ s
    (power * softplus, power * (gamma * (1.0 - s) * softplus + s))
}

/// [`focal_negative`] with γ = 2.
#[inline(always)]
pub(crate) fn focal_negative_squared(z: f32) -> (f32, f32) {
    let (softplus, s) = softplus_and_sigmoid(z);
    let power = s * s;
    (power * softplus, power * (2.0 * (1.0 - s) * softplus + s))
}

/// Sum of `f` over a slice, by [`lane_sums`].
#[inline(always)]
pub(crate) fn sum_of(values: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let (lanes, rest) = lane_sums(values, &f);
    let rest: f64 = rest.iter().map(|v| f64::from(f(*v))).sum();
    rest + lanes.iter().map(|v| f64::from(*v)).sum::<f64>()
}

/// Writes the second value of `f` for each value of a row, and returns the sum of the first.
#[inline(always)]
pub(crate) fn map_and_sum(z: &[f32], gradient: &mut [f32], f: impl Fn(f32) -> (f32, f32)) -> f64 {
    let mut lanes = [0.0_f32; LANES];
    let mut rest = 0.0_f64;
    let (mut zs, mut gs) = (z.chunks_exact(LANES), gradient.chunks_exact_mut(LANES));
    for (z, g) in zs.by_ref().zip(gs.by_ref()) {
        for lane in 0..LANES {
            let (value, slope) = f(z[lane]);
            lanes[lane] += value;
            g[lane] = slope;
        }
    }
    for (z, g) in zs.remainder().iter().zip(gs.into_remainder()) {
        let (value, slope) = f(*z);
        rest += f64::from(value);
        *g = slope;
    }
    rest + lanes.iter().map(|v| f64::from(*v)).sum::<f64>()
}

/// Whether no value is infinite or NaN.
pub(crate) fn all_finite(values: &[f32]) -> bool {
    const EXPONENT: u32 = 0x7f80_0000;
    let finite = |part: &[f32]| {
        vectorised(
            #[inline(always)]
            || part.iter().fold(0, |bad, v| bad | u32::from(v.to_bits() & EXPONENT == EXPONENT)) == 0,
        )
    };
    values.par_chunks(1 << 16).all(finite)
}

/// Binary cross-entropy of a row against no positive: gradient `scale·sigmoid(z)`; returns `Σ softplus(z)`.
///
/// `softplus(z) = max(z, 0) + ln(1 + u)` with `u = e^-|z| ≤ 1`, and the logarithms of many are that of their
/// product: one is taken for 120 columns. `q = Π(1 + u) - 1` is what is carried along, so that small u keep
/// their digits.
#[inline(always)]
pub(crate) fn negatives(z: &[f32], scale: f32, gradient: &mut [f32]) -> f64 {
    /// A product of so many numbers up to 2 is finite.
    const FACTORS: usize = 120;
    let mut total = 0.0;
    let parts = z.chunks(LANES * FACTORS).zip(gradient.chunks_mut(LANES * FACTORS));
    for (z, gradient) in parts {
        let (mut linear, mut q) = ([0.0_f32; LANES], [0.0_f32; LANES]);
        let (mut zs, mut gs) = (z.chunks_exact(LANES), gradient.chunks_exact_mut(LANES));
        for (z, g) in zs.by_ref().zip(gs.by_ref()) {
            for lane in 0..LANES {
                let u = exp(-z[lane].abs());
                let factor = 1.0 + u;
                linear[lane] += z[lane].max(0.0);
                q[lane] = q[lane] * factor + u;
                g[lane] = scale * (if z[lane] >= 0.0 { 1.0 } else { u }) / factor;
            }
        }
        for (z, g) in zs.remainder().iter().zip(gs.into_remainder()) {
            let (softplus, sigmoid) = softplus_and_sigmoid(*z);
            total += f64::from(softplus);
            *g = scale * sigmoid;
        }
        total += linear.iter().map(|v| f64::from(*v)).sum::<f64>();
        total += q.iter().map(|q| f64::from(*q).ln_1p()).sum::<f64>();
    }
    total
}

/// As [`negatives`], with a weight for each column. Returns `Σ w·softplus(z)`.
#[inline(always)]
pub(crate) fn weighted_negatives(z: &[f32], weights: &[f32], scale: f32, gradient: &mut [f32]) -> f64 {
    let mut lanes = [0.0_f32; LANES];
    let mut rest = 0.0_f64;
    let (mut zs, mut ws) = (z.chunks_exact(LANES), weights.chunks_exact(LANES));
    let mut gs = gradient.chunks_exact_mut(LANES);
    for ((z, w), g) in zs.by_ref().zip(ws.by_ref()).zip(gs.by_ref()) {
        for lane in 0..LANES {
            let (softplus, sigmoid) = softplus_and_sigmoid(z[lane]);
            lanes[lane] += w[lane] * softplus;
            g[lane] = scale * w[lane] * sigmoid;
        }
    }
    for ((z, w), g) in zs.remainder().iter().zip(ws.remainder()).zip(gs.into_remainder()) {
        let (softplus, sigmoid) = softplus_and_sigmoid(*z);
        rest += f64::from(w * softplus);
        *g = scale * w * sigmoid;
    }
    rest + lanes.iter().map(|v| f64::from(*v)).sum::<f64>()
}

/// Softmax of a row into `probabilities`; returns `ln Σ e^z`.
#[inline(always)]
pub(crate) fn softmax(z: &[f32], probabilities: &mut [f32]) -> f64 {
    let (largest, total) = exponentials(z, probabilities);
    let inverse = (1.0 / total) as f32;
    probabilities.iter_mut().for_each(|p| *p *= inverse);
    f64::from(largest) + total.ln()
}

/// `e^(z - largest)` of a row; returns the largest and the sum.
#[inline(always)]
fn exponentials(z: &[f32], values: &mut [f32]) -> (f32, f64) {
    let mut largest = [f32::NEG_INFINITY; LANES];
    let chunks = z.chunks_exact(LANES);
    let rest = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for chunk in chunks {
        for (lane, z) in largest.iter_mut().zip(chunk) {
            *lane = if *z > *lane { *z } else { *lane };
        }
    }
    let largest = largest.into_iter().fold(rest, f32::max);
    for (value, z) in values.iter_mut().zip(z) {
        *value = exp(z - largest);
    }
    (largest, sum_of(values, |v| v))
}

/// Softmax cross-entropy of a row: gradient `scale·(softmax(z) - onehot)`; returns `-ln softmax(z)[target]`.
#[inline(always)]
pub(crate) fn cross_entropy(z: &[f32], target: usize, scale: f32, gradient: &mut [f32]) -> f64 {
    let (largest, total) = exponentials(z, gradient);
    let factor = scale * (1.0 / total) as f32;
    gradient.iter_mut().for_each(|g| *g *= factor);
    gradient[target] -= scale;
    f64::from(largest) + total.ln() - f64::from(z[target])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_within_a_millionth() {
        for step in -8700..8800 {
            let x = step as f32 * 0.01;
            let relative = f64::from(exp(x)) / f64::from(x).exp() - 1.0;
            assert!(relative.abs() < 1e-6, "exp({x}): {relative:e}");
        }
        for exponent in -120..=0 {
            for mantissa in [1.0_f32, 1.3, 1.7, 1.99] {
                let u = mantissa * 2.0_f32.powi(exponent) / 2.0;
                let relative = f64::from(ln_1p(u)) / f64::from(u).ln_1p() - 1.0;
                assert!(relative.abs() < 1e-6, "ln_1p({u}): {relative:e}");
            }
        }
    }

    /// Against f64, also where all u are 1, all tiny, and in rows longer than one product.
    #[test]
    fn a_product_has_the_logarithms_of_its_factors() {
        for columns in [1, 15, 16, 1231, 5000] {
            for (centre, spread) in [(0.0, 0.0), (-7.0, 3.0), (-40.0, 20.0), (0.0, 60.0), (30.0, 1.0)] {
                let z: Vec<f32> =
                    (0..columns).map(|i| centre + spread * ((i * 37 % 101) as f32 / 50.0 - 1.0)).collect();
                let mut gradient = vec![0.0; columns];
                let found = negatives(&z, 0.5, &mut gradient);
                let exact = |z: f32| f64::from(z.max(0.0)) + f64::from(-z.abs()).exp().ln_1p();
                let expected: f64 = z.iter().map(|z| exact(*z)).sum();
                assert!(
                    (found / expected - 1.0).abs() < 2e-6,
                    "{columns} {centre} {spread}: {found} {expected}"
                );
                for (z, g) in z.iter().zip(&gradient) {
                    let expected = 0.5 / (1.0 + f64::from(-z).exp());
                    assert!((f64::from(*g) / expected - 1.0).abs() < 1e-6, "{z}: {g} {expected}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_finite_is_found_anywhere() {
        let mut values = vec![1.0_f32; 200_000];
        values[7] = f32::MAX;
        assert!(all_finite(&values) && all_finite(&[]));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            values[199_999] = bad;
            assert!(!all_finite(&values));
        }
    }

    #[test]
    fn nothing_overflows() {
        for z in [-1e30_f32, -200.0, 0.0, 200.0, 1e30] {
            let (softplus, sigmoid) = softplus_and_sigmoid(z);
            assert!(softplus.is_finite() && (0.0..=1.0).contains(&sigmoid), "{z}");
        }
        assert_eq!(softplus_and_sigmoid(0.0).1, 0.5);
    }
}
