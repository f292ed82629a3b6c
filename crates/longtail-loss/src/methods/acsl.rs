//! ACSL: adaptive class suppression loss (Wang et al., CVPR 2021, arXiv 2104.00885).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss},
    error::{LossError, check_share},
    method::{Description, LossMethod, SIGMOID_OUTPUTS},
    methods::acsl_background::{Background, BackgroundRule, logit},
    rule::{RowRule, Rule, SigmoidHead},
    sigmoid::SigmoidLoss,
    state::LossState,
    targets::RoiTargets,
};

/// `-log p_k - Σ_{i≠k} w_i log(1 - p_i)`, `p = sigmoid(z)`, `w_i = 1` where `p_i ≥ ξ`, else 0. The weights
/// are constants for differentiation. What background RoIs suppress is a choice of its own, [`Background`].
///
/// # Shapes
/// - logits: `[N × K]`, K = C, or K = C + 1 with a background logit in column 0
/// - scores: `[N × C]`, `sigmoid(z)` of the classes
///
/// # Example
/// The paper's figure 3: of four other classes one scores above ξ.
///
/// ```
/// use longtail_loss::{AcslConfig, ClassContext, DrawKey, LossMethod, LossState, RoiTargets, SingleWorker};
///
/// let config = AcslConfig { background_logit: false, ..AcslConfig::default() };
/// let loss = config.build(&ClassContext::new(5))?;
/// let targets = RoiTargets::new(&[1], 5, DrawKey::default())?;
/// let logits = [1.38, -4.6, -3.9, 2.19, -2.9];
/// let found = loss.evaluate(&logits, &targets, &LossState::default(), &SingleWorker)?;
/// assert!((found.value - 2.52049).abs() < 1e-5);
/// assert_eq!(found.gradient.iter().filter(|g| **g != 0.0).count(), 2);
/// # Ok::<(), longtail_loss::LossError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AcslConfig {
    /// ξ in `0..=1`: a negative is kept where the RoI scores its class at least so. 0 is binary
    /// cross-entropy, 1 keeps positives only. The paper's best is 0.7.
    pub threshold: f64,
    /// What a background RoI suppresses.
    pub background: Background,
    /// Whether column 0 is a background logit, as in the authors' head: positive on background RoIs, always
    /// weighted there; on foreground RoIs suppressed where it scores at least ξ; unused in scores.
    pub background_logit: bool,
}

impl Default for AcslConfig {
    fn default() -> Self {
        Self { threshold: 0.7, background: Background::default(), background_logit: true }
    }
}

impl LossMethod for AcslConfig {
    fn description(&self) -> Description {
        Description {
            name: "adaptive class suppression loss",
            source: "Wang et al., CVPR 2021",
            formula: "-log p_k - Σ_{i≠k} [p_i ≥ ξ] log(1 - p_i)",
            outputs: SIGMOID_OUTPUTS,
            reads: self.background.reads(),
            when: "stage 2 on a long tail, look-alikes across frequency groups",
        }
    }

    fn background(&self) -> &'static str {
        self.background.name()
    }

    /// It is binary cross-entropy then.
    fn is_convex(&self) -> bool {
        self.threshold == 0.0 && self.background == Background::Dense
    }

    fn build(&self, context: &ClassContext<'_>) -> Result<Box<dyn ClassificationLoss>, LossError> {
        check_share("threshold", self.threshold)?;
        Ok(Box::new(Acsl {
            head: SigmoidHead { background: self.background_logit },
            on_foreground: RowRule { threshold: logit(self.threshold), ..RowRule::EVERY },
            on_background: BackgroundRule::new(self.background, self.threshold, context)?,
        }))
    }
}

struct Acsl {
    head: SigmoidHead,
    on_foreground: RowRule,
    on_background: BackgroundRule,
}

impl SigmoidLoss for Acsl {
    fn head(&self) -> SigmoidHead {
        self.head
    }

    fn rule(&self, targets: &RoiTargets, state: &LossState) -> Result<Rule, LossError> {
        let rule = Rule::every(targets).by_label(targets, |_| self.on_foreground);
        self.on_background.apply(rule, self.head, targets, state)
    }
}
