//! What a background RoI suppresses under ACSL.
//!
//! The paper's formula is about one RoI with one true class; for background its authors' code departs from it and reads
//! class frequencies. The choice decides the result, so each rule has a name, and tables say which one ran.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, LossState, Workers},
    draw::{unit, without_replacement},
    error::LossError,
    methods::eql_v2::{TINY, add_gradients, gradient_sums},
    numerics::sigmoid,
    sigmoid::Columns,
    suppression::GradientSums,
    targets::{DrawKey, RoiTargets},
};

/// Share of the background RoIs that supervise rare, common and frequent classes in [`Background::FrequencySampled`].
const SHARES: [f64; 3] = [0.01, 0.1, 1.0];

/// Image counts up to which a class is rare and common (LVIS).
const RARE_IMAGES: u64 = 10;
const COMMON_IMAGES: u64 = 100;

/// Purpose of the draws of [`Background::ScoreSampled`].
const DRAW: u64 = 12;

/// What a background RoI suppresses.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Background {
    /// The formula as published: the classes that score at least ξ. Reads no statistics.
    Adaptive,
    /// The authors' code: ξ is not used; of B background RoIs, ⌊0.01 B⌋ suppress all rare classes, ⌊0.1 B⌋ all common
    /// ones, and all of them the frequent ones, in independent draws. Reads the image counts of the training set.
    FrequencySampled,
    /// All classes, as binary cross-entropy does.
    Dense,
    /// The classes that score at least a threshold of their own, in `0..=1`. Reads no statistics.
    Threshold(f64),
    /// The classes that score at least a threshold that rises from 0 to ξ over so many steps. Reads no statistics.
    Ramp(u64),
    /// Each class with probability `min(1, p / ξ)`, p its score. Reads no statistics.
    ScoreSampled,
    /// All classes, each weighed by the running ratio of its positive gradients to its gradients from background, at
    /// most 1: background pushes a class down no more than its own RoIs pull it up. Reads no counts, and does best on the
    /// embedded benchmark (docs/results/background.md).
    #[default]
    Balanced,
}

/// A background rule with what it needs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Rule {
    Adaptive,
    /// Rare, common and frequent classes.
    FrequencySampled([Vec<usize>; 3]),
    Dense,
    /// Logit threshold.
    Threshold(f32),
    Ramp {
        steps: u64,
        threshold: f64,
    },
    /// ξ.
    ScoreSampled(f64),
    Balanced,
}

/// What a RoI suppresses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Suppressed {
    /// The columns whose logit is at least so.
    AtLeast(f32),
    /// All columns.
    All,
    /// All columns by the weights of this place in [`Plan::weights`].
    Weighted(usize),
    /// Columns drawn by their score.
    Drawn,
}

/// What every RoI of a step suppresses.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// One a RoI.
    pub rows: Vec<Suppressed>,
    /// Sets of weights, `[K]` each.
    pub weights: Vec<Vec<f32>>,
    draw: DrawKey,
    threshold: f64,
}

impl Plan {
    /// Whether a negative is drawn: `u < p / ξ`.
    #[inline(always)]
    pub fn is_drawn(&self, row: usize, column: usize, z: f32) -> bool {
        let index = ((row as u64) << 32) | column as u64;
        unit(self.draw, DRAW, index) * self.threshold < f64::from(sigmoid(z))
    }
}

/// `ln(p / (1 - p))`: -∞ at 0, ∞ at 1.
pub(crate) fn logit(p: f64) -> f32 {
    (p / (1.0 - p)).ln() as f32
}

/// Refuses what is no probability.
pub(crate) fn check_threshold(value: f64) -> Result<(), LossError> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(LossError::Setting { field: "threshold", value, expected: "between 0 and 1" })
}

impl Rule {
    pub fn new(
        background: Background,
        threshold: f64,
        context: &ClassContext<'_>,
    ) -> Result<Self, LossError> {
        Ok(match background {
            Background::Adaptive => Self::Adaptive,
            Background::Dense => Self::Dense,
            Background::FrequencySampled => {
                let counts = context.image_counts("ACSL with frequency-sampled background")?;
                let mut classes_of_group: [Vec<usize>; 3] = Default::default();
                for (class, &n) in counts.iter().enumerate() {
                    let group = usize::from(n > RARE_IMAGES) + usize::from(n > COMMON_IMAGES);
                    classes_of_group[group].push(class);
                }
                Self::FrequencySampled(classes_of_group)
            }
            Background::Threshold(own) => {
                check_threshold(own)?;
                Self::Threshold(logit(own))
            }
            Background::Ramp(0) => {
                return Err(LossError::Setting { field: "ramp", value: 0.0, expected: "at least 1 step" });
            }
            Background::Ramp(steps) => Self::Ramp { steps, threshold },
            Background::ScoreSampled => Self::ScoreSampled(threshold),
            Background::Balanced => Self::Balanced,
        })
    }

