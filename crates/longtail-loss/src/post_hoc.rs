//! Corrections of a trained softmax classifier for its long tail, without training: on weights or on stored logits.

use crate::{
    classification::scores_by_rows, error::LossError, methods::balanced_softmax::log_priors,
    numerics::softmax,
};

/// τ-normalisation (Kang et al., ICLR 2020, arXiv 1910.09217): `w_c / ‖w_c‖^τ` for the classes' weights, in place;
/// `weight [inputs × columns]`, column 0, the background, is untouched. τ = 0 changes nothing, 1 makes all norms 1.
///
/// # Errors
/// If τ is not finite or the weight is no whole number of rows.
pub fn tau_normalize(weight: &mut [f32], columns: usize, tau: f64) -> Result<(), LossError> {
    if !tau.is_finite() {
        return Err(LossError::Setting { field: "tau", value: tau, expected: "a finite number" });
    }
    if columns == 0 || !weight.len().is_multiple_of(columns) {
        let rows = weight.len().checked_div(columns).unwrap_or(0);
        return Err(LossError::LogitsLength { found: weight.len(), rows, outputs: columns });
    }
    let mut squares = vec![0.0_f64; columns];
    for row in weight.chunks_exact(columns) {
        squares.iter_mut().zip(row).for_each(|(sum, w)| *sum += f64::from(*w).powi(2));
    }
    // A class without weights stays as it is.
    let factor = |square: &f64| if *square > 0.0 { square.powf(-0.5 * tau) } else { 1.0 };
    let factors: Vec<f64> = std::iter::once(1.0).chain(squares[1..].iter().map(factor)).collect();
    for row in weight.chunks_exact_mut(columns) {
        row.iter_mut().zip(&factors).for_each(|(w, factor)| *w = (f64::from(*w) * factor) as f32);
    }
    Ok(())
}

/// NorCal (Pan et al., NeurIPS 2021, arXiv 2107.02170): `e^{z_c} / n_c^γ`, background untouched, renormalised. Scores
/// `[N × C]` for `logits [N × (C + 1)]`; `counts` are training images of each class.
///
/// # Errors
/// If γ is not finite or the shapes do not fit.
pub fn norcal(logits: &[f32], counts: &[u64], gamma: f64) -> Result<Vec<f32>, LossError> {
    if !gamma.is_finite() {
        return Err(LossError::Setting { field: "gamma", value: gamma, expected: "a finite number" });
    }
    // e^z / n^γ = e^(z - γ ln n); unlike the priors below not relative to the largest class, which would move the background.
    let subtracted: Vec<f32> =
        std::iter::once(0.0).chain(counts.iter().map(|&n| (gamma * (n.max(1) as f64).ln()) as f32)).collect();
    adjusted(logits, &subtracted)
}

/// Post-hoc logit adjustment (Menon et al., ICLR 2021, arXiv 2007.07314): softmax of `z_c - τ log(n_c / max n)`,
/// background untouched. Scores `[N × C]` for `logits [N × (C + 1)]`.
///
/// # Errors
/// If τ is not finite or the shapes do not fit.
pub fn adjust_logits(logits: &[f32], counts: &[u64], tau: f64) -> Result<Vec<f32>, LossError> {
    adjusted(logits, &log_priors(tau, counts)?)
}

fn adjusted(logits: &[f32], subtracted: &[f32]) -> Result<Vec<f32>, LossError> {
    let columns = subtracted.len();
    if !logits.len().is_multiple_of(columns) {
        let rows = logits.len() / columns;
        return Err(LossError::LogitsLength { found: logits.len(), rows, outputs: columns });
    }
    Ok(scores_by_rows(logits, columns, columns - 1, |z, scores| {
        let moved: Vec<f32> = z.iter().zip(subtracted).map(|(z, s)| z - s).collect();
        let mut probabilities = vec![0.0; columns];
        softmax(&moved, &mut probabilities);
        scores.copy_from_slice(&probabilities[1..]);
    }))
}
