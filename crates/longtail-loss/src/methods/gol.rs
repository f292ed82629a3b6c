//! GOL: Gumbel optimized loss (Alexandridis et al., ECCV 2022, arXiv 2207.10936).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss, Evaluation, Step, by_rows, scores_by_rows},
    error::LossError,
    method::{Description, LossMethod, SIGMOID_OUTPUTS, Statistics},
    state::LossState,
};

/// Logits of the authors' code: beyond, a cell has the loss of the bound and no gradient.
const LEAST: f32 = -4.0;
const MOST: f32 = 10.0;

/// Binary cross-entropy of `p = exp(-exp(-z))`, the distribution function of Gumbel instead of the logistic
/// one. On its left p falls doubly exponentially, so that a class which is rarely right needs no large
/// negative logit.
///
/// # Shapes
/// - logits: `[N × K]`, K = C, or K = C + 1 with a background logit in column 0
/// - scores: `[N × C]`, `exp(-exp(-z))` of the classes
///
/// # Example
/// ```
/// use longtail_loss::{ClassContext, DrawKey, GolConfig, LossMethod, LossState, RoiTargets, SingleWorker};
///
/// let loss = GolConfig::default().build(&ClassContext::new(2))?;
/// let targets = RoiTargets::new(&[1], 2, DrawKey::default())?;
/// let found = loss.evaluate(&[0.0; 2], &targets, &LossState::default(), &SingleWorker)?;
/// // p = 1/e
/// assert!((found.value - (1.0 - (1.0 - (-1.0_f64).exp()).ln())).abs() < 1e-6);
/// assert!((found.gradient[0] + 1.0).abs() < 1e-6);
/// # Ok::<(), longtail_loss::LossError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GolConfig {
    /// Whether column 0 is a background logit (K = C + 1, so that a softmax head can be taken over).
    pub background_logit: bool,
}

impl LossMethod for GolConfig {
    fn description(&self) -> Description {
        Description {
            name: "Gumbel optimized loss",
            source: "Alexandridis et al., ECCV 2022",
            formula: "-log p_k - Σ_{i≠k} log(1 - p_i), p = exp(-exp(-z)), z within -4 and 10",
            outputs: SIGMOID_OUTPUTS,
            reads: Statistics::Nothing,
            when: "as sigmoid BCE, where foreground is rare; the authors add it to other sigmoid losses",
        }
    }

    fn background(&self) -> &'static str {
        "all classes"
    }

    fn build(&self, _: &ClassContext<'_>) -> Result<Box<dyn ClassificationLoss>, LossError> {
        Ok(Box::new(Gol { background: usize::from(self.background_logit) }))
    }
}

struct Gol {
    /// Columns before the classes.
    background: usize,
}

/// Loss and slope of a cell.
fn cell(z: f32, own: bool) -> (f64, f64) {
    // u = -ln p
    let u = (-f64::from(z.clamp(LEAST, MOST))).exp();
    let (loss, slope) = match own {
        true => (u, -u),
        false => (-(-(-u).exp_m1()).ln(), u / u.exp_m1()),
    };
    (loss, if (LEAST..=MOST).contains(&z) { slope } else { 0.0 })
}

impl ClassificationLoss for Gol {
    fn num_outputs(&self, num_classes: usize) -> usize {
        num_classes + self.background
    }

    fn compute(&self, step: Step<'_>) -> Result<Evaluation, LossError> {
        let Step { logits, targets, .. } = step;
        let columns = targets.num_classes() + self.background;
        targets.check(logits, columns)?;
        let (value, gradient) = by_rows(logits, columns, targets, |n, scale, z, gradient| {
            let label = targets.labels()[n] as usize;
            let own = (label + self.background).checked_sub(1);
            let mut loss = 0.0;
            for (column, (z, gradient)) in z.iter().zip(gradient).enumerate() {
                let (value, slope) = cell(*z, own == Some(column));
                loss += value;
                *gradient = scale * slope as f32;
            }
            loss
        });
        Ok(Evaluation { value, gradient, state: LossState::Stateless })
    }

    fn class_scores(&self, logits: &[f32], columns: usize) -> Vec<f32> {
        scores_by_rows(logits, columns, columns - self.background, |z, scores| {
            let classes = scores.iter_mut().zip(&z[self.background..]);
            classes.for_each(|(score, z)| *score = (-(-z).exp()).exp());
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_authors_bounds_there_is_no_gradient() {
        for own in [true, false] {
            assert!(cell(-4.0, own).1 != 0.0 && cell(10.0, own).1 != 0.0);
            assert_eq!((cell(-4.1, own).1, cell(10.1, own).1), (0.0, 0.0));
            assert_eq!(cell(-9.0, own).0, cell(-4.0, own).0);
        }
        // A right class that scores low pulls hard, a wrong one that does is left in peace.
        assert!(cell(-3.0, true).1 < -20.0 && cell(-3.0, false).1 < 1e-7);
    }
}
