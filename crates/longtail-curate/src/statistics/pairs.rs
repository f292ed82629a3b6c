//! Which classes come together.

use rustc_hash::FxHashMap;
use serde::Serialize;

use longtail_annotations::{AnnotationSet, ClassCounts, LabelMap};

/// Pairs kept of each kind.
const KEPT: usize = 15;
/// Images that a pair must share before its lift says anything.
const LEAST_SHARED: u64 = 5;
/// An image with more classes is left out: its pairs would outnumber all others.
const MOST_CLASSES: usize = 256;

/// Two classes that share images.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassPair {
    /// Names, the class in more images first.
    pub classes: [String; 2],
    /// Images that hold both.
    pub images: u64,
    /// How many times more often than if they came independently: images with both × all images / (images
    /// with one × images with the other).
    pub lift: f64,
}

/// Pairs of classes in images.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CoOccurrence {
    /// Pairs in most images.
    pub most_often: Vec<ClassPair>,
    /// Pairs of the highest lift, among those in at least 5 images.
    pub highest_lift: Vec<ClassPair>,
    /// Images left out because they hold more than 256 classes.
    pub images_left_out: usize,
}

impl CoOccurrence {
    pub(super) fn of(
        set: &AnnotationSet,
        labels: &LabelMap,
        counts: &ClassCounts,
        classes_of_image: &FxHashMap<i64, Vec<u32>>,
    ) -> Self {
        let mut shared: FxHashMap<(u32, u32), u64> = FxHashMap::default();
        let mut images_left_out = 0;
        for classes in classes_of_image.values() {
            if classes.len() > MOST_CLASSES {
                images_left_out += 1;
                continue;
            }
            for (place, &a) in classes.iter().enumerate() {
                for &b in &classes[place + 1..] {
                    *shared.entry((a, b)).or_default() += 1;
                }
            }
        }
        let images_of = |label: u32| counts.images[label as usize];
        let lift = |(a, b): (u32, u32), images: u64| {
            images as f64 * set.images.len() as f64 / (images_of(a) as f64 * images_of(b) as f64)
        };
        let pair = |&((a, b), images): &((u32, u32), u64)| {
            let (more, less) = if images_of(b) > images_of(a) { (b, a) } else { (a, b) };
            let classes = [more, less].map(|label| labels.name(label).to_owned());
            ClassPair { classes, images, lift: lift((a, b), images) }
        };
        // Ties by label, so that the order does not depend on the table.
        let mut pairs: Vec<((u32, u32), u64)> = shared.into_iter().collect();
        pairs.sort_unstable_by_key(|&(labels, images)| (std::cmp::Reverse(images), labels));
        let most_often = pairs.iter().take(KEPT).map(pair).collect();
        pairs.retain(|&(_, images)| images >= LEAST_SHARED);
        pairs.sort_unstable_by(|a, b| lift(b.0, b.1).total_cmp(&lift(a.0, a.1)).then(a.0.cmp(&b.0)));
        let highest_lift = pairs.iter().take(KEPT).map(pair).collect();
        Self { most_often, highest_lift, images_left_out }
    }
}
