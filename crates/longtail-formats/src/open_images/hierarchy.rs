//! The tree of classes: JSON of nodes with `LabelName`, and `Subcategory` and `Part` lists of nodes.

use std::{fs::File, io::Write, path::Path, sync::Arc};

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use super::table::{Names, write_whole};
use crate::error::FormatError;

/// A node of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HierarchyNode {
    /// The class.
    #[serde(rename = "LabelName")]
    pub label: String,
    /// Classes that this one is made of; a class may be below several.
    #[serde(rename = "Subcategory", default, skip_serializing_if = "Vec::is_empty")]
    pub subcategories: Vec<HierarchyNode>,
    /// Classes that are parts of it, such as a wheel of a bicycle; they are no subclasses.
    #[serde(rename = "Part", default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<HierarchyNode>,
}

/// Ancestors and descendants of every class.
///
/// The root, which stands for everything, is not a class. A class that occurs at several places has the union of what is above
/// and below it there. `Part` gives no ancestors: a wheel is no bicycle.
#[derive(Debug, Clone, PartialEq)]
pub struct Hierarchy {
    root: HierarchyNode,
    relations: FxHashMap<Arc<str>, Relations>,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Relations {
    ancestors: Vec<Arc<str>>,
    descendants: Vec<Arc<str>>,
}

impl Hierarchy {
    /// Reads the JSON file.
    ///
    /// # Errors
    /// If it cannot be read, is no such tree, or a class lies below itself.
    pub fn read(path: &Path) -> Result<Self, FormatError> {
        let file = File::open(path).map_err(FormatError::io("read", path))?;
        let node: Result<HierarchyNode, _> = serde_json::from_reader(std::io::BufReader::new(file));
        node.map_err(|error| error.to_string())
            .and_then(Self::new)
            .map_err(|reason| FormatError::Hierarchy { path: path.to_owned(), reason })
    }

    /// Of a tree.
    ///
    /// # Errors
    /// With the reason, if a class lies below itself or a label is empty.
    pub fn new(root: HierarchyNode) -> Result<Self, String> {
        let mut walk = Walk::default();
        let mut path = Vec::new();
        for child in &root.subcategories {
            walk.node(child, &root.label, &mut path)?;
        }
        let mut parts = Vec::new();
        list_parts(&root, false, &mut parts);
        for label in parts {
            if label.is_empty() {
                return Err("a `LabelName` is empty".into());
            }
            walk.relations.entry(walk.names.share(label)).or_default();
        }
        Ok(Self { root, relations: walk.relations })
    }

    /// Writes the tree as JSON: whole, or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), FormatError> {
        let text = serde_json::to_vec_pretty(&self.root).map_err(std::io::Error::other);
        write_whole(path, |file| {
            text.and_then(|text| file.write_all(&text)).map_err(FormatError::io("write", path))
        })
    }

    /// The tree as it is in the file.
    pub fn root(&self) -> &HierarchyNode {
        &self.root
    }

    /// Every class, in ascending order; the root is none.
    pub fn labels(&self) -> Vec<&str> {
        let mut labels: Vec<&str> = self.relations.keys().map(AsRef::as_ref).collect();
        labels.sort_unstable();
        labels
    }

    /// Classes above a class, without the root, nearest first; `None` if the tree does not have it.
    pub fn ancestors(&self, label: &str) -> Option<&[Arc<str>]> {
        self.relations.get(label).map(|r| r.ancestors.as_slice())
    }

    /// Classes below a class; `None` if the tree does not have it.
    pub fn descendants(&self, label: &str) -> Option<&[Arc<str>]> {
        self.relations.get(label).map(|r| r.descendants.as_slice())
    }
}

/// Collects relations on the way down.
#[derive(Default)]
struct Walk {
    names: Names,
    relations: FxHashMap<Arc<str>, Relations>,
    /// Pairs of class and ancestor that are known.
    pairs: FxHashSet<(Arc<str>, Arc<str>)>,
}

impl Walk {
    /// Depth is bounded by the JSON reader, which refuses more than 128 levels.
    fn node(&mut self, node: &HierarchyNode, root: &str, path: &mut Vec<Arc<str>>) -> Result<(), String> {
        if node.label.is_empty() {
            return Err("a `LabelName` is empty".into());
        }
        if node.label == root || path.iter().any(|above| **above == *node.label) {
            let way: Vec<&str> = path.iter().map(AsRef::as_ref).chain([node.label.as_str()]).collect();
            return Err(format!(
                "`{}` lies below itself ({}), so it would be its own ancestor; remove one of the two",
                node.label,
                way.join(" > ")
            ));
        }
        let label = self.names.share(&node.label);
        self.relations.entry(label.clone()).or_default();
        for above in path.iter().rev() {
            if self.pairs.insert((label.clone(), above.clone())) {
                self.relations.entry(label.clone()).or_default().ancestors.push(above.clone());
                self.relations.entry(above.clone()).or_default().descendants.push(label.clone());
            }
        }
        path.push(label);
        for child in &node.subcategories {
            self.node(child, root, path)?;
        }
        path.pop();
        Ok(())
    }
}

/// Labels in and below `Part` lists.
fn list_parts<'a>(node: &'a HierarchyNode, is_part: bool, found: &mut Vec<&'a str>) {
    if is_part {
        found.push(&node.label);
    }
    node.subcategories.iter().for_each(|child| list_parts(child, is_part, found));
    node.parts.iter().for_each(|child| list_parts(child, true, found));
}
