//! What a background RoI suppresses under ACSL.
//!
//! The paper's formula is about one RoI with one true class; for background its authors' code departs from it
//! and reads class frequencies. The choice decides the result, so each rule has a name, and tables say which
//! one ran.

use longtail_draw::{Purpose, without_replacement};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::ClassContext,
    error::{LossError, check_setting, check_share},
    method::Statistics,
    rule::{CellDraw, ColumnWeights, RowRule, Rule, SigmoidHead},
    running::{Tracked, gradient_ratios},
    state::LossState,
    targets::RoiTargets,
};

/// Share of the background RoIs that supervise rare, common and frequent classes in
/// [`Background::FrequencySampled`].
const SHARES: [f64; 3] = [0.01, 0.1, 1.0];

/// Image counts up to which a class is rare and common (LVIS).
const RARE_IMAGES: u64 = 10;
const COMMON_IMAGES: u64 = 100;

/// What a background RoI suppresses.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Background {
    /// The formula as published: the classes that score at least ξ. Reads no statistics.
    Adaptive,
    /// The authors' code: ξ is not used; of B background RoIs, ⌊0.01 B⌋ suppress all rare classes, ⌊0.1 B⌋
    /// all common ones, and all of them the frequent ones, in independent draws. Reads the image counts of
    /// the training set.
    FrequencySampled,
    /// All classes, as binary cross-entropy does.
    Dense,
    /// The classes that score at least a threshold of their own, in `0..=1`. Reads no statistics.
    Threshold(f64),
    /// The classes that score at least a threshold that rises from 0 to ξ over so many steps. Reads no
    /// statistics.
    Ramp(u64),
    /// Each class with probability `min(1, p / ξ)`, p its score. Reads no statistics.
    ScoreSampled,
    /// All classes, each weighed by the running ratio of its positive gradients to its gradients from
    /// background, at most 1: background pushes a class down no more than its own RoIs pull it up. Reads no
    /// counts, and does best on the embedded benchmark (docs/results/background.md).
    #[default]
    Balanced,
}

impl Background {
    /// In words of a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Adaptive => "adaptive",
            Self::FrequencySampled => "frequency-sampled",
            Self::Dense => "dense",
            Self::Threshold(_) => "own threshold",
            Self::Ramp(_) => "rising threshold",
            Self::ScoreSampled => "score-sampled",
            Self::Balanced => "balanced gradients",
        }
    }

    /// What it reads.
    pub(crate) fn reads(self) -> Statistics {
        match self {
            Self::FrequencySampled => Statistics::ImageCounts,
            Self::Balanced => Statistics::Online,
            _ => Statistics::Nothing,
        }
    }
}

/// A background rule with what it needs.
pub(crate) enum BackgroundRule {
    /// Logit threshold.
    AtLeast(f32),
    /// Threshold after so many steps.
    Ramp {
        steps: u64,
        threshold: f64,
    },
    /// ξ.
    ScoreSampled(f64),
    Balanced,
    /// Rare, common and frequent classes.
    FrequencySampled([Vec<usize>; 3]),
}

/// `ln(p / (1 - p))`: -∞ at 0, ∞ at 1. `p ≥ ξ` is `z ≥ ln(ξ / (1 - ξ))`.
pub(crate) fn logit(p: f64) -> f32 {
    (p / (1.0 - p)).ln() as f32
}

impl BackgroundRule {
    pub(crate) fn new(
        background: Background,
        threshold: f64,
        context: &ClassContext<'_>,
    ) -> Result<Self, LossError> {
        Ok(match background {
            Background::Adaptive => Self::AtLeast(logit(threshold)),
            Background::Dense => Self::AtLeast(logit(0.0)),
            Background::Threshold(own) => {
                check_share("threshold", own)?;
                Self::AtLeast(logit(own))
            }
            Background::Ramp(steps) => {
                check_setting("ramp", steps as f64, steps > 0, "at least 1 step")?;
                Self::Ramp { steps, threshold }
            }
            Background::ScoreSampled => Self::ScoreSampled(threshold),
            Background::Balanced => Self::Balanced,
            Background::FrequencySampled => {
                let counts = context.image_counts("ACSL with frequency-sampled background")?;
                let mut classes_of_group: [Vec<usize>; 3] = Default::default();
                for (class, &n) in counts.iter().enumerate() {
                    let group = usize::from(n > RARE_IMAGES) + usize::from(n > COMMON_IMAGES);
                    classes_of_group[group].push(class);
                }
                Self::FrequencySampled(classes_of_group)
            }
        })
    }

    /// Changes a rule on background RoIs.
    pub(crate) fn apply(
        &self,
        mut rule: Rule,
        head: SigmoidHead,
        targets: &RoiTargets,
        state: &LossState,
    ) -> Result<Rule, LossError> {
        let on_background = match self {
            Self::AtLeast(threshold) => RowRule { threshold: *threshold, ..RowRule::EVERY },
            Self::Ramp { steps, threshold } => {
                let share = targets.draw().step as f64 / *steps as f64;
                RowRule { threshold: logit(threshold * share.min(1.0)), ..RowRule::EVERY }
            }
            Self::ScoreSampled(threshold) => {
                rule.draw = CellDraw::ByScore { divisor: *threshold };
                RowRule { drawn: true, ..RowRule::EVERY }
            }
            Self::Balanced => {
                let ratios =
                    gradient_ratios(state, targets.num_classes(), "ACSL with balanced background", 1.0)?;
                let mut weights = vec![1.0; head.count(ratios.len())];
                for (class, ratio) in ratios.iter().enumerate() {
                    weights[head.of_class(class)] = ratio.min(1.0) as f32;
                }
                rule.negatives.push(ColumnWeights::Each(weights));
                rule.tracked = Tracked::Background;
                RowRule { set: 1, ..RowRule::EVERY }
            }
            Self::FrequencySampled(classes_of_group) => {
                return Ok(sample_by_frequency(rule, head, targets, classes_of_group));
            }
        };
        targets.background().into_iter().for_each(|row| rule.rows[row] = on_background);
        Ok(rule)
    }
}

/// Every background RoI suppresses the groups of classes that are drawn for it.
fn sample_by_frequency(
    mut rule: Rule,
    head: SigmoidHead,
    targets: &RoiTargets,
    classes_of_group: &[Vec<usize>; 3],
) -> Rule {
    // A set of weights for each set of groups: bit g says whether group g is in it.
    let first_set = rule.negatives.len();
    for groups in 0..8 {
        let mut weights = vec![0.0; head.count(targets.num_classes())];
        let members = classes_of_group.iter().enumerate().filter(|(group, _)| groups >> group & 1 == 1);
        members.flat_map(|(_, classes)| classes).for_each(|&class| weights[head.of_class(class)] = 1.0);
        rule.negatives.push(ColumnWeights::Each(weights));
    }
    let background = targets.background();
    for (&row, groups) in background.iter().zip(draw_groups(targets, background.len())) {
        rule.rows[row] = RowRule { set: first_set + groups, ..RowRule::EVERY };
    }
    rule
}

/// The set of groups that each of so many background RoIs suppresses, bit g for group g.
fn draw_groups(targets: &RoiTargets, background: usize) -> Vec<usize> {
    let mut sets = vec![0; background];
    for (group, share) in SHARES.into_iter().enumerate() {
        let count = (share * background as f64).floor() as usize;
        for row in without_replacement(targets.draw(), Purpose::AcslGroup.at(group as u64), background, count)
        {
            sets[row] |= 1 << group;
        }
    }
    sets
}
