//! ACSL: adaptive class suppression loss (Wang et al., CVPR 2021, arXiv 2104.00885).

use serde::{Deserialize, Serialize};

use crate::{
    classification::{
        ClassContext, ClassificationLoss, Evaluation, KeptNegatives, LossState, Workers, by_rows,
    },
    draw::without_replacement,
    error::LossError,
    numerics::{negatives, softplus_and_sigmoid, weighted_negatives},
    sigmoid::{Columns, own_column},
    targets::RoiTargets,
};

/// Share of the background RoIs that supervise rare and common classes in [`Background::FrequencySampled`]; every
/// one supervises the frequent classes.
const RARE_SHARE: f64 = 0.01;
const COMMON_SHARE: f64 = 0.1;

/// Image counts up to which a class is rare and common (LVIS).
const RARE_IMAGES: u64 = 10;
const COMMON_IMAGES: u64 = 100;

/// What a background RoI suppresses. The paper's formula is about one RoI with one true class; for background its
/// authors' code departs from it, and the choice decides the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Background {
    /// The formula as published: the classes that score at least ξ. Reads no statistics.
    Adaptive,
    /// The authors' code: ξ is not used; of B background RoIs, ⌊0.01 B⌋ suppress all rare classes, ⌊0.1 B⌋ all common
    /// ones, and all of them the frequent ones, in independent draws. Reads the image counts of the training set.
    #[default]
    FrequencySampled,
    /// All classes, as binary cross-entropy does.
    Dense,
}

/// Settings of [`Acsl`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AcslConfig {
    /// ξ in `0..=1`: a negative is kept where the RoI scores its class at least so. 0 is binary cross-entropy, 1
    /// keeps positives only. The paper's best is 0.7.
    pub threshold: f64,
    /// What a background RoI suppresses.
    pub background: Background,
    /// Whether column 0 is a background logit, as in the authors' head: positive on background RoIs, always weighted
    /// there; on foreground RoIs suppressed where it scores at least ξ; unused in scores.
    pub background_logit: bool,
}

impl Default for AcslConfig {
    fn default() -> Self {
        Self { threshold: 0.7, background: Background::default(), background_logit: true }
    }
}

/// `L = -log p_k - Σ_{i≠k} w_i log(1 - p_i)`, `p = sigmoid(z)`, `w_i = 1` where `p_i ≥ ξ`, else 0.
/// The weights are constants for differentiation. K = C, or C + 1 with a background logit.
#[derive(Debug, Clone, PartialEq)]
pub struct Acsl {
    columns: Columns,
    background: Background,
    /// `p ≥ ξ` as `z ≥ ln(ξ / (1 - ξ))`.
    logit_threshold: f32,
    /// Rare, common and frequent classes, for [`Background::FrequencySampled`] alone.
    classes_of_group: [Vec<usize>; 3],
}

impl Acsl {
    /// Builds the loss.
    ///
    /// # Errors
    /// If ξ is out of range, or the background mode needs class counts and there are none.
    pub fn new(config: &AcslConfig, context: &ClassContext<'_>) -> Result<Self, LossError> {
        if !(0.0..=1.0).contains(&config.threshold) {
            let expected = "between 0 and 1";
            return Err(LossError::Setting { field: "threshold", value: config.threshold, expected });
        }
        let mut classes_of_group: [Vec<usize>; 3] = Default::default();
        if config.background == Background::FrequencySampled {
            let counts = context.image_counts("ACSL with frequency-sampled background")?;
            for (class, &n) in counts.iter().enumerate() {
                let group = usize::from(n > RARE_IMAGES) + usize::from(n > COMMON_IMAGES);
                classes_of_group[group].push(class);
            }
        }
        Ok(Self {
            columns: Columns { background: config.background_logit },
            background: config.background,
            logit_threshold: (config.threshold / (1.0 - config.threshold)).ln() as f32,
            classes_of_group,
        })
    }

    /// The logit from which a column is kept, if that rule holds for every RoI and keeps few columns.
    pub(crate) fn sparse_threshold(&self) -> Option<f32> {
        let sparse = self.background == Background::Adaptive && self.logit_threshold > f32::NEG_INFINITY;
        sparse.then_some(self.logit_threshold)
    }

    /// The column of a label, if it has one.
    pub(crate) fn own_column(&self, label: u32) -> Option<usize> {
        self.columns.of_label(label)
    }

    /// What each RoI suppresses.
    fn plan(&self, targets: &RoiTargets) -> Vec<Suppressed> {
        let foreground = |label: u32| if label > 0 { Suppressed::Scored } else { Suppressed::All };
        let mut plan: Vec<Suppressed> = match self.background {
            Background::Adaptive => vec![Suppressed::Scored; targets.len()],
            Background::Dense | Background::FrequencySampled => {
                targets.labels().iter().map(|&label| foreground(label)).collect()
            }
        };
        if self.background == Background::FrequencySampled {
            let rows = targets.background();
            for &row in &rows {
                plan[row] = Suppressed::Groups([false; 3]);
            }
            for (group, share) in [RARE_SHARE, COMMON_SHARE, 1.0].into_iter().enumerate() {
                let count = (share * rows.len() as f64).floor() as usize;
                for place in without_replacement(targets.draw(), group as u64, rows.len(), count) {
                    if let Suppressed::Groups(groups) = &mut plan[rows[place]] {
                        groups[group] = true;
                    }
                }
            }
        }
        plan
    }

