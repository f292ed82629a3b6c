//! Sets made from sets: what is kept together, what counts come out, and what is refused.

use std::collections::{BTreeMap, BTreeSet};

use longtail_annotations::{
    Annotation, AnnotationSet, Category, ClassCounts, FrequencyGroup, ImageRecord, LabelMap, Layout,
};
use longtail_curate::curation::{
    CountUnit, Duplicates, Filter, Groups, MergeOptions, Selection, SplitOptions, filter, merge, split,
    subset,
};
use longtail_data::ImageFolder;
use longtail_formats::{Document, RawJson};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Images by the classes of their boxes; classes 1 to `classes`, named `class 1`, …
fn document(classes: i64, images: &[Vec<i64>]) -> Document {
    let mut annotations = Vec::new();
    for (image, boxes) in (1..).zip(images) {
        for (place, &class) in boxes.iter().enumerate() {
            annotations.push(Annotation {
                id: annotations.len() as i64 + 1,
                image_id: image,
                category_id: class,
                bbox: [place as f64, 0.0, 10.0, 20.0],
                area: None,
                iscrowd: false,
                ignore: false,
            });
        }
    }
    let image = |id: i64| ImageRecord {
        id,
        file_name: format!("video{:02}_{id:04}.jpg", id / 5),
        width: 100,
        height: 100,
        neg_category_ids: None,
        not_exhaustive_category_ids: None,
    };
    let mut document = Document::new(AnnotationSet {
        path: None,
        layout: Layout::Coco,
        images: (1..=images.len() as i64).map(image).collect(),
        annotations,
        categories: (1..=classes)
            .map(|id| Category { id, name: format!("class {id}"), frequency: None })
            .collect(),
    });
    for (place, members) in document.extras.annotations.iter_mut().enumerate() {
        members.push("place", RawJson::of(&place));
    }
    document
}

/// 400 images, classes with 200, 100, 50, … images, some together.
fn long_tail() -> Document {
    let images: Vec<Vec<i64>> = (0..400_u64)
        .map(|image| {
            // Multiplication by an odd constant permutes the residues.
            let random = image.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
            (1..=8).filter(|class| random % (1 << class) == image % (1 << class).min(400)).collect()
        })
        .collect();
    document(8, &images)
}

fn counts(document: &Document) -> ClassCounts {
    ClassCounts::of(&document.set, &LabelMap::new(&document.set.categories))
}

fn shares(parts: &[(&str, f64)], every_class: bool) -> SplitOptions {
    let parts = parts.iter().map(|(name, share)| ((*name).to_owned(), *share)).collect();
    SplitOptions { parts, seed: 1, every_class }
}

const HALVES: [(&str, f64); 2] = [("train", 0.8), ("val", 0.2)];

#[test]
fn a_split_keeps_shares_of_every_class() {
    let whole = long_tail();
    let (parts, report) = split(&whole, &Groups::single(&whole), &shares(&HALVES, true)).unwrap();
    let (all, train, val) = (counts(&whole), counts(&parts[0]), counts(&parts[1]));
    assert!((parts[0].set.images.len() as i64 - 320).abs() <= 4, "{report:?}");
    for label in 0..8 {
        assert_eq!(train.images[label] + val.images[label], all.images[label]);
        let wanted = all.images[label] as f64 * 0.2;
        assert!(
            (val.images[label] as f64 - wanted).abs() <= 3.0,
            "class {label}: {} of {wanted}",
            val.images[label]
        );
        assert!(all.images[label] < 2 || val.images[label] > 0 && train.images[label] > 0);
    }
    assert_eq!(report.parts[0].images, parts[0].set.images.len());
    assert_eq!(report.parts[1].boxes, parts[1].set.annotations.len());
    // What is carried stays with its box.
    for part in &parts {
        for (annotation, members) in part.set.annotations.iter().zip(&part.extras.annotations) {
            assert_eq!(members.get("place").unwrap().as_str(), (annotation.id - 1).to_string());
        }
    }
}

