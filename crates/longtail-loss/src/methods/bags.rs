//! BAGS: balanced group softmax (Li et al., CVPR 2020, arXiv 2006.10408).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{
        ClassContext, ClassificationLoss, Column, Evaluation, LossState, Workers, scores_by_rows,
    },
    draw::without_replacement,
    error::LossError,
    numerics::{cross_entropy, softmax},
    targets::RoiTargets,
};

/// Columns of background against foreground.
const OBJECTNESS: usize = 2;
/// Purpose of the draws of others; the group is added.
const DRAW: u64 = 100;

/// Settings of [`Bags`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BagsConfig {
    /// Division points in boxes of the training set, increasing: group g holds the classes with `cuts[g - 1] ≤ boxes <
    /// cuts[g]`. Groups without a class are left out.
    pub cuts: Vec<u64>,
    /// RoIs of other classes and background that a group sees, for each RoI of its own.
    pub others_ratio: f64,
}

impl Default for BagsConfig {
    fn default() -> Self {
        Self { cuts: vec![10, 100, 1000], others_ratio: 8.0 }
    }
}

/// A softmax for each group of classes of similar size, with a column "others" for everything outside it, and one for
/// background against foreground; the loss is the sum of their cross-entropies, each averaged over its RoIs (weighted;
/// the normaliser of the reduction is not used). The two-way softmax sees every RoI. A group with F own RoIs sees them and
/// `⌊ratio · F⌋` drawn others; with F = 0 it adds nothing.
/// K = 2 + G + C: background, foreground, others of each group, classes. Scores: softmax of the class's group ×
/// p(foreground). Reads box counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Bags {
    /// Classes of each group.
    groups: Vec<Vec<usize>>,
    group_of_class: Vec<usize>,
    others_ratio: f64,
}

impl Bags {
    /// Builds the loss.
    ///
    /// # Errors
    /// If the cuts do not increase, the ratio is negative, or there are no counts.
    pub fn new(config: &BagsConfig, context: &ClassContext<'_>) -> Result<Self, LossError> {
        let cuts = &config.cuts;
        if cuts.first() == Some(&0) || cuts.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(LossError::Cuts { cuts: cuts.clone() });
        }
        if !(config.others_ratio.is_finite() && config.others_ratio >= 0.0) {
            let (value, expected) = (config.others_ratio, "a number of at least 0");
            return Err(LossError::Setting { field: "others_ratio", value, expected });
        }
        let counts = context.instance_counts("BAGS")?;
        let mut groups = vec![Vec::new(); cuts.len() + 1];
        for (class, count) in counts.iter().enumerate() {
            groups[cuts.iter().filter(|cut| count >= cut).count()].push(class);
        }
        groups.retain(|group| !group.is_empty());
        let mut group_of_class = vec![0; counts.len()];
        for (place, group) in groups.iter().enumerate() {
            group.iter().for_each(|&class| group_of_class[class] = place);
        }
        Ok(Self { groups, group_of_class, others_ratio: config.others_ratio })
    }

    /// Classes of each group.
    pub fn groups(&self) -> &[Vec<usize>] {
        &self.groups
    }

    /// Columns of a group: its others, then its classes.
    fn columns_of(&self, group: usize) -> impl Iterator<Item = usize> + '_ {
        let first_class = OBJECTNESS + self.groups.len();
        std::iter::once(OBJECTNESS + group)
            .chain(self.groups[group].iter().map(move |class| first_class + class))
    }

    /// Rows that a group sees, with the place of their target among the group's columns. A RoI that another class of the
    /// group holds for as well is not among the group's others.
    fn rows(&self, group: usize, targets: &RoiTargets) -> Vec<(usize, usize)> {
        let labels = targets.labels();
        let (mut own, mut others) = (Vec::new(), Vec::new());
        for row in (0..targets.len()).filter(|&row| !targets.is_ignored(row)) {
            let class = (labels[row] as usize).checked_sub(1);
            match class.filter(|&class| self.group_of_class[class] == group) {
                Some(class) => {
                    let place = self.groups[group].partition_point(|&member| member < class);
                    own.push((row, 1 + place));
                }
                None => {
                    let of_group = |label: u32| self.group_of_class[label as usize - 1] == group;
                    if !targets.other_labels_of(row).any(of_group) {
                        others.push((row, 0));
                    }
                }
            }
        }
        if own.is_empty() {
            return own;
        }
        let count = (self.others_ratio * own.len() as f64).floor() as usize;
        let drawn = without_replacement(targets.draw(), DRAW + group as u64, others.len(), count);
        own.extend(drawn.into_iter().map(|place| others[place]));
        own
    }
}

impl ClassificationLoss for Bags {
    fn num_outputs(&self, num_classes: usize) -> usize {
        OBJECTNESS + self.groups.len() + num_classes
    }

    fn columns(&self, num_classes: usize) -> Vec<Column> {
        let objectness = [Column::Background, Column::Foreground].into_iter();
        let others = (0..self.groups.len()).map(Column::Others);
        objectness.chain(others).chain((0..num_classes).map(Column::Class)).collect()
    }

    fn evaluate(
        &self,
        logits: &[f32],
        targets: &RoiTargets,
        _state: &LossState,
        _workers: &dyn Workers,
    ) -> Result<Evaluation, LossError> {
        let outputs = self.num_outputs(targets.num_classes());
        targets.check(logits, outputs)?;
        let mut gradient = vec![0.0; logits.len()];
        let mut value = 0.0;
        let mut add = |columns: &[usize], rows: &[(usize, usize)]| {
            let total: f64 = rows.iter().map(|(row, _)| f64::from(targets.weight(*row))).sum();
            let common = targets.loss_weight() / total.max(1.0);
            let mut of_row = vec![0.0; columns.len()];
            for &(row, target) in rows {
                let z: Vec<f32> = columns.iter().map(|column| logits[row * outputs + column]).collect();
                let scale = common * f64::from(targets.weight(row));
                value += scale * cross_entropy(&z, target, scale as f32, &mut of_row);
                for (column, g) in columns.iter().zip(&of_row) {
                    gradient[row * outputs + column] = *g;
                }
            }
        };
        let objectness: Vec<(usize, usize)> = (0..targets.len())
            .filter(|&row| !targets.is_ignored(row))
            .map(|row| (row, usize::from(targets.labels()[row] > 0)))
            .collect();
        add(&[0, 1], &objectness);
        for group in 0..self.groups.len() {
            let columns: Vec<usize> = self.columns_of(group).collect();
            add(&columns, &self.rows(group, targets));
        }
        Ok(Evaluation { value, gradient, state: LossState::Stateless })
    }

    fn class_scores(&self, logits: &[f32], columns: usize) -> Vec<f32> {
        scores_by_rows(logits, columns, self.group_of_class.len(), |z, scores| {
            let mut objectness = [0.0; OBJECTNESS];
            softmax(&z[..OBJECTNESS], &mut objectness);
            for (group, classes) in self.groups.iter().enumerate() {
                let of_group: Vec<f32> = self.columns_of(group).map(|column| z[column]).collect();
                let mut probabilities = vec![0.0; of_group.len()];
                softmax(&of_group, &mut probabilities);
                for (class, p) in classes.iter().zip(&probabilities[1..]) {
                    scores[*class] = p * objectness[1];
                }
            }
        })
    }
}
