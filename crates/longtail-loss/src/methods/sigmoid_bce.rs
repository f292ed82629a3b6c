//! Sigmoid binary cross-entropy, the second baseline.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss},
    error::LossError,
    method::{Description, LossMethod, SIGMOID_OUTPUTS, Statistics},
    rule::{Rule, SigmoidHead},
    sigmoid::SigmoidLoss,
    state::LossState,
    targets::RoiTargets,
};

/// `-log p_k - Σ_{i≠k} log(1 - p_i)`, `p = sigmoid(z)`.
///
/// # Shapes
/// - logits: `[N × K]`, K = C, or K = C + 1 with a background logit in column 0
/// - scores: `[N × C]`, `sigmoid(z)` of the classes
///
/// # Example
/// ```
/// use longtail_loss::{
///     ClassContext, DrawKey, SigmoidBceConfig, LossMethod, LossState, RoiTargets, SingleWorker,
/// };
///
/// let loss = SigmoidBceConfig::default().build(&ClassContext::new(3))?;
/// let targets = RoiTargets::new(&[2], 3, DrawKey::default())?;
/// let found = loss.evaluate(&[0.0, 3.0_f32.ln(), 0.0], &targets, &LossState::default(), &SingleWorker)?;
/// // p = 1/2, 3/4, 1/2
/// assert!((found.value - (2.0 * 2.0_f64.ln() + (4.0 / 3.0_f64).ln())).abs() < 1e-6);
/// assert!((found.gradient[1] + 0.25).abs() < 1e-6);
/// # Ok::<(), longtail_loss::LossError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SigmoidBceConfig {
    /// Whether column 0 is a background logit (K = C + 1, so that a softmax head can be taken over).
    pub background_logit: bool,
}

impl LossMethod for SigmoidBceConfig {
    fn description(&self) -> Description {
        Description {
            name: "sigmoid binary cross-entropy",
            source: "–",
            formula: "-log p_k - Σ_{i≠k} log(1 - p_i)",
            outputs: SIGMOID_OUTPUTS,
            reads: Statistics::Nothing,
            when: "the baseline of the sigmoid losses; ACSL with ξ = 0",
        }
    }

    fn background(&self) -> &'static str {
        "all classes"
    }

    fn is_convex(&self) -> bool {
        true
    }

    fn build(&self, _: &ClassContext<'_>) -> Result<Box<dyn ClassificationLoss>, LossError> {
        Ok(Box::new(SigmoidBce { head: SigmoidHead { background: self.background_logit } }))
    }
}

struct SigmoidBce {
    head: SigmoidHead,
}

impl SigmoidLoss for SigmoidBce {
    fn head(&self) -> SigmoidHead {
        self.head
    }

    fn rule(&self, targets: &RoiTargets, _: &LossState) -> Result<Rule, LossError> {
        Ok(Rule::every(targets))
    }
}