/// Two pictures and a brighter copy of the first; a picture that cannot be read is an error.
#[test]
fn pictures_that_look_the_same_stay_together() {
    let whole = document(1, &[vec![1], vec![1], vec![1]]);
    let folder = tempfile::tempdir().unwrap();
    let picture = |seed: u64, brighter: u8| {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        image::RgbImage::from_fn(8, 8, |_, _| image::Rgb([random.random_range(0..240_u8) + brighter; 3]))
    };
    let path = |place: usize| folder.path().join(&whole.set.images[place].file_name);
    for (place, (seed, brighter)) in [(1, 0), (2, 0), (1, 9)].into_iter().enumerate() {
        picture(seed, brighter).save_with_format(path(place), image::ImageFormat::Png).unwrap();
    }
    let images = ImageFolder::new(folder.path());
    let done = std::sync::atomic::AtomicUsize::new(0);
    let count = || {
        done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    };
    let groups = Groups::by_picture(&whole, &images, &count).unwrap();
    assert_eq!((groups.of_image, groups.count, groups.alone), (vec![0, 1, 0], 2, 1));
    assert_eq!(done.into_inner(), 3);
    std::fs::write(path(1), "no picture").unwrap();
    let error = Groups::by_picture(&whole, &images, &|| ()).unwrap_err().to_string();
    assert!(error.contains(&whole.set.images[1].file_name), "{error}");
}

