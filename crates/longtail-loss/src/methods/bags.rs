//! BAGS: balanced group softmax (Li et al., CVPR 2020, arXiv 2006.10408).

use longtail_draw::{Purpose, without_replacement};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss, Evaluation, Step, scores_by_rows},
    error::{LossError, check_not_negative},
    method::{Description, LossMethod, Statistics},
    numerics::{cross_entropy, softmax},
    state::LossState,
    targets::Column,
    targets::RoiTargets,
};

/// Columns of background against foreground.
const OBJECTNESS: usize = 2;

/// A softmax for each group of classes of similar size, with a column "others" for everything outside it, and
/// one for background against foreground; the loss is the sum of their cross-entropies, each averaged over
/// its RoIs (weighted; the normaliser of the reduction is not used). The two-way softmax sees every RoI. A
/// group with F own RoIs sees them and `⌊ratio · F⌋` drawn others; with F = 0 it adds nothing.
///
/// # Shapes
/// - logits: `[N × (2 + G + C)]`: background, foreground, others of each of the G groups, classes
/// - scores: `[N × C]`, softmax of the class's group × p(foreground)
///
/// # Example
/// Two groups of one class each. The RoI is foreground or not, and its class or others, with even odds:
///
/// ```
/// use longtail_loss::{ClassContext, DrawKey, BagsConfig, LossMethod, LossState, RoiTargets, SingleWorker};
///
/// let counts = ClassContext { instance_counts: Some(&[3, 50]), ..ClassContext::new(2) };
/// let loss = BagsConfig { cuts: vec![10], ..BagsConfig::default() }.build(&counts)?;
/// let targets = RoiTargets::new(&[1], 2, DrawKey::default())?;
/// let found = loss.evaluate(&[0.0; 6], &targets, &LossState::default(), &SingleWorker)?;
/// assert!((found.value - 2.0 * 2.0_f64.ln()).abs() < 1e-6);
/// # Ok::<(), longtail_loss::LossError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BagsConfig {
    /// Division points in boxes of the training set, increasing: group g holds the classes with `cuts[g - 1]
    /// ≤ boxes < cuts[g]`. Groups without a class are left out.
    pub cuts: Vec<u64>,
    /// RoIs of other classes and background that a group sees, for each RoI of its own.
    pub others_ratio: f64,
}

impl Default for BagsConfig {
    fn default() -> Self {
        Self { cuts: vec![10, 100, 1000], others_ratio: 8.0 }
    }
}

impl LossMethod for BagsConfig {
    fn description(&self) -> Description {
        Description {
            name: "balanced group softmax",
            source: "Li et al., CVPR 2020",
            formula: "Σ over groups of softmax cross-entropy within the group and its others",
            outputs: "2 + groups + C",
            reads: Statistics::BoxCounts,
            when: "stage 2 on a long tail, when good division points are known",
        }
    }

    fn background(&self) -> &'static str {
        "own column, others of groups"
    }

    fn build(&self, context: &ClassContext<'_>) -> Result<Box<dyn ClassificationLoss>, LossError> {
        let cuts = &self.cuts;
        let too_many = cuts.len() as u64 >= Purpose::BagsOthers.count();
        if too_many || cuts.first() == Some(&0) || cuts.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(LossError::Cuts { cuts: cuts.clone() });
        }
        check_not_negative("others_ratio", self.others_ratio)?;
        let counts = context.instance_counts("BAGS")?;
        let mut groups = vec![Vec::new(); cuts.len() + 1];
        for (class, count) in counts.iter().enumerate() {
            groups[cuts.iter().filter(|cut| count >= cut).count()].push(class);
        }
        groups.retain(|group| !group.is_empty());
        let mut group_of_class = vec![0; counts.len()];
        for (index, group) in groups.iter().enumerate() {
            group.iter().for_each(|&class| group_of_class[class] = index);
        }
        Ok(Box::new(Bags { groups, group_of_class, others_ratio: self.others_ratio }))
    }
}

struct Bags {
    /// Classes of each group.
    groups: Vec<Vec<usize>>,
    group_of_class: Vec<usize>,
    others_ratio: f64,
}

impl Bags {
    /// Columns of a group: its others, then its classes.
    fn columns_of(&self, group: usize) -> impl Iterator<Item = usize> + '_ {
        let first_class = OBJECTNESS + self.groups.len();
        std::iter::once(OBJECTNESS + group)
            .chain(self.groups[group].iter().map(move |class| first_class + class))
    }

    /// Rows that a group sees, with the index of their target among the group's columns. A RoI that another
    /// class of the group holds for as well is not among the group's others.
    fn rows(&self, group: usize, targets: &RoiTargets) -> Vec<(usize, usize)> {
        let labels = targets.labels();
        let (mut own, mut others) = (Vec::new(), Vec::new());
        for row in (0..targets.len()).filter(|&row| !targets.is_ignored(row)) {
            let class = (labels[row] as usize).checked_sub(1);
            match class.filter(|&class| self.group_of_class[class] == group) {
                Some(class) => {
                    let index = self.groups[group].partition_point(|&member| member < class);
                    own.push((row, 1 + index));
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
        let drawn =
            without_replacement(targets.draw(), Purpose::BagsOthers.at(group as u64), others.len(), count);
        own.extend(drawn.into_iter().map(|index| others[index]));
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

    fn compute(&self, step: Step<'_>) -> Result<Evaluation, LossError> {
        let Step { logits, targets, .. } = step;
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
