//! Balanced softmax (Ren et al., NeurIPS 2020, arXiv 2007.10740), which is logit adjustment in training
//! (Menon et al., ICLR 2021, arXiv 2007.07314) with τ = 1.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss},
    error::{LossError, check_finite},
    method::{Description, LossMethod, Statistics},
    methods::softmax::{OWN_COLUMN, Softmax},
};

/// Softmax cross-entropy of `z_c + τ log(n_c / max n)` in training and of z at test, n the boxes of a class.
/// Relative to the largest class, so that background, which has no count, competes with it as without the
/// adjustment.
///
/// # Shapes
/// - logits: `[N × (C + 1)]`, column 0 is background
/// - scores: `[N × C]`, `softmax(z)` of the classes
///
/// # Example
/// e^z = 1, 1, 1 becomes 1, 1/4, 1:
///
/// ```
/// use longtail_loss::{
///     ClassContext, DrawKey, BalancedSoftmaxConfig, LossMethod, LossState, RoiTargets, SingleWorker,
/// };
///
/// let counts = ClassContext { instance_counts: Some(&[10, 40]), ..ClassContext::new(2) };
/// let loss = BalancedSoftmaxConfig::default().build(&counts)?;
/// let targets = RoiTargets::new(&[1], 2, DrawKey::default())?;
/// let found = loss.evaluate(&[0.0; 3], &targets, &LossState::default(), &SingleWorker)?;
/// assert!((found.value - 9.0_f64.ln()).abs() < 1e-6);
/// # Ok::<(), longtail_loss::LossError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BalancedSoftmaxConfig {
    /// τ: strength of the adjustment; 1 is balanced softmax.
    pub tau: f64,
}

impl Default for BalancedSoftmaxConfig {
    fn default() -> Self {
        Self { tau: 1.0 }
    }
}

impl LossMethod for BalancedSoftmaxConfig {
    fn description(&self) -> Description {
        Description {
            name: "balanced softmax (logit adjustment in training)",
            source: "Ren et al., NeurIPS 2020; Menon et al., ICLR 2021",
            formula: "-log softmax(z + τ log n)_k",
            outputs: "C + 1",
            reads: Statistics::BoxCounts,
            when: "when test classes are balanced and training counts are known",
        }
    }

    fn background(&self) -> &'static str {
        OWN_COLUMN
    }

    fn is_convex(&self) -> bool {
        true
    }

    fn build(&self, context: &ClassContext<'_>) -> Result<Box<dyn ClassificationLoss>, LossError> {
        let counts = context.instance_counts("balanced softmax")?;
        Ok(Box::new(Softmax { added: log_priors(self.tau, counts)?, ..Softmax::PLAIN }))
    }
}

/// `τ log(n_c / max n)` of each column, 0 for background, `[C + 1]`. A class without boxes counts as one with
/// one.
pub(crate) fn log_priors(tau: f64, counts: &[u64]) -> Result<Vec<f32>, LossError> {
    check_finite("tau", tau)?;
    let largest = counts.iter().copied().max().unwrap_or(1).max(1) as f64;
    let prior = |&n: &u64| (tau * (n.max(1) as f64 / largest).ln()) as f32;
    Ok(std::iter::once(0.0).chain(counts.iter().map(prior)).collect())
}
