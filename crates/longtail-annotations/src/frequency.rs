//! Class counts and the frequency groups derived from them.

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use crate::{annotation::AnnotationSet, label_map::LabelMap};

/// LVIS frequency group of a class, by the number of training images that hold it (Gupta et al., CVPR 2019).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FrequencyGroup {
    /// At most [`FrequencyGroup::RARE_IMAGES`] training images; a class that was never seen counts as rare.
    #[serde(rename = "r")]
    Rare,
    /// More, and at most [`FrequencyGroup::COMMON_IMAGES`].
    #[serde(rename = "c")]
    Common,
    /// More than [`FrequencyGroup::COMMON_IMAGES`] training images.
    #[serde(rename = "f")]
    Frequent,
}

impl FrequencyGroup {
    /// All groups, rare first.
    pub const ALL: [Self; 3] = [Self::Rare, Self::Common, Self::Frequent];

    /// Most training images of a rare class.
    pub const RARE_IMAGES: u64 = 10;
    /// Most training images of a common class.
    pub const COMMON_IMAGES: u64 = 100;

    /// Group of a class found in `image_count` training images.
    pub fn from_image_count(image_count: u64) -> Self {
        if image_count <= Self::RARE_IMAGES {
            Self::Rare
        } else if image_count <= Self::COMMON_IMAGES {
            Self::Common
        } else {
            Self::Frequent
        }
    }

    /// The letter of LVIS files: r, c or f.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Rare => "r",
            Self::Common => "c",
            Self::Frequent => "f",
        }
    }

    /// The word: rare, common or frequent.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rare => "rare",
            Self::Common => "common",
            Self::Frequent => "frequent",
        }
    }
}

/// How often each class occurs in a set, by label. Crowd boxes do not count.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClassCounts {
    /// Images that hold the class, `[C]`.
    pub images: Vec<u64>,
    /// Boxes of the class, `[C]`.
    pub instances: Vec<u64>,
    /// Images of the whole set.
    pub total_images: u64,
}

impl ClassCounts {
    /// Counts the boxes of a set; boxes of categories outside the map are left out.
    pub fn of(set: &AnnotationSet, labels: &LabelMap) -> Self {
        let mut instances = vec![0; labels.len()];
        let mut seen: FxHashMap<i64, FxHashSet<u32>> = FxHashMap::default();
        for annotation in set.annotations.iter().filter(|a| !a.iscrowd) {
            if let Some(label) = labels.label(annotation.category_id) {
                instances[label as usize] += 1;
                seen.entry(annotation.image_id).or_default().insert(label);
            }
        }
        let mut images = vec![0; labels.len()];
        for label in seen.values().flatten() {
            images[*label as usize] += 1;
        }
        Self { images, instances, total_images: set.images.len() as u64 }
    }

    /// Frequency group of every class, `[C]`.
    pub fn groups(&self) -> Vec<FrequencyGroup> {
        self.images.iter().map(|&n| FrequencyGroup::from_image_count(n)).collect()
    }
}
