//! EQL: equalization loss (Tan et al., CVPR 2020, arXiv 2003.05176).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss},
    error::{LossError, check_share},
    method::{Description, LossMethod, SIGMOID_OUTPUTS, Statistics},
    rule::{ColumnWeights, RowRule, Rule, SigmoidHead},
    sigmoid::SigmoidLoss,
    state::LossState,
    targets::RoiTargets,
};

/// Binary cross-entropy without the negatives of classes of image frequency below λ on foreground RoIs;
/// background RoIs suppress every class.
///
/// # Shapes
/// - logits: `[N × K]`, K = C, or K = C + 1 with a background logit in column 0
/// - scores: `[N × C]`, `sigmoid(z)` of the classes
///
/// # Example
/// Class 1 is in 1 of 2,000 images, so the RoI of class 2 does not suppress it:
///
/// ```
/// use longtail_loss::{ClassContext, DrawKey, EqlConfig, LossMethod, LossState, RoiTargets, SingleWorker};
///
/// let counts = ClassContext {
///     image_counts: Some(&[1, 900]),
///     total_images: Some(2000),
///     ..ClassContext::new(2)
/// };
/// let loss = EqlConfig::default().build(&counts)?;
/// let targets = RoiTargets::new(&[2], 2, DrawKey::default())?;
/// let found = loss.evaluate(&[5.0, 0.0], &targets, &LossState::default(), &SingleWorker)?;
/// assert_eq!(found.gradient, [0.0, -0.5]);
/// # Ok::<(), longtail_loss::LossError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EqlConfig {
    /// λ in `0..=1`: classes in a smaller share of the training images are protected. 0.00177 for LVIS v0.5,
    /// 0.0011 for v1.
    pub frequency_threshold: f64,
    /// Whether column 0 is a background logit.
    pub background_logit: bool,
}

impl Default for EqlConfig {
    fn default() -> Self {
        Self { frequency_threshold: 1.1e-3, background_logit: false }
    }
}

impl LossMethod for EqlConfig {
    fn description(&self) -> Description {
        Description {
            name: "equalization loss",
            source: "Tan et al., CVPR 2020",
            formula: "-log p_k - Σ_{i≠k} w_i log(1 - p_i), w_i = 0 on foreground if f_i < λ",
            outputs: SIGMOID_OUTPUTS,
            reads: Statistics::ImageFrequencies,
            when: "one-stage training on a long tail; the frequency threshold decides",
        }
    }

    fn background(&self) -> &'static str {
        "all classes"
    }

    fn build(&self, context: &ClassContext<'_>) -> Result<Box<dyn ClassificationLoss>, LossError> {
        let head = SigmoidHead { background: self.background_logit };
        let protected = protected_classes(self.frequency_threshold, context, "EQL")?;
        Ok(Box::new(Eql { head, on_foreground: weights_on_foreground(head, &protected) }))
    }
}

/// Classes in less than a share `threshold` of the images.
pub(crate) fn protected_classes(
    threshold: f64,
    context: &ClassContext<'_>,
    loss: &'static str,
) -> Result<Vec<bool>, LossError> {
    check_share("frequency_threshold", threshold)?;
    Ok(context.image_frequencies(loss)?.into_iter().map(|f| f < threshold).collect())
}

/// Weights of negatives on foreground RoIs: 0 for protected classes.
pub(crate) fn weights_on_foreground(head: SigmoidHead, protected: &[bool]) -> ColumnWeights {
    let mut weights = vec![1.0; head.count(protected.len())];
    for (class, _) in protected.iter().enumerate().filter(|(_, protected)| **protected) {
        weights[head.of_class(class)] = 0.0;
    }
    ColumnWeights::Each(weights)
}

struct Eql {
    head: SigmoidHead,
    on_foreground: ColumnWeights,
}

impl SigmoidLoss for Eql {
    fn head(&self) -> SigmoidHead {
        self.head
    }

    fn rule(&self, targets: &RoiTargets, _: &LossState) -> Result<Rule, LossError> {
        let mut rule = Rule::every(targets);
        rule.negatives.push(self.on_foreground.clone());
        Ok(rule.by_label(targets, |label| RowRule { set: usize::from(label > 0), ..RowRule::EVERY }))
    }
}
