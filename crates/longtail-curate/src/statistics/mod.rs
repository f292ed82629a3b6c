//! How long the tail of a data set is.

mod histogram;
mod pairs;

use rustc_hash::FxHashMap;
use serde::Serialize;

pub use histogram::Histogram;
pub use pairs::{ClassPair, CoOccurrence};

use longtail_annotations::{
    Annotation, AnnotationSet, ClassCounts, FrequencyGroup, ImageRecord, LabelMap, Layout,
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

/// Marked boxes and lists, which the field counts apart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shares {
    /// Crowd or group-of regions.
    pub crowd_boxes: u64,
    /// Boxes to leave out of scoring.
    pub ignored_boxes: u64,
    /// Images with classes verified absent.
    pub images_with_negatives: usize,
    /// Images with classes not exhaustively annotated.
    pub images_not_exhaustive: usize,
    /// Classes verified absent, over all images.
    pub negatives: u64,
    /// Classes not exhaustively annotated, over all images.
    pub not_exhaustive: u64,
    /// Pairs of image and class of which it is known whether the class is there, by a box or a list, of all
    /// pairs. 1 for a set that is annotated in full (COCO).
    pub verified_pairs: f64,
}

/// Counts of a data set. Crowd regions do not count but in [`Shares`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statistics {
    /// Images.
    pub images: usize,
    /// Images without any box.
    pub images_without_boxes: usize,
    /// Boxes.
    pub boxes: u64,
    /// Crowds and lists.
    pub shares: Shares,
    /// Classes by descending number of boxes, then name.
    pub classes: Vec<ClassStatistics>,
    /// Rare, common, frequent.
    pub groups: Vec<GroupStatistics>,
    /// Boxes of the largest class over boxes of the smallest that has any.
    pub imbalance_ratio: Option<f64>,
    /// Gini coefficient of boxes over classes: 0 all equal, towards 1 one class has all.
    pub gini: f64,
    /// Side of a square of the box's area, in pixels; bins of half octaves.
    pub box_sizes: Histogram,
    /// The same over the side of a square of the image's area.
    pub relative_sizes: Histogram,
    /// Boxes below 32² pixels, from there below 96², and the rest: small, medium, large in COCO.
    pub size_groups: [u64; 3],
    /// Width over height.
    pub aspect_ratios: Histogram,
    /// Boxes of each image.
    pub boxes_per_image: Histogram,
    /// Different classes of each image.
    pub classes_per_image: Histogram,
    /// Classes that come together.
    pub co_occurrence: CoOccurrence,
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
        let shapes = Shapes::of(set);
        let classes_of_image = classes_of_image(set, &labels);
        let numbers = |count: &dyn Fn(i64) -> usize| {
            Histogram::of(histogram::numbers(), set.images.iter().map(|i| count(i.id) as f64).collect())
        };
        let smallest = classes.iter().rev().find(|c| c.boxes > 0);
        Self {
            images: set.images.len(),
            images_without_boxes: set.images.iter().filter(|i| !with_boxes.contains(&i.id)).count(),
            boxes: counts.instances.iter().sum(),
            imbalance_ratio: smallest.map(|s| classes[0].boxes as f64 / s.boxes as f64),
            gini: gini(&counts.instances),
            shares: shares(set, &labels, &classes_of_image),
            size_groups: shapes.groups,
            box_sizes: Histogram::of(histogram::powers(2.0, 2.0, 0..=22), shapes.sizes),
            relative_sizes: Histogram::of((0..=20).map(|k| f64::from(k) / 20.0).collect(), shapes.relative),
            aspect_ratios: Histogram::of(histogram::powers(2.0, 3.0, -9..=9), shapes.aspects),
            boxes_per_image: numbers(&|id| shapes.of_image.get(&id).copied().unwrap_or(0)),
            classes_per_image: numbers(&|id| classes_of_image.get(&id).map_or(0, Vec::len)),
            co_occurrence: CoOccurrence::of(set, &labels, &counts, &classes_of_image),
            groups: groups.into(),
            classes,
        }
    }
}

/// Measures of boxes with an area, and how many there are in each image.
struct Shapes {
    sizes: Vec<f64>,
    relative: Vec<f64>,
    aspects: Vec<f64>,
    groups: [u64; 3],
    of_image: FxHashMap<i64, usize>,
}

impl Shapes {
    fn of(set: &AnnotationSet) -> Self {
        let areas: FxHashMap<i64, f64> =
            set.images.iter().map(|i| (i.id, f64::from(i.width) * f64::from(i.height))).collect();
        let mut shapes = Self {
            sizes: Vec::with_capacity(set.annotations.len()),
            relative: Vec::with_capacity(set.annotations.len()),
            aspects: Vec::with_capacity(set.annotations.len()),
            groups: [0; 3],
            of_image: FxHashMap::default(),
        };
        for annotation in set.annotations.iter().filter(|a| !a.iscrowd) {
            *shapes.of_image.entry(annotation.image_id).or_default() += 1;
            let [_, _, width, height] = annotation.bbox;
            let area = width * height;
            if !(width > 0.0 && height > 0.0 && area.is_finite()) {
                continue;
            }
            let group = [32.0_f64, 96.0].iter().filter(|side| area >= *side * *side).count();
            shapes.groups[group] += 1;
            shapes.sizes.push(area.sqrt());
            shapes.aspects.push(width / height);
            if let Some(&image) = areas.get(&annotation.image_id).filter(|&&area| area > 0.0) {
                shapes.relative.push((area / image).sqrt());
            }
        }
        shapes
    }
}