#[test]
fn frames_of_a_video_stay_together() {
    let whole = long_tail();
    let groups = Groups::by_pattern(&whole, r"^(video\d+)_").unwrap();
    assert_eq!(groups.count, 81);
    let (parts, _) = split(&whole, &groups, &shares(&HALVES, true)).unwrap();
    let videos = |document: &Document| -> BTreeSet<String> {
        document.set.images.iter().map(|image| image.file_name[..7].to_owned()).collect()
    };
    assert!(videos(&parts[0]).is_disjoint(&videos(&parts[1])));
    assert!((parts[1].set.images.len() as i64 - 80).abs() <= 8, "{}", parts[1].set.images.len());
    assert!(Groups::by_pattern(&whole, "(").unwrap_err().to_string().contains("not a regular expression"));
    assert!(Groups::by_pattern(&whole, "^x").unwrap_err().to_string().contains("matches no file name"));
    assert!(Groups::by_field(&whole, "video_id").unwrap_err().to_string().contains("which no image has"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("groups.csv");
    std::fs::write(&path, "\u{feff}file_name,group\r\nvideo00_0001.jpg,a\r\nvideo80_0400.jpg,a\r\n").unwrap();
    let groups = Groups::from_table(&whole, &path).unwrap();
    assert_eq!((groups.count, groups.alone, groups.of_image[0]), (399, 398, groups.of_image[399]));
    std::fs::write(&path, "file,group\n").unwrap();
    assert!(Groups::from_table(&whole, &path).unwrap_err().to_string().contains("`file_name` and `group`"));
}

#[test]
fn a_class_of_two_images_comes_into_both_parts_only_if_asked() {
    let mut images = vec![vec![1]; 100];
    images[3] = vec![2];
    images[70] = vec![1, 2];
    images[71] = vec![3];
    let whole = document(3, &images);
    let lacking = |every| {
        let (parts, report) =
            split(&whole, &Groups::single(&whole), &shares(&[("a", 0.9), ("b", 0.1)], every)).unwrap();
        (counts(&parts[1]).images[1], report.lacking.len(), report.lacking_by_choice)
    };
    assert_eq!(lacking(true), (1, 1, 0), "class 3 has one image");
    assert_eq!(lacking(false), (0, 2, 1));
}

#[test]
fn parts_of_a_federated_set_have_the_letters_of_the_first() {
    let mut whole = long_tail();
    whole.set.layout = Layout::Lvis;
    for members in &mut whole.extras.categories {
        members.push("image_count", RawJson::of(&1));
    }
    let (parts, _) = split(&whole, &Groups::single(&whole), &shares(&HALVES, false)).unwrap();
    let train = counts(&parts[0]).groups();
    for part in &parts {
        let letters: Vec<FrequencyGroup> = part.set.categories.iter().map(|c| c.frequency.unwrap()).collect();
        assert_eq!(letters, train);
        assert!(part.extras.categories.iter().all(|members| members.get("image_count").is_none()));
    }
    for parts in [&[("a", 1.0)][..], &[("a", 0.5), ("b", 0.4)], &[("a", 1.5), ("b", -0.5)]] {
        assert!(split(&whole, &Groups::single(&whole), &shares(parts, false)).is_err());
    }
}

#[test]
fn merged_sets_share_classes_by_name_and_get_free_ids() {
    let mut first = document(2, &[vec![1, 2], vec![]]);
    let mut second = document(2, &[vec![1], vec![2, 2]]);
    second.set.categories[0].name = "class 2".into();
    second.set.categories[1].name = "class 9".into();
    first.extras.header.push("info", RawJson::of("a"));
    second.extras.header.push("info", RawJson::of("b"));
    let inputs = || vec![("a".to_owned(), first.clone()), ("b".to_owned(), second.clone())];
    let merged = |duplicates, federated| merge(inputs(), MergeOptions { duplicates, federated });
    let error = merged(Duplicates::Refuse, false).unwrap_err().to_string();
    assert!(error.contains("image 1: file_name") && error.contains("prefix"), "{error}");
    let (joined, report) = merged(Duplicates::Prefix, false).unwrap();
    let names: Vec<&str> = joined.set.images.iter().map(|image| &*image.file_name).collect();
    assert_eq!(names[0], "a/video00_0001.jpg");
    assert_eq!(names[2], "b/video00_0001.jpg");
    let ids = |set: &AnnotationSet| -> BTreeSet<i64> { set.images.iter().map(|i| i.id).collect() };
    assert_eq!(ids(&joined.set).len(), 4);
    let classes: Vec<(i64, &str)> = joined.set.categories.iter().map(|c| (c.id, &*c.name)).collect();
    assert_eq!(classes, [(1, "class 1"), (2, "class 2"), (3, "class 9")]);
    let categories: Vec<i64> = joined.set.annotations.iter().map(|a| a.category_id).collect();
    assert_eq!(categories, [1, 2, 2, 3, 3]);
    let annotation_ids: BTreeSet<i64> = joined.set.annotations.iter().map(|a| a.id).collect();
    assert_eq!(annotation_ids.len(), 5);
    assert_eq!((report.renumbered_images, report.classes_not_in_every_set.len()), (2, 2));
    assert_eq!(report.differing_fields, ["info of b"]);
    // Joined as the same images: a box that both have comes once.
    let (joined, report) = merged(Duplicates::Join, true).unwrap();
    assert_eq!((joined.set.images.len(), report.joined_images), (2, 2));
    assert_eq!(joined.set.layout, Layout::Lvis);
    // The second set says nothing of class 1, the first nothing of class 9.
    assert_eq!(joined.set.images[0].neg_category_ids, Some(vec![3]));
    assert_eq!(joined.set.images[1].neg_category_ids, Some(vec![1, 2]));
    second.set.images[0].width = 7;
    let inputs = vec![("a".to_owned(), first), ("b".to_owned(), second)];
    let error = merge(inputs, MergeOptions { duplicates: Duplicates::Join, federated: false }).unwrap_err();
    assert!(error.to_string().contains("different images"), "{error}");
}

#[test]
fn a_set_merged_with_itself_is_itself() {
    let whole = long_tail();
    let inputs = vec![("a".to_owned(), whole.clone()), ("b".to_owned(), whole.clone())];
    let (joined, report) =
        merge(inputs, MergeOptions { duplicates: Duplicates::Join, federated: false }).unwrap();
    assert_eq!(joined, whole);
    assert_eq!(report.repeated_boxes, whole.set.annotations.len());
}

#[test]
fn a_long_tail_of_choice_comes_out() {
    // Ten classes of 100 images each, one class an image: every count can be met.
    let images: Vec<Vec<i64>> = (0..1000).map(|i| vec![i % 10 + 1]).collect();
    let whole = document(10, &images);
    let tail = Selection::LongTail { ratio: 50.0, largest: None };
    let (cut, report) = subset(&whole, &tail, CountUnit::Boxes, 3).unwrap();
    assert_eq!((report.met, report.mean_deviation), ([10, 10], Some(0.0)));
    let mut found = counts(&cut).instances;
    found.sort_by_key(|n| std::cmp::Reverse(*n));
    // 100 · 50^(-i/9), rounded.
    assert_eq!(found, [100, 65, 42, 27, 18, 11, 7, 5, 3, 2]);
    assert_eq!(cut.set.categories.len(), 10);
    let (again, _) = subset(&whole, &tail, CountUnit::Boxes, 3).unwrap();
    assert_eq!(cut, again, "a function of the seed");
    let (other, _) = subset(&whole, &tail, CountUnit::Boxes, 4).unwrap();
    assert_ne!(cut.set.images, other.set.images);
}

#[test]
fn images_classes_and_counts_can_be_asked_for() {
    let whole = long_tail();
    let (few, _) = subset(&whole, &Selection::Images(40), CountUnit::Boxes, 0).unwrap();
    assert_eq!(few.set.images.len(), 40);
    for (all, found) in counts(&whole).instances.iter().zip(counts(&few).instances) {
        let share = *all as f64 / 10.0;
        assert!((found as f64 - share).abs() <= 2.0, "{found} of {share}");
    }
    let names = vec!["class 2".to_owned(), "class 7".into()];
    let (some, report) = subset(&whole, &Selection::Classes(names), CountUnit::Images, 0).unwrap();
    assert_eq!(some.set.categories.iter().map(|c| c.id).collect::<Vec<_>>(), [2, 7]);
    assert!(some.set.annotations.iter().all(|a| [2, 7].contains(&a.category_id)));
    assert!(some.annotations_by_image().iter().all(|places| !places.is_empty()));
    assert_eq!(report.classes.iter().map(|c| c.got).sum::<u64>(), counts(&some).images.iter().sum::<u64>());
    let wanted = Selection::Counts(vec![("class 1".into(), 20), ("class 2".into(), 0)]);
    let (cut, report) = subset(&whole, &wanted, CountUnit::Images, 0).unwrap();
    assert_eq!(counts(&cut).images[..2], [20, 0], "{report:?}");
    for (selection, part) in [
        (Selection::Classes(vec!["cow".into()]), "`cow`"),
        (Selection::Counts(vec![("cow".into(), 1)]), "`cow`"),
        (Selection::Images(0), "expected 1 to the 400"),
        (Selection::Images(401), "expected 1 to the 400"),
        (Selection::LongTail { ratio: 0.5, largest: None }, "1 or more"),
        (Selection::LongTail { ratio: f64::NAN, largest: None }, "1 or more"),
    ] {
        let error = subset(&whole, &selection, CountUnit::Boxes, 0).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn filters_count_what_they_leave_out() {
    let mut whole = document(2, &[vec![1, 1, 2], vec![2]]);
    whole.set.layout = Layout::Lvis;
    whole.set.annotations[0].bbox = [0.0, 0.0, 4.0, 50.0];
    whole.set.annotations[1].bbox = [0.0, 0.0, 90.0, 90.0];
    whole.set.annotations[2].iscrowd = true;
    let wanted = Filter {
        min_side: Some(5.0),
        max_side: Some(60.0),
        no_crowd: true,
        no_empty_images: true,
        ..Default::default()
    };
    let (found, report) = filter(&whole, &wanted).unwrap();
    assert_eq!((report.images, report.boxes, report.classes), ([2, 1], [4, 1], [2, 2]));
    let reasons: Vec<_> = report.boxes_by_reason.iter().collect();
    assert_eq!(reasons, [("crowds", 1), ("too large", 1), ("too small", 1)]);
    assert_eq!(found.set.images[0].id, 2);
    let keep = Filter { min_side: Some(5.0), as_crowd: true, ..Default::default() };
    let (found, _) = filter(&whole, &keep).unwrap();
    assert_eq!(found.set.annotations.len(), 4);
    assert!(found.set.annotations[0].iscrowd);
    let (found, _) = filter(&whole, &Filter { max_aspect: Some(3.0), ..Default::default() }).unwrap();
    assert_eq!(found.set.images[0].not_exhaustive_category_ids, Some(vec![1]), "objects are still there");
    let only = Filter { except_classes: vec!["class 1".into()], ..Default::default() };
    let (found, _) = filter(&whole, &only).unwrap();
    assert_eq!((found.set.categories.len(), found.set.annotations.len()), (1, 2));
    assert_eq!(filter(&whole, &Filter::default()).unwrap().0.set.annotations, whole.set.annotations);
    assert!(filter(&whole, &Filter { min_area: Some(f64::NAN), ..Default::default() }).is_err());
    assert!(filter(&whole, &Filter { classes: Some(vec!["cow".into()]), ..Default::default() }).is_err());
}

fn images() -> impl Strategy<Value = Vec<Vec<i64>>> {
    prop::collection::vec(prop::collection::vec(1..=6_i64, 0..4), 2..40)
}

proptest! {
    #[test]
    fn parts_are_a_partition_that_keeps_groups(
        images in images(), keys in prop::collection::vec(0..12_u8, 40), share in 0.05..0.95_f64,
        every in any::<bool>(), seed in any::<u64>(),
    ) {
        let whole = document(6, &images);
        let groups = Groups::of_keys(keys.iter().take(images.len()).map(|key| (*key > 0).then(|| key.to_string())));
        let options = SplitOptions {
            parts: vec![("a".into(), share), ("b".into(), 1.0 - share)], seed, every_class: every,
        };
        let (parts, report) = split(&whole, &groups, &options).unwrap();
        let part_of: BTreeMap<i64, usize> = parts
            .iter()
            .enumerate()
            .flat_map(|(part, document)| document.set.images.iter().map(move |image| (image.id, part)))
            .collect();
        prop_assert_eq!(part_of.len(), images.len());
        prop_assert_eq!(parts.iter().map(|p| p.set.images.len()).sum::<usize>(), images.len());
        for (a, group) in groups.of_image.iter().enumerate() {
            for (b, other) in groups.of_image.iter().enumerate() {
                if group == other {
                    prop_assert_eq!(part_of[&(a as i64 + 1)], part_of[&(b as i64 + 1)]);
                }
            }
        }
        let lacking: BTreeSet<String> = report.lacking.iter().map(|class| class.name.clone()).collect();
        let whole_counts = counts(&whole);
        for label in 0..6 {
            let both = parts.iter().all(|part| counts(part).images[label] > 0);
            let name = format!("class {}", label + 1);
            prop_assert_eq!(lacking.contains(&name), !both && whole_counts.images[label] > 0);
        }
    }

    #[test]
    fn no_single_image_would_bring_counts_closer(
        images in images(), wishes in prop::collection::vec(0..15_u64, 6), seed in any::<u64>(),
    ) {
        let whole = document(6, &images);
        let wanted: Vec<(String, u64)> =
            (1..).zip(&wishes).map(|(class, wish)| (format!("class {class}"), *wish)).collect();
        let (cut, _) = subset(&whole, &Selection::Counts(wanted), CountUnit::Boxes, seed).unwrap();
        let distance = |kept: &BTreeSet<i64>| -> f64 {
            (1..=6_i64)
                .map(|class| {
                    let boxes = whole.set.annotations.iter();
                    let count = boxes.filter(|a| a.category_id == class && kept.contains(&a.image_id)).count();
                    let wish = wishes[class as usize - 1] as f64;
                    (count as f64 - wish).abs() / wish.max(1.0)
                })
                .sum()
        };
        let kept: BTreeSet<i64> = cut.set.images.iter().map(|image| image.id).collect();
        let best = distance(&kept);
        for id in 1..=images.len() as i64 {
            let mut other = kept.clone();
            if !other.remove(&id) {
                other.insert(id);
            }
            prop_assert!(distance(&other) >= best - 1e-9, "image {id}");
        }
    }
}
