//! The one place that maps category ids of a file to contiguous labels.

use rustc_hash::FxHashMap;

use crate::annotation::Category;

/// Category ids in ascending order; the label of a category is its place there, from 0.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelMap {
    ids: Vec<i64>,
    names: Vec<String>,
    labels: FxHashMap<i64, u32>,
}

impl LabelMap {
    /// Labels the categories by ascending id. A repeated id keeps its first name.
    pub fn new(categories: &[Category]) -> Self {
        let mut order: Vec<&Category> = categories.iter().collect();
        order.sort_by_key(|c| c.id);
        order.dedup_by_key(|c| c.id);
        let ids: Vec<i64> = order.iter().map(|c| c.id).collect();
        let labels = ids.iter().enumerate().map(|(label, &id)| (id, label as u32)).collect();
        Self { names: order.iter().map(|c| c.name.clone()).collect(), ids, labels }
    }

    /// Number of classes C.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no class at all.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Label in `0..C` of a category id.
    pub fn label(&self, category_id: i64) -> Option<u32> {
        self.labels.get(&category_id).copied()
    }

    /// Category id of a label.
    ///
    /// # Panics
    /// If the label is not below [`Self::len`].
    pub fn category_id(&self, label: u32) -> i64 {
        self.ids[label as usize]
    }

    /// Name of a label's category.
    ///
    /// # Panics
    /// If the label is not below [`Self::len`].
    pub fn name(&self, label: u32) -> &str {
        &self.names[label as usize]
    }
}
