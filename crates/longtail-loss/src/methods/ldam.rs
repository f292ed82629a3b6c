//! LDAM: label-distribution-aware margin, with deferred re-weighting (Cao et al., NeurIPS 2019, arXiv
//! 1906.07413).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss},
    error::{LossError, check_not_negative, check_setting},
    method::{Description, LossMethod, Statistics},
    methods::{
        class_balanced::label_weights,
        softmax::{OWN_COLUMN, Softmax},
    },
};

/// Softmax cross-entropy of `s · (z - m)`, in which m is 0 but for the true class, whose margin is `∝
/// n^(-1/4)`, n the boxes of the class, and `max_margin` for the smallest; background has none.
///
/// # Shapes
/// - logits: `[N × (C + 1)]`, column 0 is background
/// - scores: `[N × C]`, `softmax(s · z)` of the classes
///
/// # Example
/// The larger class has 16 times the boxes and so half the margin, 1/4:
///
/// ```
/// use longtail_loss::{ClassContext, DrawKey, LdamConfig, LossMethod, LossState, RoiTargets, SingleWorker};
///
/// let counts = ClassContext { instance_counts: Some(&[1, 16]), ..ClassContext::new(2) };
/// let loss = LdamConfig { scale: 4.0, ..LdamConfig::default() }.build(&counts)?;
/// let targets = RoiTargets::new(&[2], 2, DrawKey::default())?;
/// let found = loss.evaluate(&[0.0; 3], &targets, &LossState::default(), &SingleWorker)?;
/// // s · m = 1
/// let e = 1.0_f64.exp();
/// assert!((found.value - (2.0 * e + 1.0).ln()).abs() < 1e-6);
/// # Ok::<(), longtail_loss::LossError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LdamConfig {
    /// Margin of the smallest class.
    pub max_margin: f64,
    /// s > 0: factor of all logits.
    pub scale: f64,
    /// Step of the stage from which RoIs weigh as under `class-balanced`; never without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deferred_from: Option<u64>,
    /// β of the deferred weights.
    pub beta: f64,
}

impl Default for LdamConfig {
    fn default() -> Self {
        Self { max_margin: 0.5, scale: 30.0, deferred_from: None, beta: 0.9999 }
    }
}

impl LossMethod for LdamConfig {
    fn description(&self) -> Description {
        Description {
            name: "label-distribution-aware margin",
            source: "Cao et al., NeurIPS 2019",
            formula: "-log softmax(s(z - m_k))_k, m_k ∝ n_k^(-1/4)",
            outputs: "C + 1",
            reads: Statistics::BoxCounts,
            when: "classification-like heads; re-weighting best deferred",
        }
    }

    fn background(&self) -> &'static str {
        OWN_COLUMN
    }

    fn build(&self, context: &ClassContext<'_>) -> Result<Box<dyn ClassificationLoss>, LossError> {
        let positive = self.scale.is_finite() && self.scale > 0.0;
        check_setting("scale", self.scale, positive, "a number above 0")?;
        check_not_negative("max_margin", self.max_margin)?;
        let counts = context.instance_counts("LDAM")?;
        let raw: Vec<f64> = counts.iter().map(|&n| (n.max(1) as f64).powf(-0.25)).collect();
        let largest = raw.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let margin = |raw: &f64| (self.max_margin * raw / largest) as f32;
        let weights = match self.deferred_from {
            None => Vec::new(),
            Some(_) => label_weights(self.beta, context, "LDAM")?,
        };
        Ok(Box::new(Softmax {
            factor: self.scale as f32,
            margins: std::iter::once(0.0).chain(raw.iter().map(margin)).collect(),
            weights,
            weights_from: self.deferred_from.unwrap_or(0),
            ..Softmax::PLAIN
        }))
    }
}
