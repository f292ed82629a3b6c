//! How long the tail of a data set is.

use serde::Serialize;

use crate::{
    annotation::AnnotationSet,
    frequency::{ClassCounts, FrequencyGroup},
    label_map::LabelMap,
};

/// Counts of a class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassStatistics {
    /// The file's id.
    pub category_id: i64,
    /// Name.
    pub name: String,
    /// Group by images.
    pub frequency: FrequencyGroup,
    /// Images that hold the class.
    pub images: u64,
    /// Boxes.
    pub boxes: u64,
}

/// Counts of a frequency group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupStatistics {
    /// The group.
    pub frequency: FrequencyGroup,
    /// Classes.
    pub classes: usize,
    /// Boxes of these classes.
    pub boxes: u64,
}

/// Counts of a data set. Crowd regions do not count.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statistics {
    /// Images.
    pub images: usize,
    /// Images without any box.
    pub images_without_boxes: usize,
    /// Boxes.
    pub boxes: u64,
    /// Classes by descending number of boxes, then name.
    pub classes: Vec<ClassStatistics>,
    /// Rare, common, frequent.
    pub groups: Vec<GroupStatistics>,
    /// Boxes of the largest class over boxes of the smallest that has any.
    pub imbalance_ratio: Option<f64>,
    /// Gini coefficient of boxes over classes: 0 all equal, towards 1 one class has all.
    pub gini: f64,
}

impl Statistics {
    /// Counts a set.
    pub fn of(set: &AnnotationSet) -> Self {
        let labels = LabelMap::new(&set.categories);
        let counts = ClassCounts::of(set, &labels);
        let mut classes: Vec<ClassStatistics> = (0..labels.len())
            .map(|label| ClassStatistics {
                category_id: labels.category_id(label as u32),
                name: labels.name(label as u32).to_owned(),
                frequency: FrequencyGroup::from_image_count(counts.images[label]),
                images: counts.images[label],
                boxes: counts.instances[label],
            })
            .collect();
        classes.sort_by(|a, b| b.boxes.cmp(&a.boxes).then_with(|| a.name.cmp(&b.name)));
        let groups = FrequencyGroup::ALL.map(|frequency| {
            let members = classes.iter().filter(|c| c.frequency == frequency);
            GroupStatistics {
                frequency,
                classes: members.clone().count(),
                boxes: members.map(|c| c.boxes).sum(),
            }
        });
        let with_boxes: std::collections::BTreeSet<i64> =
            set.annotations.iter().map(|a| a.image_id).collect();
        let smallest = classes.iter().rev().find(|c| c.boxes > 0);
        Self {
            images: set.images.len(),
            images_without_boxes: set.images.iter().filter(|i| !with_boxes.contains(&i.id)).count(),
            boxes: counts.instances.iter().sum(),
            imbalance_ratio: smallest.map(|s| classes[0].boxes as f64 / s.boxes as f64),
            gini: gini(&counts.instances),
            groups: groups.into(),
            classes,
        }
    }
}

/// Gini coefficient `Σ (2i - n - 1) x_i / (n Σ x)` of values in ascending order; 0 if there is nothing to share.
fn gini(values: &[u64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let total: u64 = sorted.iter().sum();
    if total == 0 {
        return 0.0;
    }
    let count = sorted.len() as f64;
    let weighted: f64 =
        sorted.iter().enumerate().map(|(i, &x)| (2.0 * (i + 1) as f64 - count - 1.0) * x as f64).sum();
    weighted / (count * total as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gini_of_known_shares() {
        assert_eq!(gini(&[5, 5, 5]), 0.0);
        assert!((gini(&[0, 0, 0, 8]) - 0.75).abs() < 1e-12);
        assert!((gini(&[1, 3]) - 0.25).abs() < 1e-12);
        assert_eq!(gini(&[]), 0.0);
    }
}
