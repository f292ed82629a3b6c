//! Class-balanced weights (Cui et al., CVPR 2019, arXiv 1901.05555).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss},
    error::{LossError, check_setting},
    method::{Description, LossMethod, Statistics},
    methods::softmax::{OWN_COLUMN, Softmax},
};

/// Softmax cross-entropy in which a RoI of class c weighs `(1 - β) / (1 - β^n_c)`, n the boxes of the class,
/// scaled so that the classes weigh 1 on average; background weighs 1.
///
/// # Shapes
/// - logits: `[N × (C + 1)]`, column 0 is background
/// - scores: `[N × C]`, `softmax(z)` of the classes
///
/// # Example
/// With β near 1 classes weigh by their inverse counts, here 3/2 and 1/2:
///
/// ```
/// use longtail_loss::{
///     ClassContext, DrawKey, ClassBalancedConfig, LossMethod, LossState, RoiTargets, SingleWorker,
/// };
///
/// let counts = ClassContext { instance_counts: Some(&[1, 3]), ..ClassContext::new(2) };
/// let loss = ClassBalancedConfig { beta: 0.999_999_99 }.build(&counts)?;
/// let targets = RoiTargets::new(&[1], 2, DrawKey::default())?;
/// let found = loss.evaluate(&[0.0; 3], &targets, &LossState::default(), &SingleWorker)?;
/// assert!((found.value - 1.5 * 3.0_f64.ln()).abs() < 1e-6);
/// # Ok::<(), longtail_loss::LossError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClassBalancedConfig {
    /// β in `0..1`: 0 weighs all classes alike, towards 1 by inverse frequency.
    pub beta: f64,
}

impl Default for ClassBalancedConfig {
    fn default() -> Self {
        Self { beta: 0.999 }
    }
}

impl LossMethod for ClassBalancedConfig {
    fn description(&self) -> Description {
        Description {
            name: "class-balanced softmax",
            source: "Cui et al., CVPR 2019",
            formula: "-(1 - β) / (1 - β^n_k) log softmax(z)_k",
            outputs: "C + 1",
            reads: Statistics::BoxCounts,
            when: "a simple re-weighting baseline",
        }
    }

    fn background(&self) -> &'static str {
        OWN_COLUMN
    }

    fn is_convex(&self) -> bool {
        true
    }

    fn build(&self, context: &ClassContext<'_>) -> Result<Box<dyn ClassificationLoss>, LossError> {
        let weights = label_weights(self.beta, context, "class-balanced softmax")?;
        Ok(Box::new(Softmax { weights, ..Softmax::PLAIN }))
    }
}

/// Weight of each label, `[C + 1]`. A class without boxes weighs as one with a single box.
pub(crate) fn label_weights(
    beta: f64,
    context: &ClassContext<'_>,
    loss: &'static str,
) -> Result<Vec<f32>, LossError> {
    check_setting("beta", beta, (0.0..1.0).contains(&beta), "at least 0 and below 1")?;
    let counts = context.instance_counts(loss)?;
    let raw: Vec<f64> = counts.iter().map(|&n| (1.0 - beta) / (1.0 - beta.powf(n.max(1) as f64))).collect();
    let mean = raw.iter().sum::<f64>() / raw.len().max(1) as f64;
    Ok(std::iter::once(1.0).chain(raw.iter().map(|w| (w / mean) as f32)).collect())
}
