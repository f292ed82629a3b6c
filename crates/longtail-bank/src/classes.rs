//! The classes of a detector by label.

use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// A class, by its index in a [`ClassTable`]: label `c + 1` of a RoI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// The annotation file's category id.
    pub category_id: i64,
    /// Name.
    pub name: String,
    /// Training images that hold the class; none where nobody counted, as for imported weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_images: Option<u64>,
    /// Training boxes of the class; none where nobody counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_instances: Option<u64>,
    /// A group of similar classes, where the data knows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subgroup: Option<String>,
}

impl Class {
    /// A class that nobody counted.
    pub fn named(category_id: i64, name: impl Into<String>) -> Self {
        Self { category_id, name: name.into(), train_images: None, train_instances: None, subgroup: None }
    }

    /// A class in `train_images` images of the training set, with `train_instances` boxes there.
    pub fn counted(
        category_id: i64,
        name: impl Into<String>,
        train_images: u64,
        train_instances: u64,
    ) -> Self {
        let (train_images, train_instances) = (Some(train_images), Some(train_instances));
        Self { train_images, train_instances, ..Self::named(category_id, name) }
    }
}

/// The classes of a detector, a bank or a head in the order of their labels.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClassTable(Vec<Class>);

impl ClassTable {
    /// Training images that hold each class, `[C]`; none if a class was not counted.
    pub fn image_counts(&self) -> Option<Vec<u64>> {
        self.0.iter().map(|class| class.train_images).collect()
    }

    /// Training boxes of each class, `[C]`; none if a class was not counted.
    pub fn instance_counts(&self) -> Option<Vec<u64>> {
        self.0.iter().map(|class| class.train_instances).collect()
    }

    /// The classes without their groups of similar ones, which no bank keeps.
    pub fn without_subgroups(&self) -> Self {
        self.0.iter().map(|class| Class { subgroup: None, ..class.clone() }).collect()
    }

    /// The first label whose category id is another in `other`; that of the shorter table's end if one is shorter.
    pub fn first_difference(&self, other: &Self) -> Option<usize> {
        let differs = |(ours, theirs): (&Class, &Class)| ours.category_id != theirs.category_id;
        let shorter = self.len().min(other.len());
        self.iter().zip(other.iter()).position(differs).or((self.len() != other.len()).then_some(shorter))
    }
}

impl Deref for ClassTable {
    type Target = [Class];

    fn deref(&self) -> &[Class] {
        &self.0
    }
}

impl From<Vec<Class>> for ClassTable {
    fn from(classes: Vec<Class>) -> Self {
        Self(classes)
    }
}

impl FromIterator<Class> for ClassTable {
    fn from_iter<I: IntoIterator<Item = Class>>(classes: I) -> Self {
        Self(classes.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_all_classes_or_none() {
        let mut classes = vec![Class::counted(3, "cup", 2, 5), Class::counted(7, "spoon", 0, 0)];
        let table = ClassTable::from(classes.clone());
        assert_eq!((table.image_counts(), table.instance_counts()), (Some(vec![2, 0]), Some(vec![5, 0])));
        let json = r#"[{"category_id":3,"name":"cup","train_images":2,"train_instances":5},{"category_id":7,"name":"spoon","train_images":0,"train_instances":0}]"#;
        assert_eq!(serde_json::to_string(&table).unwrap(), json);
        classes.push(Class::named(9, "fork"));
        let more = ClassTable::from(classes);
        assert_eq!(more.image_counts(), None);
        assert_eq!((table.first_difference(&more), more.first_difference(&more)), (Some(2), None));
    }
}
