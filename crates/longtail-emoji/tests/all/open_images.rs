//! A world in Open Images layout: its tree, its groups, and its files read back.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use longtail_annotations::AnnotationSet;
use longtail_data::{Dataset, ImageFolder, ImageSource};
use longtail_emoji::{Split, World, WorldConfig, WorldLayout, export, scene::Object};
use longtail_formats::{
    DataFormat, OpenImagesLabels, ReadOptions,
    open_images::{Hierarchy, HierarchyNode, expand_boxes, read_boxes, read_classes, read_image_labels},
};

fn config() -> WorldConfig {
    WorldConfig {
        seed: 5,
        classes: 30,
        images: 400,
        validation_images: 40,
        image_size: 96,
        layout: WorldLayout::OpenImages,
        labels: None,
    }
}

fn objects(world: &World, split: Split) -> Vec<Vec<Object>> {
    (0..world.len(split)).map(|index| world.draw(split, index).unwrap().objects).collect()
}

fn exported() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    export(&World::new(&config()).unwrap(), folder.path(), &mut |_, _| {}).unwrap();
    folder
}

fn open(folder: &Path, part: &str, labels: OpenImagesLabels) -> AnnotationSet {
    let options = ReadOptions { part: Some(part.into()), labels, ..Default::default() };
    longtail_formats::open_annotations(folder, &options).unwrap()
}

#[test]
fn classes_are_a_tree_of_three_levels() {
    // All emoji that there are.
    let config = WorldConfig { classes: 1203, images: 100_000, ..config() };
    let world = World::new(&config).unwrap();
    let (classes, tree) = (world.open_images_classes(), world.hierarchy().unwrap());
    let labels: BTreeSet<&str> = classes.iter().map(|class| class.label.as_str()).collect();
    assert_eq!(labels.len(), classes.len());
    assert_eq!(tree.labels(), labels.iter().copied().collect::<Vec<_>>());
    assert_eq!(classes[0].id, 1);
    // A node for each class: none below two others.
    fn nodes(node: &HierarchyNode) -> usize {
        1 + node.subcategories.iter().map(nodes).sum::<usize>()
    }
    assert_eq!(nodes(tree.root()), 1 + classes.len());
    for (class, id) in world.classes().iter().zip(1..) {
        let [emoji, above @ ..] = class.emoji.open_images_labels();
        assert_eq!((classes[id as usize - 1].label.as_str(), classes[id as usize - 1].id), (&*emoji, id));
        assert_eq!(tree.ancestors(&emoji).unwrap().iter().map(|l| l.to_string()).collect::<Vec<_>>(), above);
    }
    let groups = classes.iter().filter(|class| class.label.starts_with("/group/")).count();
    assert!((5..10).contains(&groups), "{groups}");
}

#[test]
fn files_say_what_lies_in_the_scenes() {
    let folder = exported();
    let world = World::new(&config()).unwrap();
    let at = |name: &str| folder.path().join(name);
    let tree = Hierarchy::read(&at("bbox_labels_hierarchy.json")).unwrap();
    let classes = read_classes(&at("class-descriptions-boxable.csv")).unwrap();
    assert_eq!(classes, world.open_images_classes());
    for (part, split) in [("train", Split::Train), ("validation", Split::Validation)] {
        let boxes = read_boxes(&at(&format!("{part}-annotations-bbox.csv"))).unwrap();
        let objects = objects(&world, split);
        let tables = world.open_images_tables(split, &objects, false);
        assert_eq!(boxes, tables.boxes, "{part}: through text and back");
        // Objects are in a box of their own, or in that of a group of at least three.
        let groups = boxes.iter().filter(|b| b.is_group_of == Some(true)).count();
        let count: usize = objects.iter().map(Vec::len).sum();
        assert!(groups > 0 && boxes.len() - groups + 3 * groups <= count, "{part}: {groups} groups");
        let mut in_groups = 0;
        for (index, objects) in objects.iter().enumerate() {
            let id = World::open_images_id(split, index);
            for object in objects {
                let [x, y, w, h] = object.bbox.map(|v| f64::from(v) / 96.0);
                let label = &world.classes()[object.label as usize].emoji.open_images_labels()[0];
                let mut here = boxes.iter().filter(|b| *b.image_id == *id && *b.label == **label);
                let inside = |b: &&longtail_formats::open_images::OpenImagesBox| {
                    b.x_min <= x && b.y_min <= y && b.x_max >= x + w - 1e-9 && b.y_max >= y + h - 1e-9
                };
                in_groups += usize::from(here.clone().all(|b| b.x_min != x || b.x_max - (x + w) > 1e-9));
                assert!(here.any(|b| inside(&b)), "{id}: {label}");
            }
        }
        assert!(in_groups > 0);
        // Each box once for itself, its subgroup and its group.
        assert_eq!(expand_boxes(&tree, &boxes).unwrap().len(), 3 * boxes.len());

        let labels =
            read_image_labels(&at(&format!("{part}-annotations-human-imagelabels-boxable.csv"))).unwrap();
        assert_eq!(labels, tables.image_labels);
        let mut said: BTreeMap<(&str, &str), f64> = BTreeMap::new();
        for label in &labels {
            assert_eq!(said.insert((&label.image_id, &label.label), label.confidence), None, "said twice");
        }
        // Present is what has a box; absent has none, not below it either.
        let present: BTreeSet<(&str, &str)> = boxes.iter().map(|b| (&*b.image_id, &*b.label)).collect();
        let positive: BTreeSet<_> = said.iter().filter(|(_, c)| **c == 1.0).map(|(key, _)| *key).collect();
        assert_eq!(positive, present);
        let mut above_leaves = 0;
        for (image, label) in said.iter().filter(|(_, c)| **c == 0.0).map(|(key, _)| *key) {
            let below = tree.descendants(label).unwrap();
            above_leaves += usize::from(!below.is_empty());
            for label in below.iter().map(|l| &**l).chain([label]) {
                assert!(!present.contains(&(image, label)), "{image}: {label}");
            }
        }
        assert!(above_leaves > 0, "{part}");
    }
}

