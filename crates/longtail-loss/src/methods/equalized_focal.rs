//! EFL: equalized focal loss (Li et al., CVPR 2022, arXiv 2201.02593).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss},
    error::{LossError, check_not_negative, check_setting, check_share},
    method::{Description, LossMethod, SIGMOID_OUTPUTS, Statistics},
    rule::{ColumnWeights, Focus, Rule, SigmoidHead},
    running::{Tracked, gradient_ratios},
    sigmoid::SigmoidLoss,
    state::LossState,
    targets::RoiTargets,
};

/// [Focal loss](crate::FocalConfig) of class j with `γ_j = γ_b + s(1 - g_j)` and weight `γ_j / γ_b`; g is the
/// running ratio of positive to negative gradients, at most 1, over all workers, before this step; 1 at the
/// beginning. A background logit has g = 1.
///
/// # Shapes
/// - logits: `[N × K]`, K = C, or K = C + 1 with a background logit in column 0
/// - scores: `[N × C]`, `sigmoid(z)` of the classes
///
/// # Example
/// Before the first gradient it is focal loss:
///
/// ```
/// use longtail_loss::{
///     ClassContext, DrawKey, EqualizedFocalConfig, LossMethod, LossState, RoiTargets, SingleWorker,
/// };
///
/// let loss = EqualizedFocalConfig::default().build(&ClassContext::new(2))?;
/// let targets = RoiTargets::new(&[1], 2, DrawKey::default())?;
/// let found = loss.evaluate(&[0.0, 0.0], &targets, &LossState::default(), &SingleWorker)?;
/// assert!((found.value - 0.25 * 2.0_f64.ln()).abs() < 1e-6);
/// # Ok::<(), longtail_loss::LossError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EqualizedFocalConfig {
    /// γ_b > 0: focusing of a balanced class.
    pub gamma: f64,
    /// s ≥ 0: how much more a class with no positive gradient is focused.
    pub scale: f64,
    /// α in `0..=1`: weight of positives; negatives weigh 1 - α.
    pub alpha: f64,
    /// Whether column 0 is a background logit.
    pub background_logit: bool,
}

impl Default for EqualizedFocalConfig {
    fn default() -> Self {
        Self { gamma: 2.0, scale: 8.0, alpha: 0.25, background_logit: false }
    }
}

impl LossMethod for EqualizedFocalConfig {
    fn description(&self) -> Description {
        Description {
            name: "equalized focal loss",
            source: "Li et al., CVPR 2022",
            formula: "-Σ_i (γ_i / γ_b) α_t (1 - p_t)^γ_i log p_t, γ_i = γ_b + s(1 - g_i)",
            outputs: SIGMOID_OUTPUTS,
            reads: Statistics::Online,
            when: "one-stage detectors on a long tail",
        }
    }

    fn background(&self) -> &'static str {
        "all classes, focused"
    }

    fn build(&self, _: &ClassContext<'_>) -> Result<Box<dyn ClassificationLoss>, LossError> {
        let positive = self.gamma.is_finite() && self.gamma > 0.0;
        check_setting("gamma", self.gamma, positive, "a number above 0")?;
        check_share("alpha", self.alpha)?;
        check_not_negative("scale", self.scale)?;
        Ok(Box::new(EqualizedFocal(*self)))
    }
}

struct EqualizedFocal(EqualizedFocalConfig);

impl SigmoidLoss for EqualizedFocal {
    fn head(&self) -> SigmoidHead {
        SigmoidHead { background: self.0.background_logit }
    }

    fn rule(&self, targets: &RoiTargets, state: &LossState) -> Result<Rule, LossError> {
        let EqualizedFocalConfig { gamma, scale, alpha, .. } = self.0;
        let ratios = gradient_ratios(state, targets.num_classes(), "EFL", 1.0)?;
        let mut gammas = vec![gamma as f32; self.head().count(ratios.len())];
        for (class, ratio) in ratios.iter().enumerate() {
            gammas[self.head().of_class(class)] = (gamma + scale * (1.0 - ratio.clamp(0.0, 1.0))) as f32;
        }
        let (gamma, alpha) = (gamma as f32, alpha as f32);
        let times = |balance: f32| ColumnWeights::Each(gammas.iter().map(|g| balance * g / gamma).collect());
        Ok(Rule {
            negatives: vec![times(1.0 - alpha)],
            positives: times(alpha),
            focus: Focus::Each(gammas.clone()),
            tracked: Tracked::Negatives,
            ..Rule::every(targets)
        })
    }
}