    /// What every RoI suppresses: foreground RoIs by ξ, background RoIs by the rule.
    pub fn plan(
        &self,
        targets: &RoiTargets,
        columns: Columns,
        logit_threshold: f32,
        state: &LossState,
    ) -> Result<Plan, LossError> {
        let mut plan = Plan {
            rows: vec![Suppressed::AtLeast(logit_threshold); targets.len()],
            weights: Vec::new(),
            draw: targets.draw(),
            threshold: 0.0,
        };
        let background = targets.background();
        let of_all = match self {
            Self::Adaptive => Suppressed::AtLeast(logit_threshold),
            Self::Dense => Suppressed::All,
            Self::Threshold(own) => Suppressed::AtLeast(*own),
            Self::Ramp { steps, threshold } => {
                let share = targets.draw().step as f64 / *steps as f64;
                Suppressed::AtLeast(logit(threshold * share.min(1.0)))
            }
            Self::ScoreSampled(threshold) => {
                plan.threshold = *threshold;
                Suppressed::Drawn
            }
            Self::Balanced => {
                let classes = targets.num_classes();
                let (positive, negative) = gradient_sums(state, classes, "ACSL with balanced background")?;
                let mut weights = vec![1.0; columns.count(classes)];
                for class in 0..classes {
                    let (p, n) = (positive[class], negative[class]);
                    let ratio = if p == 0.0 && n == 0.0 { 1.0 } else { p / (n + TINY) };
                    weights[columns.of_class(class)] = ratio.min(1.0) as f32;
                }
                plan.weights.push(weights);
                Suppressed::Weighted(0)
            }
            Self::FrequencySampled(classes_of_group) => {
                let sets = draw_groups(targets, background.len());
                // A set of weights for each set of groups: bit g says whether group g is in it.
                for set in 0..8 {
                    let mut weights = vec![0.0; columns.count(targets.num_classes())];
                    for (group, classes) in classes_of_group.iter().enumerate() {
                        if set >> group & 1 == 1 {
                            classes.iter().for_each(|&class| weights[columns.of_class(class)] = 1.0);
                        }
                    }
                    plan.weights.push(weights);
                }
                for (&row, set) in background.iter().zip(sets) {
                    plan.rows[row] = Suppressed::Weighted(set);
                }
                return Ok(plan);
            }
        };
        background.into_iter().for_each(|row| plan.rows[row] = of_all);
        Ok(plan)
    }

    /// The running statistics after a step.
    pub fn next_state(
        &self,
        logits: &[f32],
        targets: &RoiTargets,
        columns: Columns,
        state: &LossState,
        workers: &dyn Workers,
    ) -> Result<LossState, LossError> {
        if *self != Self::Balanced {
            return Ok(LossState::Stateless);
        }
        let (classes, labels) = (targets.num_classes(), targets.labels());
        let outputs = columns.count(classes);
        let mut sums = GradientSums { of_positives: vec![0.0; classes], of_background: vec![0.0; classes] };
        for (n, z) in logits.chunks_exact(outputs).enumerate().filter(|(n, _)| !targets.is_ignored(*n)) {
            let score = |class: usize| f64::from(sigmoid(z[columns.of_class(class)]));
            match labels[n] as usize {
                0 => (0..classes).for_each(|class| sums.of_background[class] += score(class)),
                label => sums.of_positives[label - 1] += 1.0 - score(label - 1),
            }
        }
        self.state_after(sums, targets, state, workers)
    }

    /// The running statistics after a step of which the sums are known.
    pub fn state_after(
        &self,
        sums: GradientSums,
        targets: &RoiTargets,
        state: &LossState,
        workers: &dyn Workers,
    ) -> Result<LossState, LossError> {
        if *self != Self::Balanced {
            return Ok(LossState::Stateless);
        }
        let before = gradient_sums(state, targets.num_classes(), "ACSL with balanced background")?;
        Ok(add_gradients(before, (sums.of_positives, sums.of_background), workers))
    }
}

/// The set of groups that each of so many background RoIs suppresses, bit g for group g.
fn draw_groups(targets: &RoiTargets, background: usize) -> Vec<usize> {
    let mut sets = vec![0; background];
    for (group, share) in SHARES.into_iter().enumerate() {
        let count = (share * background as f64).floor() as usize;
        for place in without_replacement(targets.draw(), group as u64, background, count) {
            sets[place] |= 1 << group;
        }
    }
    sets
}
