//! What becomes of boxes when an image is cut or covered, and what is then known about its classes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sample::Targets;
use longtail_annotations::boxes::{area, intersection};

/// What becomes of an object that a crop cuts through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cut {
    /// Its box ends at the edge.
    Clip,
    /// Its box stays whole and reaches out of the image.
    Keep,
    /// It is an object no more.
    Drop,
}

/// Which boxes survive a crop. An object that is taken out while a part of it stays in sight leaves a region
/// that is neither object nor background, as COCO's crowds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BoxPolicy {
    /// Share of the box that must be inside; below it the object is taken out.
    pub min_visible: f32,
    /// What becomes of an object that is cut and visible enough.
    pub cut: Cut,
}

impl Default for BoxPolicy {
    fn default() -> Self {
        Self { min_visible: 0.25, cut: Cut::Clip }
    }
}

impl BoxPolicy {
    pub(crate) fn validate(&self) -> Result<(), String> {
        share("boxes.min_visible", self.min_visible.into())
    }

    /// What becomes of a box in a window `width` × `height` whose corner is 0, 0.
    pub fn fate(&self, b: [f32; 4], width: f32, height: f32) -> Fate {
        let Some(inside) = intersection(&b, &[0.0, 0.0, width, height]) else { return Fate::Gone };
        if inside == b {
            Fate::Kept(b)
        } else if self.cut == Cut::Drop || area(&inside) < self.min_visible * area(&b) {
            Fate::Remnant(inside)
        } else if self.cut == Cut::Keep {
            Fate::Kept(b)
        } else {
            Fate::Kept(inside)
        }
    }
}

/// What becomes of a box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fate {
    /// It stays, as this box.
    Kept([f32; 4]),
    /// The object is taken out, but this part of it stays in sight.
    Remnant([f32; 4]),
    /// Nothing of it is left.
    Gone,
}

/// Applies fates to all boxes; the first argument of `fate` is the index of a box. Classes whose objects are
/// all out of sight are verified absent where classes are verified at all (`federated`), classes of which
/// something is left without a box are not exhaustive.
pub(crate) fn refit(
    targets: &mut Targets,
    federated: bool,
    mut fate: impl FnMut(usize, [f32; 4]) -> Fate,
    mut crowd_fate: impl FnMut([f32; 4]) -> Fate,
) {
    let boxes = std::mem::take(&mut targets.boxes);
    let labels = std::mem::take(&mut targets.labels);
    targets.crowd_boxes = std::mem::take(&mut targets.crowd_boxes)
        .into_iter()
        .filter_map(|b| match crowd_fate(b) {
            Fate::Kept(left) | Fate::Remnant(left) => Some(left),
            Fate::Gone => None,
        })
        .collect();
    let mut gone = Vec::new();
    for (index, (b, label)) in boxes.into_iter().zip(labels).enumerate() {
        match fate(index, b) {
            Fate::Kept(left) => {
                targets.boxes.push(left);
                targets.labels.push(label);
            }
            Fate::Remnant(left) => {
                targets.crowd_boxes.push(left);
                insert(&mut targets.federated.not_exhaustive, label);
            }
            Fate::Gone => gone.push(label),
        }
    }
    for label in gone {
        let known = targets.labels.contains(&label) || targets.federated.not_exhaustive.contains(&label);
        if federated && !known {
            insert(&mut targets.federated.verified_absent, label);
        }
    }
}

/// Adds a label that is not yet there.
pub(crate) fn insert(labels: &mut Vec<u32>, label: u32) {
    if !labels.contains(&label) {
        labels.push(label);
    }
}

/// Checks that a setting is in `0..=1`.
pub(crate) fn share(name: &str, value: f64) -> Result<(), String> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(format!("{name} is {value}; it must be between 0 and 1"))
    }
}