/// Labels of each image, each once, ascending.
fn classes_of_image(set: &AnnotationSet, labels: &LabelMap) -> FxHashMap<i64, Vec<u32>> {
    let known: rustc_hash::FxHashSet<i64> = set.images.iter().map(|image| image.id).collect();
    let mut classes: FxHashMap<i64, Vec<u32>> = FxHashMap::default();
    for annotation in set.annotations.iter().filter(|a| !a.iscrowd && known.contains(&a.image_id)) {
        if let Some(label) = labels.label(annotation.category_id) {
            classes.entry(annotation.image_id).or_default().push(label);
        }
    }
    for labels in classes.values_mut() {
        labels.sort_unstable();
        labels.dedup();
    }
    classes
}

fn shares(set: &AnnotationSet, labels: &LabelMap, classes: &FxHashMap<i64, Vec<u32>>) -> Shares {
    let count = |flag: fn(&Annotation) -> bool| set.annotations.iter().filter(|a| flag(a)).count() as u64;
    let lists = |list: fn(&ImageRecord) -> &Option<Vec<i64>>| {
        let lengths = set.images.iter().map(|image| list(image).as_ref().map_or(0, Vec::len));
        (lengths.clone().filter(|&n| n > 0).count(), lengths.sum::<usize>() as u64)
    };
    let (images_with_negatives, negatives) = lists(|image| &image.neg_category_ids);
    let (images_not_exhaustive, not_exhaustive) = lists(|image| &image.not_exhaustive_category_ids);
    let verified = |image: &ImageRecord| {
        let present = classes.get(&image.id).map_or(&[][..], Vec::as_slice);
        let mut known: Vec<u32> =
            image.neg_category_ids.iter().flatten().filter_map(|&id| labels.label(id)).collect();
        known.extend(present);
        known.sort_unstable();
        known.dedup();
        known.len()
    };
    let pairs = set.images.len() * labels.len();
    Shares {
        crowd_boxes: count(|a| a.iscrowd),
        ignored_boxes: count(|a| a.ignore),
        images_with_negatives,
        images_not_exhaustive,
        negatives,
        not_exhaustive,
        verified_pairs: match set.layout {
            Layout::Coco => 1.0,
            Layout::Lvis => set.images.iter().map(verified).sum::<usize>() as f64 / pairs.max(1) as f64,
        },
    }
}

/// Gini coefficient `Σ (2i - n - 1) x_i / (n Σ x)` of values in ascending order; 0 if there is nothing to
/// share.
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

    const TEXT: &str = r#"{"images": [
        {"id": 1, "width": 100, "height": 100, "file_name": "a", "neg_category_ids": [3], "not_exhaustive_category_ids": []},
        {"id": 2, "width": 400, "height": 100, "file_name": "b", "neg_category_ids": [], "not_exhaustive_category_ids": [1]},
        {"id": 3, "width": 10, "height": 10, "file_name": "c", "neg_category_ids": [1, 2], "not_exhaustive_category_ids": []}],
        "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10]},
        {"id": 2, "image_id": 1, "category_id": 1, "bbox": [0, 0, 100, 100]},
        {"id": 3, "image_id": 1, "category_id": 2, "bbox": [0, 0, 64, 32]},
        {"id": 4, "image_id": 2, "category_id": 2, "bbox": [0, 0, 8, 2], "ignore": 1},
        {"id": 5, "image_id": 2, "category_id": 1, "bbox": [0, 0, 0, 2]},
        {"id": 6, "image_id": 2, "category_id": 3, "bbox": [0, 0, 5, 5], "iscrowd": 1},
        {"id": 7, "image_id": 9, "category_id": 3, "bbox": [0, 0, 5, 5]}],
        "categories": [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}, {"id": 3, "name": "three"}]}"#;

    fn statistics() -> Statistics {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        std::fs::write(&path, TEXT).unwrap();
        Statistics::of(&longtail_formats::read_annotations(&path).unwrap())
    }

    #[test]
    fn shapes_are_measured() {
        let found = statistics();
        // Sides 10, 100, 45.25, 4, 5; the box without area has none.
        assert_eq!(found.size_groups, [3, 1, 1]);
        assert_eq!(found.box_sizes.counts.iter().sum::<u64>(), 5);
        assert_eq!(found.box_sizes.quantiles.unwrap()[2], 10.0);
        assert_eq!(found.aspect_ratios.quantiles.unwrap(), [1.0, 1.0, 1.0, 2.0, 4.0]);
        // Of the image: 0.1, 1, 0.4525, 0.02; image 9 is not there.
        assert_eq!(found.relative_sizes.counts.iter().sum::<u64>(), 4);
        assert_eq!((found.relative_sizes.counts[2], found.relative_sizes.counts[19]), (1, 1));
    }

    #[test]
    fn images_are_counted_with_what_they_hold() {
        let found = statistics();
        assert_eq!(found.boxes_per_image.counts[..4], [1, 0, 1, 1]);
        assert_eq!(found.classes_per_image.counts[..3], [1, 0, 2]);
        let pair =
            ClassPair { classes: ["one".into(), "two".into()], images: 2, lift: 2.0 * 3.0 / (2.0 * 2.0) };
        assert_eq!(found.co_occurrence.most_often, [pair]);
        assert!(found.co_occurrence.highest_lift.is_empty(), "two images say nothing");
    }

    #[test]
    fn lists_and_crowds_have_their_shares() {
        let shares = statistics().shares;
        assert_eq!((shares.crowd_boxes, shares.ignored_boxes), (1, 1));
        assert_eq!((shares.images_with_negatives, shares.negatives), (2, 3));
        assert_eq!((shares.images_not_exhaustive, shares.not_exhaustive), (1, 1));
        // Known: 1, 2, 3 in image 1; 1, 2 in image 2; 1, 2 in image 3.
        assert!((shares.verified_pairs - 7.0 / 9.0).abs() < 1e-12);
    }
}
