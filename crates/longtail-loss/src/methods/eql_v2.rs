//! EQL v2 (Tan et al., CVPR 2021, arXiv 2012.08548).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss},
    error::{LossError, check_finite, check_not_negative},
    method::{Description, LossMethod, Statistics},
    rule::{ColumnWeights, Rule, SigmoidHead},
    running::{Tracked, gradient_ratios},
    sigmoid::SigmoidLoss,
    state::LossState,
    targets::RoiTargets,
};

/// Ratio g of a class before its first gradient: balanced.
const INITIAL_RATIO: f64 = 100.0;

/// Binary cross-entropy in which class j weighs `f(g_j) = σ(γ(g_j - μ))` as a negative and `1 + α(1 -
/// f(g_j))` as a positive; g is the running ratio of the weighted positive to negative gradients of the class
/// over all workers, before this step. Column 0 is a background logit, which always weighs 1.
///
/// # Shapes
/// - logits: `[N × (C + 1)]`, column 0 is a background logit
/// - scores: `[N × C]`, `σ(z_c)(1 - σ(z_0))`
///
/// # Example
/// Before the first gradient every class counts as balanced, and the loss is binary cross-entropy:
///
/// ```
/// use longtail_loss::{ClassContext, DrawKey, EqlV2Config, LossMethod, LossState, RoiTargets, SingleWorker};
///
/// let loss = EqlV2Config::default().build(&ClassContext::new(2))?;
/// let targets = RoiTargets::new(&[1], 2, DrawKey::default())?;
/// let found = loss.evaluate(&[0.0; 3], &targets, &LossState::default(), &SingleWorker)?;
/// assert!((found.value - 3.0 * 2.0_f64.ln()).abs() < 1e-6);
/// assert_ne!(found.state, LossState::default());
/// # Ok::<(), longtail_loss::LossError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EqlV2Config {
    /// γ > 0: steepness of the map from gradient ratio to weight.
    pub gamma: f64,
    /// μ: gradient ratio of half weight.
    pub mu: f64,
    /// α ≥ 0: how much positives of classes with a small ratio are lifted.
    pub alpha: f64,
}

impl Default for EqlV2Config {
    fn default() -> Self {
        Self { gamma: 12.0, mu: 0.8, alpha: 4.0 }
    }
}

impl LossMethod for EqlV2Config {
    fn description(&self) -> Description {
        Description {
            name: "equalization loss v2",
            source: "Tan et al., CVPR 2021",
            formula: "-(1 + α(1 - f(g_k))) log p_k - Σ_{i≠k} f(g_i) log(1 - p_i), f(g) = σ(γ(g - μ))",
            outputs: "C + 1",
            reads: Statistics::Online,
            when: "training from the start without class counts",
        }
    }

    fn background(&self) -> &'static str {
        "all classes"
    }

    fn build(&self, _: &ClassContext<'_>) -> Result<Box<dyn ClassificationLoss>, LossError> {
        check_not_negative("gamma", self.gamma)?;
        check_not_negative("alpha", self.alpha)?;
        check_finite("mu", self.mu)?;
        Ok(Box::new(EqlV2(*self)))
    }
}

struct EqlV2(EqlV2Config);

impl SigmoidLoss for EqlV2 {
    fn head(&self) -> SigmoidHead {
        SigmoidHead { background: true }
    }

    fn rule(&self, targets: &RoiTargets, state: &LossState) -> Result<Rule, LossError> {
        let EqlV2Config { gamma, mu, alpha } = self.0;
        let ratios = gradient_ratios(state, targets.num_classes(), "EQL v2", INITIAL_RATIO)?;
        let weights: Vec<f64> = ratios.iter().map(|g| 1.0 / (1.0 + (-gamma * (g - mu)).exp())).collect();
        let with_background = |of_class: &dyn Fn(f64) -> f64| {
            let classes = weights.iter().map(|weight| of_class(*weight) as f32);
            ColumnWeights::Each(std::iter::once(1.0).chain(classes).collect())
        };
        Ok(Rule {
            negatives: vec![with_background(&|weight| weight)],
            positives: with_background(&|weight| 1.0 + alpha * (1.0 - weight)),
            tracked: Tracked::WeightedNegatives,
            ..Rule::every(targets)
        })
    }

    fn scores_times_foreground(&self) -> bool {
        true
    }
}
