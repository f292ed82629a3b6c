//! Focal loss (Lin et al., ICCV 2017, arXiv 1708.02002).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss},
    error::{LossError, check_not_negative, check_share},
    method::{Description, LossMethod, SIGMOID_OUTPUTS, Statistics},
    rule::{ColumnWeights, Focus, Rule, SigmoidHead},
    sigmoid::SigmoidLoss,
    state::LossState,
    targets::RoiTargets,
};

/// `Σ_i -α_t (1 - p_t)^γ log p_t`, `p = sigmoid(z)`, `p_t = p` on the RoI's own column, else `1 - p`.
///
/// # Shapes
/// - logits: `[N × K]`, K = C, or K = C + 1 with a background logit in column 0
/// - scores: `[N × C]`, `sigmoid(z)` of the classes
///
/// # Example
/// ```
/// use longtail_loss::{ClassContext, DrawKey, FocalConfig, LossMethod, LossState, RoiTargets, SingleWorker};
///
/// let loss = FocalConfig::default().build(&ClassContext::new(2))?;
/// let targets = RoiTargets::new(&[1], 2, DrawKey::default())?;
/// let found = loss.evaluate(&[0.0, 0.0], &targets, &LossState::default(), &SingleWorker)?;
/// // p = 1/2 everywhere: (1/4 + 3/4) · (1/2)² · ln 2
/// assert!((found.value - 0.25 * 2.0_f64.ln()).abs() < 1e-6);
/// # Ok::<(), longtail_loss::LossError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FocalConfig {
    /// γ ≥ 0: how much easy samples are damped.
    pub gamma: f64,
    /// α in `0..=1`: weight of positives; negatives weigh 1 - α.
    pub alpha: f64,
    /// Whether column 0 is a background logit.
    pub background_logit: bool,
}

impl Default for FocalConfig {
    fn default() -> Self {
        Self { gamma: 2.0, alpha: 0.25, background_logit: false }
    }
}

impl LossMethod for FocalConfig {
    fn description(&self) -> Description {
        Description {
            name: "focal loss",
            source: "Lin et al., ICCV 2017",
            formula: "-Σ_i α_t (1 - p_t)^γ log p_t",
            outputs: SIGMOID_OUTPUTS,
            reads: Statistics::Nothing,
            when: "dense predictors with many easy negatives; weak on a long tail of a two-stage detector",
        }
    }

    fn background(&self) -> &'static str {
        "all classes, focused"
    }

    fn build(&self, _: &ClassContext<'_>) -> Result<Box<dyn ClassificationLoss>, LossError> {
        check_not_negative("gamma", self.gamma)?;
        check_share("alpha", self.alpha)?;
        Ok(Box::new(Focal(*self)))
    }
}

struct Focal(FocalConfig);

impl SigmoidLoss for Focal {
    fn head(&self) -> SigmoidHead {
        SigmoidHead { background: self.0.background_logit }
    }

    fn rule(&self, targets: &RoiTargets, _: &LossState) -> Result<Rule, LossError> {
        let alpha = self.0.alpha as f32;
        Ok(Rule {
            negatives: vec![ColumnWeights::All(1.0 - alpha)],
            positives: ColumnWeights::All(alpha),
            focus: Focus::All(self.0.gamma as f32),
            ..Rule::every(targets)
        })
    }
}
