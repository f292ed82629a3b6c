//! The same world on every machine and for every number of threads, and what its annotations promise.

use std::collections::BTreeSet;

use longtail_annotations::{Annotation, AnnotationSet, FrequencyGroup};
use longtail_data::Dataset;
use longtail_emoji::{Split, World, WorldConfig, export, world::Drawn};
use sha2::{Digest, Sha256};

fn config() -> WorldConfig {
    WorldConfig {
        seed: 7,
        classes: 6,
        images: 200,
        validation_images: 24,
        image_size: 96,
        ..WorldConfig::default()
    }
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn drawn(split: Split, threads: usize) -> Drawn {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| World::new(&config()).unwrap().draw_all(split, &mut |_, _| {}).unwrap())
}

#[test]
fn a_world_is_the_same_bytes_everywhere() {
    for threads in [1, 4] {
        let drawn = drawn(Split::Train, threads);
        let image = drawn.images.load(&drawn.annotations.images[0]).unwrap();
        assert_eq!(hash(&image.pixels), IMAGE_0, "{threads} threads: image 0");
        assert_eq!(
            hash(longtail_formats::annotations_to_json(&drawn.annotations).as_bytes()),
            ANNOTATIONS,
            "{threads} threads: annotations"
        );
    }
}

/// Hashes on x86-64 Linux; a change of them is a change of the benchmark.
const IMAGE_0: &str = "b41e8ba6a8b33840ef40827147752df8dad9c890f7ea79d4750f05fb289a63bc";
const ANNOTATIONS: &str = "605891deae70b1229030e64dbea31eece5b96bafd732177ec6974c4c304ab411";

#[test]
fn training_counts_are_those_of_the_classes() {
    let world = World::new(&config()).unwrap();
    let drawn = drawn(Split::Train, 2);
    let dataset = Dataset::new(drawn.annotations, drawn.images).unwrap();
    let planned: Vec<u64> = world.classes().iter().map(|c| c.images).collect();
    assert_eq!(dataset.counts().images, planned);
    assert_eq!(dataset.dropped_boxes(), 0);
    let groups: BTreeSet<FrequencyGroup> = dataset.counts().groups().into_iter().collect();
    assert_eq!(groups.len(), 3);
}

#[test]
fn validation_knows_what_lvis_leaves_open() {
    let drawn = drawn(Split::Validation, 2);
    let classes = drawn.annotations.categories.len();
    let ids = |set: &AnnotationSet, image: i64| -> BTreeSet<i64> {
        set.annotations.iter().filter(|a| a.image_id == image).map(|a| a.category_id).collect()
    };
    for (federated, exhaustive) in drawn.annotations.images.iter().zip(&drawn.exhaustive.images) {
        let present = ids(&drawn.exhaustive, federated.id);
        assert_eq!(ids(&drawn.annotations, federated.id), present);
        let absent = federated.neg_category_ids.as_ref().unwrap();
        assert!(absent.len() <= 10 && absent.iter().all(|id| !present.contains(id)));
        assert_eq!(exhaustive.neg_category_ids.as_ref().unwrap().len(), classes - present.len());
        assert!(exhaustive.not_exhaustive_category_ids.as_ref().unwrap().is_empty());
        assert!(
            federated.not_exhaustive_category_ids.as_ref().unwrap().iter().all(|id| present.contains(id))
        );
    }
    // Boxes left out are of classes that say so.
    let kept: BTreeSet<i64> = drawn.annotations.annotations.iter().map(|a| a.id).collect();
    let left_out: Vec<&Annotation> =
        drawn.exhaustive.annotations.iter().filter(|a| !kept.contains(&a.id)).collect();
    for annotation in left_out {
        let image = drawn.annotations.images.iter().find(|i| i.id == annotation.image_id).unwrap();
        assert!(image.not_exhaustive_category_ids.as_ref().unwrap().contains(&annotation.category_id));
    }
}

#[test]
fn boxes_lie_inside_and_hold_their_pixels() {
    let world = World::new(&config()).unwrap();
    for index in 0..20 {
        for object in world.draw(Split::Validation, index).unwrap().objects {
            let [x, y, w, h] = object.bbox;
            assert!(x + w <= 96 && y + h <= 96 && w > 1 && h > 1);
            assert!(object.area <= w * h && object.area > 0);
            assert!((0.2..=1.0).contains(&object.visible));
        }
    }
}

#[test]
fn an_exported_world_reads_back_and_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(&config()).unwrap();
    export(&world, folder.path(), &mut |_, _| {}).unwrap();
    let set = longtail_formats::read_annotations(&folder.path().join("lvis_train.json")).unwrap();
    assert_eq!(set.images.len(), 200);
    let drawn = drawn(Split::Train, 2);
    assert_eq!(set.annotations, drawn.annotations.annotations);
    let images = longtail_data::ImageFolder::new(folder.path());
    for record in set.images.iter().take(5) {
        let image = longtail_data::ImageSource::load(&images, record).unwrap();
        assert_eq!(image, drawn.images.load(record).unwrap());
    }
    let error = export(&world, folder.path(), &mut |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("not empty"), "{error}");
}
