//! Corrections of a trained softmax classifier for its long tail, without training: on weights or on stored
//! logits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss, Evaluation, KeptNegatives, Step, scores_by_rows},
    error::{LossError, check_finite},
    fused::{LinearEvaluation, LinearLayer},
    method::{Description, Statistics},
    methods::balanced_softmax::log_priors,
    numerics::softmax,
    state::{LossState, Workers},
    targets::Column,
    targets::RoiTargets,
};

/// A correction by name, `correction = { kind = "norcal" }` of a recipe's classifier.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum PostHoc {
    /// [`tau_normalize`].
    TauNorm {
        /// τ: 0 changes nothing, 1 makes all norms 1.
        #[serde(default = "default_tau")]
        tau: f64,
    },
    /// [`norcal`], with training images as counts.
    #[serde(rename = "norcal")]
    NorCal {
        /// γ: 0 changes nothing.
        #[serde(default = "default_gamma")]
        gamma: f64,
    },
    /// [`adjust_logits`], with boxes as counts.
    LogitAdjustment {
        /// τ: 0 changes nothing.
        #[serde(default = "default_tau")]
        tau: f64,
    },
}

fn default_tau() -> f64 {
    1.0
}
fn default_gamma() -> f64 {
    0.6
}

impl PostHoc {
    /// Every correction with its default settings.
    pub fn defaults() -> [Self; 3] {
        let (tau, gamma) = (default_tau(), default_gamma());
        [Self::TauNorm { tau }, Self::NorCal { gamma }, Self::LogitAdjustment { tau }]
    }

    /// The loss with corrected scores; it trains as before.
    ///
    /// # Errors
    /// If a setting is not a finite number, counts are missing or forbidden, or the loss is not one of
    /// softmax with a background column and the classes.
    pub fn correct(
        self,
        loss: Box<dyn ClassificationLoss>,
        context: &ClassContext<'_>,
    ) -> Result<Box<dyn ClassificationLoss>, LossError> {
        if !loss.scores_are_softmax() {
            return Err(LossError::NotCorrectable);
        }
        let subtracted = match self {
            Self::TauNorm { tau } => check_finite("tau", tau).map(|()| None)?,
            Self::NorCal { gamma } => {
                check_finite("gamma", gamma)?;
                Some(powers(context.image_counts("NorCal")?, gamma))
            }
            Self::LogitAdjustment { tau } => {
                Some(log_priors(tau, context.instance_counts("logit adjustment")?)?)
            }
        };
        Ok(Box::new(Corrected { loss, correction: self, subtracted }))
    }
}

impl PostHoc {
    /// The correction in words.
    pub fn description(&self) -> Description {
        let of = |name, source, formula, reads, when| Description {
            name,
            source,
            formula,
            outputs: "C + 1, softmax",
            reads,
            when,
        };
        match self {
            Self::TauNorm { .. } => of(
                "τ-normalisation",
                "Kang et al., ICLR 2020",
                "softmax(z)_c with w_c / ‖w_c‖^τ instead of w_c",
                Statistics::Nothing,
                "a classifier whose tail has small weights; no counts needed",
            ),
            Self::NorCal { .. } => of(
                "normalised calibration",
                "Pan et al., NeurIPS 2021",
                "e^{z_c} / n_c^γ, renormalised with the background",
                Statistics::ImageCounts,
                "a trained detector that must not be trained again",
            ),
            Self::LogitAdjustment { .. } => of(
                "logit adjustment",
                "Menon et al., ICLR 2021",
                "softmax(z - τ log(n / max n))_c, background untouched",
                Statistics::BoxCounts,
                "as NorCal, relative to the largest class",
            ),
        }
    }
}

/// A loss with corrected scores.
struct Corrected {
    loss: Box<dyn ClassificationLoss>,
    correction: PostHoc,
    /// What is taken from each logit before the softmax, `[C + 1]`.
    subtracted: Option<Vec<f32>>,
}

impl ClassificationLoss for Corrected {
    fn num_outputs(&self, num_classes: usize) -> usize {
        self.loss.num_outputs(num_classes)
    }

    fn columns(&self, num_classes: usize) -> Vec<Column> {
        self.loss.columns(num_classes)
    }