#[test]
fn the_reader_gives_the_set_that_is_drawn_into_memory() {
    let folder = exported();
    assert_eq!(DataFormat::detect(folder.path()).unwrap(), DataFormat::OpenImages);
    for labels in [OpenImagesLabels::Plain, OpenImagesLabels::Expanded, OpenImagesLabels::Leaf] {
        let world = World::new(&WorldConfig { labels: Some(labels), ..config() }).unwrap();
        for (part, split) in [("train", Split::Train), ("val", Split::Validation)] {
            let labels = if split == Split::Train { labels } else { labels.of_truth() };
            let read = open(folder.path(), part, labels);
            let drawn = world.draw_all(split, &mut |_, _| {}).unwrap();
            let expected = AnnotationSet { path: read.path.clone(), ..drawn.annotations.clone() };
            assert_eq!(read, expected, "{part}, {labels:?}");
            // The exhaustive truth has the same boxes and leaves no class open.
            assert_eq!(drawn.exhaustive.annotations, drawn.annotations.annotations);
            let open = |set: &AnnotationSet| -> usize {
                set.images.iter().map(|i| i.neg_category_ids.as_ref().map_or(0, Vec::len)).sum()
            };
            assert!(open(&drawn.exhaustive) > open(&drawn.annotations));
            let images = folder.path().join(if part == "val" { "validation" } else { part });
            let images = ImageFolder::new(&images);
            for record in read.images.iter().step_by(37) {
                assert_eq!(images.load(record).unwrap(), drawn.images.load(record).unwrap());
            }
            assert_eq!(Dataset::new(drawn.annotations, drawn.images).unwrap().dropped_boxes(), 0);
        }
    }
}

#[test]
fn expanded_counts_are_those_of_the_leaves_below() {
    let folder = exported();
    let tree = Hierarchy::read(&folder.path().join("bbox_labels_hierarchy.json")).unwrap();
    let classes = read_classes(&folder.path().join("class-descriptions-boxable.csv")).unwrap();
    let count = |labels| {
        let set = open(folder.path(), "train", labels);
        let mut of_label: BTreeMap<String, usize> = BTreeMap::new();
        for annotation in &set.annotations {
            let class = classes.iter().find(|class| class.id == annotation.category_id).unwrap();
            *of_label.entry(class.label.clone()).or_default() += 1;
        }
        of_label
    };
    let (plain, expanded) = (count(OpenImagesLabels::Plain), count(OpenImagesLabels::Expanded));
    assert!(plain.keys().all(|label| label.starts_with("/emoji/")));
    for class in &classes {
        let below = tree.descendants(&class.label).unwrap();
        let own = plain.get(&class.label).copied().unwrap_or(0);
        let sum: usize = own + below.iter().filter_map(|label| plain.get(&**label)).sum::<usize>();
        assert_eq!(expanded.get(&class.label).copied().unwrap_or(0), sum, "{}", class.label);
    }
    assert_eq!(count(OpenImagesLabels::Leaf), plain);
}

#[test]
fn an_export_is_the_same_bytes_and_whole() {
    let (first, second) = (exported(), exported());
    let read = |folder: &Path, name: &str| fs::read(folder.join(name)).unwrap();
    let mut names: Vec<String> = Vec::new();
    for folder in ["", "train", "validation"] {
        for entry in fs::read_dir(first.path().join(folder)).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_file() {
                names.push(format!("{folder}/{}", entry.file_name().to_string_lossy()));
            }
        }
    }
    assert_eq!(names.len(), 6 + 440);
    for name in &names {
        let name = name.trim_start_matches('/');
        assert_eq!(read(first.path(), name), read(second.path(), name), "{name}");
    }
    // A folder that holds something stays as it is; what a killed export left does not matter.
    let world = World::new(&WorldConfig { images: 150, ..config() }).unwrap();
    let error = export(&world, first.path(), &mut |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("not empty"), "{error}");
    let killed = tempfile::tempdir().unwrap();
    fs::create_dir_all(killed.path().join("world.7.partial/train")).unwrap();
    export(&world, killed.path(), &mut |_, _| {}).unwrap();
    assert_eq!(fs::read_dir(killed.path()).unwrap().count(), 8);
}

#[test]
fn labels_need_a_tree() {
    let config = WorldConfig { layout: WorldLayout::Lvis, labels: Some(OpenImagesLabels::Leaf), ..config() };
    let error = World::new(&config).err().unwrap().to_string();
    assert!(error.contains("`labels` needs `layout"), "{error}");
}
