//! Category ids of one set as another has them.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::annotation::{AnnotationSet, Category};

impl AnnotationSet {
    /// Gives the categories the ids that `others` have for the same names, where ids come from the order of
    /// names and so differ between parts. Sets whose ids and names agree with `others` stay as they are.
    pub fn align_categories(&mut self, others: &[Category]) {
        align(self, others);
    }
}

fn align(set: &mut AnnotationSet, others: &[Category]) {
    let wanted: FxHashMap<&str, i64> = others.iter().map(|c| (&*c.name, c.id)).collect();
    let pairs: FxHashSet<(&str, i64)> = others.iter().map(|c| (&*c.name, c.id)).collect();
    if set.categories.iter().all(|c| !wanted.contains_key(&*c.name) || pairs.contains(&(&*c.name, c.id))) {
        return;
    }
    let mut taken: FxHashSet<i64> = others.iter().map(|c| c.id).collect();
    let mut next = taken.iter().max().map_or(1, |id| id.saturating_add(1));
    let mut moved: FxHashMap<i64, i64> = FxHashMap::default();
    for category in &mut set.categories {
        let id = wanted.get(&*category.name).copied().unwrap_or_else(|| {
            // A class that the others lack keeps its id unless it is theirs.
            if taken.insert(category.id) {
                return category.id;
            }
            while !taken.insert(next) {
                next = next.wrapping_add(1);
            }
            next
        });
        moved.insert(category.id, id);
        category.id = id;
    }
    let place = |id: &mut i64| *id = moved.get(id).copied().unwrap_or(*id);
    set.annotations.iter_mut().for_each(|a| place(&mut a.category_id));
    for image in &mut set.images {
        image.neg_category_ids.iter_mut().flatten().for_each(place);
        image.not_exhaustive_category_ids.iter_mut().flatten().for_each(place);
    }
}

#[cfg(test)]
mod tests {
    use crate::annotation::{Annotation, AnnotationSet, Category, ImageRecord, Layout};

    fn category(id: i64, name: &str) -> Category {
        Category { id, name: name.into(), frequency: None }
    }

    #[test]
    fn names_decide_over_ids() {
        let annotation = |id, category_id| Annotation {
            id,
            image_id: 1,
            category_id,
            bbox: [0.0; 4],
            area: None,
            iscrowd: false,
            ignore: false,
        };
        let image = ImageRecord {
            id: 1,
            file_name: "a".into(),
            width: 1,
            height: 1,
            neg_category_ids: Some(vec![1, 2]),
            not_exhaustive_category_ids: None,
        };
        let mut set = AnnotationSet {
            path: None,
            layout: Layout::Lvis,
            images: vec![image],
            annotations: vec![annotation(1, 1), annotation(2, 2), annotation(3, 3)],
            categories: vec![category(1, "cow"), category(2, "dog"), category(3, "new")],
        };
        let train = [category(1, "ant"), category(2, "cow"), category(3, "dog")];
        set.align_categories(&train);
        assert_eq!(set.annotations.iter().map(|a| a.category_id).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(set.images[0].neg_category_ids, Some(vec![2, 3]));
        assert_eq!(set.categories[2], category(4, "new"));
        let before = set.clone();
        set.align_categories(&train);
        assert_eq!(set, before);
    }
}