    /// Weights of all columns, `[K]`, for each set of groups that the plan holds.
    fn group_weights(&self, plan: &[Suppressed], outputs: usize) -> [Vec<f32>; 8] {
        let mut weights: [Vec<f32>; 8] = Default::default();
        for suppressed in plan {
            if let Suppressed::Groups(groups) = *suppressed
                && weights[place_of(groups)].is_empty()
            {
                let mut of_set = vec![0.0; outputs];
                self.kept_columns(*suppressed, &[], |column| of_set[column] = 1.0);
                weights[place_of(groups)] = of_set;
            }
        }
        weights
    }

    /// Calls `keep` with the columns that push their class down in a row, its own among them or not.
    #[inline(always)]
    fn kept_columns(&self, suppressed: Suppressed, z: &[f32], mut keep: impl FnMut(usize)) {
        match suppressed {
            Suppressed::Scored => each_at_least(z, self.logit_threshold, keep),
            Suppressed::All => (0..z.len()).for_each(keep),
            Suppressed::Groups(groups) => {
                for (group, classes) in self.classes_of_group.iter().enumerate() {
                    if groups[group] {
                        classes.iter().for_each(|&class| keep(self.columns.of_class(class)));
                    }
                }
            }
        }
    }
}

/// Place of a set of groups among all sets.
fn place_of(groups: [bool; 3]) -> usize {
    groups.iter().enumerate().map(|(group, &marked)| usize::from(marked) << group).sum()
}

/// What a RoI suppresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suppressed {
    /// The columns that score at least ξ.
    Scored,
    /// All columns.
    All,
    /// The classes of the groups rare, common and frequent that are marked.
    Groups([bool; 3]),
}

/// Calls `found` with every place whose value is at least `threshold`. Whole blocks below it are passed over with a
/// vectorised compare, which is what makes the sparse gradient cheap.
#[inline(always)]
pub(crate) fn each_at_least(values: &[f32], threshold: f32, mut found: impl FnMut(usize)) {
    const BLOCK: usize = 64;
    for (block, chunk) in values.chunks(BLOCK).enumerate() {
        let any = chunk.iter().fold(0_u32, |any, v| any | u32::from(*v >= threshold));
        if any != 0 {
            for (place, value) in chunk.iter().enumerate() {
                if *value >= threshold {
                    found(block * BLOCK + place);
                }
            }
        }
    }
}

impl ClassificationLoss for Acsl {
    fn num_outputs(&self, num_classes: usize) -> usize {
        self.columns.count(num_classes)
    }

    fn evaluate(
        &self,
        logits: &[f32],
        targets: &RoiTargets,
        _state: &LossState,
        _workers: &dyn Workers,
    ) -> Result<Evaluation, LossError> {
        let outputs = self.columns.count(targets.num_classes());
        targets.check(logits, outputs)?;
        let plan = self.plan(targets);
        let weights = self.group_weights(&plan, outputs);
        let (value, gradient) = by_rows(
            logits,
            outputs,
            targets,
            #[inline(always)]
            |n, scale, z, gradient| {
                let mut loss = 0.0;
                let all = plan[n] == Suppressed::All
                    || self.logit_threshold == f32::NEG_INFINITY && plan[n] == Suppressed::Scored;
                if all {
                    loss += negatives(z, scale, gradient);
                } else if let Suppressed::Groups(groups) = plan[n] {
                    loss += weighted_negatives(z, &weights[place_of(groups)], scale, gradient);
                } else {
                    self.kept_columns(plan[n], z, |column| {
                        let (softplus, sigmoid) = softplus_and_sigmoid(z[column]);
                        loss += f64::from(softplus);
                        gradient[column] = scale * sigmoid;
                    });
                }
                if let Some(own) = self.columns.of_label(targets.labels()[n]) {
                    // Groups hold classes only, and those RoIs are background.
                    let was_added = match plan[n] {
                        Suppressed::Scored => z[own] >= self.logit_threshold,
                        Suppressed::All => true,
                        Suppressed::Groups(_) => false,
                    };
                    let weight = if was_added { 1.0 } else { 0.0 };
                    loss += own_column(z[own], weight, scale, &mut gradient[own]);
                }
                loss
            },
        );
        Ok(Evaluation { value, gradient, state: LossState::Stateless })
    }

    fn class_scores(&self, logits: &[f32], columns: usize) -> Vec<f32> {
        self.columns.scores(logits, columns)
    }

    fn kept_negatives(&self, logits: &[f32], targets: &RoiTargets) -> Option<KeptNegatives> {
        let columns = self.columns.count(targets.num_classes());
        let plan = self.plan(targets);
        Some(self.columns.kept_negatives(targets, |row, keep| {
            self.kept_columns(plan[row], &logits[row * columns..(row + 1) * columns], |column| {
                if let Some(class) = (column + 1).checked_sub(1 + usize::from(self.columns.background)) {
                    keep(class);
                }
            });
        }))
    }
}