    fn compute(&self, step: Step<'_>) -> Result<Evaluation, LossError> {
        self.loss.compute(step)
    }

    fn evaluate_linear(
        &self,
        layer: LinearLayer<'_>,
        targets: &RoiTargets,
        state: &LossState,
        workers: &dyn Workers,
    ) -> Result<LinearEvaluation, LossError> {
        self.loss.evaluate_linear(layer, targets, state, workers)
    }

    fn class_scores(&self, logits: &[f32], columns: usize) -> Vec<f32> {
        match &self.subtracted {
            Some(subtracted) => adjusted(logits, subtracted),
            None => self.loss.class_scores(logits, columns),
        }
    }

    fn final_weights(&self, weight: &mut [f32], columns: usize) -> Result<(), LossError> {
        match self.correction {
            PostHoc::TauNorm { tau } => tau_normalize(weight, columns, tau),
            PostHoc::NorCal { .. } | PostHoc::LogitAdjustment { .. } => Ok(()),
        }
    }

    fn kept_negatives(
        &self,
        logits: &[f32],
        targets: &RoiTargets,
        state: &LossState,
    ) -> Option<KeptNegatives> {
        self.loss.kept_negatives(logits, targets, state)
    }
}

/// `γ ln n` of each class after 0 for the background: `e^z / n^γ = e^(z - γ ln n)`. Unlike the priors of
/// logit adjustment not relative to the largest class, which would move the background.
fn powers(counts: &[u64], gamma: f64) -> Vec<f32> {
    let of_class = counts.iter().map(|&n| (gamma * (n.max(1) as f64).ln()) as f32);
    std::iter::once(0.0).chain(of_class).collect()
}

/// τ-normalisation (Kang et al., ICLR 2020, arXiv 1910.09217): `w_c / ‖w_c‖^τ` for the classes' weights, in
/// place; `weight [inputs × columns]`, column 0, the background, is untouched. τ = 0 changes nothing, 1 makes
/// all norms 1.
///
/// # Errors
/// If τ is not finite or the weight is not a whole number of rows.
pub fn tau_normalize(weight: &mut [f32], columns: usize, tau: f64) -> Result<(), LossError> {
    check_finite("tau", tau)?;
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

/// NorCal (Pan et al., NeurIPS 2021, arXiv 2107.02170): `e^{z_c} / n_c^γ`, background untouched,
/// renormalised. Scores `[N × C]` for `logits [N × (C + 1)]`; `counts` are training images of each class.
///
/// # Errors
/// If γ is not finite or the shapes do not fit.
pub fn norcal(logits: &[f32], counts: &[u64], gamma: f64) -> Result<Vec<f32>, LossError> {
    check_finite("gamma", gamma)?;
    checked(logits, &powers(counts, gamma))
}

/// Post-hoc logit adjustment (Menon et al., ICLR 2021, arXiv 2007.07314): softmax of `z_c - τ log(n_c / max
/// n)`, background untouched. Scores `[N × C]` for `logits [N × (C + 1)]`.
///
/// # Errors
/// If τ is not finite or the shapes do not fit.
pub fn adjust_logits(logits: &[f32], counts: &[u64], tau: f64) -> Result<Vec<f32>, LossError> {
    checked(logits, &log_priors(tau, counts)?)
}

fn checked(logits: &[f32], subtracted: &[f32]) -> Result<Vec<f32>, LossError> {
    let columns = subtracted.len();
    if !logits.len().is_multiple_of(columns) {
        let rows = logits.len() / columns;
        return Err(LossError::LogitsLength { found: logits.len(), rows, outputs: columns });
    }
    Ok(adjusted(logits, subtracted))
}

/// Softmax of `z - subtracted` without its first column.
fn adjusted(logits: &[f32], subtracted: &[f32]) -> Vec<f32> {
    let columns = subtracted.len();
    scores_by_rows(logits, columns, columns - 1, |z, scores| {
        let moved: Vec<f32> = z.iter().zip(subtracted).map(|(z, s)| z - s).collect();
        let mut probabilities = vec![0.0; columns];
        softmax(&moved, &mut probabilities);
        scores.copy_from_slice(&probabilities[1..]);
    })
}
