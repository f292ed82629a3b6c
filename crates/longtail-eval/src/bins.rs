//! Classes by the number of training images that hold them.

use std::collections::BTreeMap;

use longtail_annotations::{AnnotationSet, ClassCounts, FrequencyGroup, LabelMap};

use crate::{error::EvalError, metric::Subset};

/// Training images of each class, by category id; crowd boxes do not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageCounts(BTreeMap<i64, u64>);

impl ImageCounts {
    /// Counts the images of a training set.
    pub fn of(training: &AnnotationSet) -> Self {
        let labels = LabelMap::new(&training.categories);
        let counts = ClassCounts::of(training, &labels);
        Self((0..).zip(counts.images).map(|(label, images)| (labels.category_id(label), images)).collect())
    }

    /// Of counts by category id.
    pub fn from_counts(counts: BTreeMap<i64, u64>) -> Self {
        Self(counts)
    }

    /// Images of a class; 0 if the training set does not know it.
    pub fn of_category(&self, id: i64) -> u64 {
        self.0.get(&id).copied().unwrap_or(0)
    }

    /// Gives the classes of a set the frequency groups that follow from the counts.
    ///
    /// # Errors
    /// If the training set knows no class of the set.
    pub fn set_frequencies(&self, set: &mut AnnotationSet) -> Result<(), EvalError> {
        if !set.categories.iter().any(|c| self.0.contains_key(&c.id)) {
            let reason = "no category id is in the training set; are the two files of the same data set?";
            return Err(EvalError::GroundTruth { set: set.label(), reason: reason.into() });
        }
        for category in &mut set.categories {
            category.frequency = Some(FrequencyGroup::from_image_count(self.of_category(category.id)));
        }
        Ok(())
    }
}

/// Classes in bins of image counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassBins {
    counts: ImageCounts,
    /// Largest count of each bin but the last, ascending.
    bounds: Vec<u64>,
}

impl ClassBins {
    /// Bins of at most `bounds[0]` images, at most `bounds[1]`, …, and more than the last.
    ///
    /// # Errors
    /// If there is no bound or they do not ascend.
    pub fn new(counts: ImageCounts, bounds: Vec<u64>) -> Result<Self, EvalError> {
        if bounds.is_empty() || !bounds.is_sorted_by(|a, b| a < b) {
            return Err(EvalError::Bins { bounds });
        }
        Ok(Self { counts, bounds })
    }

    /// Number of bins.
    pub fn count(&self) -> usize {
        self.bounds.len() + 1
    }

    /// Bin of a class.
    pub fn of(&self, category_id: i64) -> usize {
        let images = self.counts.of_category(category_id);
        self.bounds.partition_point(|&bound| bound < images)
    }

    /// A bin in the name of a metric, such as `[0-10]`, `[11-100]`, `[>100]`, in training images.
    pub fn subset(&self, bin: usize) -> Subset {
        let least = if bin == 0 { 0 } else { self.bounds[bin - 1] + 1 };
        Subset::Bin { least, most: self.bounds.get(bin).copied() }
    }
}
