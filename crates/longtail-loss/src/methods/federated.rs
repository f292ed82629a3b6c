//! Federated loss (Zhou, Koltun and Krähenbühl, arXiv 2103.07461).

use longtail_draw::{Purpose, weighted_without_replacement};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss},
    error::{LossError, check_finite, check_setting},
    method::{Description, LossMethod, SIGMOID_OUTPUTS, Statistics},
    rule::{ColumnWeights, Rule, SigmoidHead},
    sigmoid::SigmoidLoss,
    state::LossState,
    targets::RoiTargets,
};

/// Binary cross-entropy over the classes of the batch and others drawn without replacement with probability ∝
/// `count^power`, up to a number; the rest gets no gradient.
///
/// # Shapes
/// - logits: `[N × K]`, K = C, or K = C + 1 with a background logit in column 0
/// - scores: `[N × C]`, `sigmoid(z)` of the classes
///
/// # Example
/// Of three classes two take part, one of them by the batch and the other by its count:
///
/// ```
/// use longtail_loss::{
///     ClassContext, DrawKey, FederatedConfig, LossMethod, LossState, RoiTargets, SingleWorker,
/// };
///
/// let counts = ClassContext { image_counts: Some(&[10, 0, 40]), ..ClassContext::new(3) };
/// let loss = FederatedConfig { classes: 2, ..FederatedConfig::default() }.build(&counts)?;
/// let targets = RoiTargets::new(&[1], 3, DrawKey::default())?;
/// let found = loss.evaluate(&[0.0; 3], &targets, &LossState::default(), &SingleWorker)?;
/// assert_eq!(found.gradient, [-0.5, 0.0, 0.5]);
/// # Ok::<(), longtail_loss::LossError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FederatedConfig {
    /// Classes that take part in a step, those of the batch included.
    pub classes: usize,
    /// Exponent of the image count in the probability of drawing a class.
    pub count_power: f64,
    /// Whether column 0 is a background logit.
    pub background_logit: bool,
}

impl Default for FederatedConfig {
    fn default() -> Self {
        Self { classes: 50, count_power: 0.5, background_logit: false }
    }
}

impl LossMethod for FederatedConfig {
    fn description(&self) -> Description {
        Description {
            name: "federated loss",
            source: "Zhou et al., 2021",
            formula: "binary cross-entropy over the batch's classes and others drawn ∝ count^power",
            outputs: SIGMOID_OUTPUTS,
            reads: Statistics::ImageCounts,
            when: "very many classes, few of them verified in an image",
        }
    }

    fn background(&self) -> &'static str {
        "drawn classes"
    }

    fn build(&self, context: &ClassContext<'_>) -> Result<Box<dyn ClassificationLoss>, LossError> {
        check_setting("classes", self.classes as f64, self.classes > 0, "at least 1")?;
        check_finite("count_power", self.count_power)?;
        let counts = context.image_counts("the federated loss")?;
        Ok(Box::new(Federated {
            head: SigmoidHead { background: self.background_logit },
            classes: self.classes,
            probabilities: counts.iter().map(|&n| (n as f64).powf(self.count_power)).collect(),
        }))
    }
}

struct Federated {
    head: SigmoidHead,
    classes: usize,
    /// Unscaled probability of each class.
    probabilities: Vec<f64>,
}

impl Federated {
    /// Classes of the batch and those drawn beside them.
    fn classes_of_step(&self, targets: &RoiTargets) -> Vec<usize> {
        let mut probabilities = self.probabilities.clone();
        let mut chosen: Vec<usize> = Vec::new();
        for (n, &label) in targets.labels().iter().enumerate().filter(|(_, label)| **label > 0) {
            let class = label as usize - 1;
            if !targets.is_ignored(n) && !chosen.contains(&class) {
                chosen.push(class);
                probabilities[class] = 0.0;
            }
        }
        let more = self.classes.saturating_sub(chosen.len());
        chosen.extend(weighted_without_replacement(
            targets.draw(),
            Purpose::FederatedClasses,
            &probabilities,
            more,
        ));
        chosen
    }
}

impl SigmoidLoss for Federated {
    fn head(&self) -> SigmoidHead {
        self.head
    }

    fn rule(&self, targets: &RoiTargets, _: &LossState) -> Result<Rule, LossError> {
        let mut weights = vec![0.0; self.head.count(self.probabilities.len())];
        let background = self.head.background.then_some(0);
        let classes = self.classes_of_step(targets).into_iter().map(|class| self.head.of_class(class));
        background.into_iter().chain(classes).for_each(|column| weights[column] = 1.0);
        Ok(Rule { negatives: vec![ColumnWeights::Each(weights)], ..Rule::every(targets) })
    }
}
