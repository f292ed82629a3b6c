//! ECM: effective class-margin loss (Cho and Krähenbühl, ECCV 2022, arXiv 2301.09724).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss, Evaluation, Step, by_rows, scores_by_rows},
    error::{LossError, check_not_negative, check_setting},
    method::{Description, LossMethod, Statistics},
    numerics::{sigmoid, softplus_and_sigmoid},
    state::LossState,
};

/// Binary cross-entropy of the surrogate logit `2z_c + ρ ln(n_c / n_¬c)`, weighed by `a ln((1 + a) / a)` with
/// `a = n_¬c / n_c`: margins between a class and everything else that minimise a bound of its average
/// precision. n are training images; background counts as a number of times those of all classes, and n_¬c
/// are all others with it.
///
/// # Shapes
/// - logits: `[N × (C + 1)]`, column 0 is a background logit
/// - scores: `[N × C]`, `σ(z_c)(1 - σ(z_0))`
///
/// # Example
/// A class as frequent as everything else has no offset and weighs ln 2:
///
/// ```
/// use longtail_loss::{ClassContext, DrawKey, EcmConfig, LossMethod, LossState, RoiTargets, SingleWorker};
///
/// let counts = ClassContext { image_counts: Some(&[8]), ..ClassContext::new(1) };
/// let loss = EcmConfig { background: 1.0, ..EcmConfig::default() }.build(&counts)?;
/// let targets = RoiTargets::new(&[1], 1, DrawKey::default())?;
/// let found = loss.evaluate(&[0.0; 2], &targets, &LossState::default(), &SingleWorker)?;
/// let half = 2.0_f64.ln();
/// assert!((found.value - 2.0 * half * half).abs() < 1e-6);
/// assert!((f64::from(found.gradient[1]) + half).abs() < 1e-6);
/// # Ok::<(), longtail_loss::LossError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EcmConfig {
    /// ρ ≥ 0: power of the counts in the ratio of the margins; 0 gives both sides the same margin.
    pub power: f64,
    /// Background over the training images of all classes together, above 0. The authors' is 6.33.
    pub background: f64,
}

impl Default for EcmConfig {
    fn default() -> Self {
        Self { power: 0.25, background: 6.33 }
    }
}

impl LossMethod for EcmConfig {
    fn description(&self) -> Description {
        Description {
            name: "effective class-margin loss",
            source: "Cho and Krähenbühl, ECCV 2022",
            formula: "-m_k log σ(u_k) - Σ_{i≠k} m_i log(1 - σ(u_i)), u = 2z + ρ ln(n / n_¬), m = a ln((1 + a) / a), a = n_¬ / n",
            outputs: "C + 1",
            reads: Statistics::ImageCounts,
            when: "class counts are known, and margins shall follow from them without further settings",
        }
    }

    fn background(&self) -> &'static str {
        "all classes, by margin"
    }

    fn is_convex(&self) -> bool {
        true
    }

    fn build(&self, context: &ClassContext<'_>) -> Result<Box<dyn ClassificationLoss>, LossError> {
        check_not_negative("power", self.power)?;
        let finite = self.background.is_finite() && self.background > 0.0;
        check_setting("background", self.background, finite, "above 0")?;
        let counts = context.image_counts("ECM")?;
        // A class without images counts as one with one.
        let counts: Vec<f64> = counts.iter().map(|&n| n.max(1) as f64).collect();
        let classes: f64 = counts.iter().sum();
        let all = classes * (1.0 + self.background);
        let column = |own: f64| {
            let others_over_own = (all - own) / own;
            let offset = -self.power * others_over_own.ln();
            let weight = others_over_own * (1.0 / others_over_own).ln_1p();
            (offset as f32, weight as f32)
        };
        let columns = std::iter::once(classes * self.background).chain(counts).map(column);
        Ok(Box::new(Ecm { columns: columns.collect() }))
    }
}

struct Ecm {
    /// Offset and weight of each column, `[C + 1]`.
    columns: Vec<(f32, f32)>,
}

impl ClassificationLoss for Ecm {
    fn num_outputs(&self, num_classes: usize) -> usize {
        num_classes + 1
    }

    fn compute(&self, step: Step<'_>) -> Result<Evaluation, LossError> {
        let Step { logits, targets, .. } = step;
        let columns = self.columns.len();
        targets.check(logits, columns)?;
        let (value, gradient) = by_rows(
            logits,
            columns,
            targets,
            #[inline(always)]
            |n, scale, z, gradient| {
                let label = targets.labels()[n] as usize;
                let mut loss = 0.0;
                for (column, (offset, weight)) in self.columns.iter().enumerate() {
                    let surrogate = 2.0 * z[column] + offset;
                    let (softplus, p) = softplus_and_sigmoid(surrogate);
                    // -log σ(u) is softplus(u) - u.
                    let own = f32::from(u8::from(column == label));
                    loss += f64::from(weight * (softplus - own * surrogate));
                    gradient[column] = scale * 2.0 * weight * (p - own);
                }
                loss
            },
        );
        Ok(Evaluation { value, gradient, state: LossState::Stateless })
    }

    fn class_scores(&self, logits: &[f32], columns: usize) -> Vec<f32> {
        scores_by_rows(logits, columns, columns - 1, |z, scores| {
            let foreground = sigmoid(-z[0]);
            scores.iter_mut().zip(&z[1..]).for_each(|(score, z)| *score = sigmoid(*z) * foreground);
        })
    }
}
