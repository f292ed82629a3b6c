//! DropLoss (Hsieh et al., AAAI 2021, arXiv 2104.06402).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss},
    error::LossError,
    method::{Description, LossMethod, SIGMOID_OUTPUTS, Statistics},
    methods::eql::{protected_classes, weights_on_foreground},
    rule::{CellDraw, ColumnWeights, RowRule, Rule, SigmoidHead},
    sigmoid::SigmoidLoss,
    state::LossState,
    targets::RoiTargets,
};

/// [EQL](crate::EqlConfig) on foreground RoIs. On background RoIs each term of a protected class is kept with
/// the probability that a foreground RoI of the batch is of a protected class: the fewer there are, the less
/// background suppresses them. Without a foreground RoI none is kept.
///
/// # Shapes
/// - logits: `[N × K]`, K = C, or K = C + 1 with a background logit in column 0
/// - scores: `[N × C]`, `sigmoid(z)` of the classes
///
/// # Example
/// Class 1 is protected, and no foreground RoI of the batch is of a protected class:
///
/// ```
/// use longtail_loss::{
///     ClassContext, DrawKey, DropLossConfig, LossMethod, LossState, RoiTargets, SingleWorker,
/// };
///
/// let counts = ClassContext {
///     image_counts: Some(&[1, 900]),
///     total_images: Some(2000),
///     ..ClassContext::new(2)
/// };
/// let loss = DropLossConfig::default().build(&counts)?;
/// let targets = RoiTargets::new(&[0, 2], 2, DrawKey::default())?;
/// let found = loss.evaluate(&[0.0; 4], &targets, &LossState::default(), &SingleWorker)?;
/// assert_eq!(found.gradient, [0.0, 0.25, 0.0, -0.25]);
/// # Ok::<(), longtail_loss::LossError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DropLossConfig {
    /// λ in `0..=1`: classes in a smaller share of the training images are protected.
    pub frequency_threshold: f64,
    /// Whether column 0 is a background logit.
    pub background_logit: bool,
}

impl Default for DropLossConfig {
    fn default() -> Self {
        Self { frequency_threshold: 1.77e-3, background_logit: false }
    }
}

impl LossMethod for DropLossConfig {
    fn description(&self) -> Description {
        Description {
            name: "DropLoss",
            source: "Hsieh et al., AAAI 2021",
            formula: "EQL, and on background RoIs terms with f_i < λ kept with the batch's share of such classes",
            outputs: SIGMOID_OUTPUTS,
            reads: Statistics::ImageFrequencies,
            when: "as EQL, where background suppresses the tail",
        }
    }

    fn background(&self) -> &'static str {
        "sampled"
    }

    fn build(&self, context: &ClassContext<'_>) -> Result<Box<dyn ClassificationLoss>, LossError> {
        let head = SigmoidHead { background: self.background_logit };
        let protected = protected_classes(self.frequency_threshold, context, "DropLoss")?;
        Ok(Box::new(DropLoss { head, on_foreground: weights_on_foreground(head, &protected), protected }))
    }
}

struct DropLoss {
    head: SigmoidHead,
    on_foreground: ColumnWeights,
    protected: Vec<bool>,
}

impl SigmoidLoss for DropLoss {
    fn head(&self) -> SigmoidHead {
        self.head
    }

    fn rule(&self, targets: &RoiTargets, _: &LossState) -> Result<Rule, LossError> {
        let labels = targets.labels();
        let foreground = (0..targets.len()).filter(|&n| labels[n] > 0 && !targets.is_ignored(n));
        let protected: Vec<bool> = foreground.map(|n| self.protected[labels[n] as usize - 1]).collect();
        let of_protected = protected.iter().filter(|protected| **protected).count();
        let share = of_protected as f64 / protected.len().max(1) as f64;
        let mut rule = Rule::every(targets);
        rule.negatives.push(self.on_foreground.clone());
        rule.draw = CellDraw::ByShare { share, classes: self.protected.clone() };
        Ok(rule.by_label(targets, |label| match label {
            0 => RowRule { drawn: true, ..RowRule::EVERY },
            _ => RowRule { set: 1, ..RowRule::EVERY },
        }))
    }
}
