//! Data sets in memory: what is refused and dropped, and in which order batches come.

use std::sync::Arc;

use longtail_annotations::{
    Annotation, AnnotationSet, Category, ClassCounts, FrequencyGroup, ImageRecord, LabelMap, Layout,
};
use longtail_data::{
    Batch, BatchPlan, DataError, Dataset, ImageSource, Loader, Resize, RgbImage, Sampler, Transform,
    pixels::PixelPool,
    sampler::{self, repeat_factors},
};
use rand::{RngExt, SeedableRng};

/// Every pixel of an image is its id.
struct Flat;

impl ImageSource for Flat {
    fn load(&self, record: &ImageRecord) -> Result<RgbImage, DataError> {
        let (width, height) = (record.width, record.height);
        Ok(RgbImage { width, height, pixels: vec![record.id as u8; (width * height * 3) as usize] })
    }
}

fn image(id: i64) -> ImageRecord {
    ImageRecord {
        id,
        file_name: format!("{id}.png"),
        width: 40,
        height: 30,
        neg_category_ids: None,
        not_exhaustive_category_ids: None,
    }
}

fn annotation(id: i64, image_id: i64, category_id: i64, bbox: [f64; 4]) -> Annotation {
    Annotation { id, image_id, category_id, bbox, area: None, iscrowd: false, ignore: false }
}

fn category(id: i64) -> Category {
    Category { id, name: format!("class {id}"), frequency: None }
}

/// Category ids with gaps, out of order.
fn set(annotations: Vec<Annotation>) -> AnnotationSet {
    AnnotationSet {
        path: None,
        layout: Layout::Coco,
        images: (1..=4).map(image).collect(),
        annotations,
        categories: vec![category(90), category(7), category(20)],
    }
}

fn dataset(set: AnnotationSet) -> Result<Dataset, DataError> {
    Dataset::new(set, Arc::new(Flat))
}

const BOX: [f64; 4] = [1.0, 2.0, 10.0, 10.0];

#[test]
fn labels_are_contiguous_whatever_the_ids() {
    let mut crowd = annotation(3, 1, 20, BOX);
    crowd.iscrowd = true;
    let data =
        dataset(set(vec![annotation(1, 1, 90, BOX), annotation(2, 1, 7, [35.0, 25.0, 50.0, 50.0]), crowd]));
    let data = data.unwrap();
    let sample = data.sample(0).unwrap();
    assert_eq!(sample.targets.labels, [2, 0]);
    assert_eq!(sample.targets.boxes, [[1.0, 2.0, 11.0, 12.0], [35.0, 25.0, 40.0, 30.0]]);
    assert_eq!(sample.targets.crowd_boxes, [[1.0, 2.0, 11.0, 12.0]]);
    assert_eq!(
        data.counts(),
        &ClassCounts { images: vec![1, 0, 1], instances: vec![1, 0, 1], total_images: 4 }
    );
    assert_eq!((data.labels().category_id(2), data.labels().name(0)), (90, "class 7"));
    assert!(data.sample(3).unwrap().targets.boxes.is_empty(), "an image without boxes is background");
}

#[test]
fn what_cannot_be_trained_on_is_refused_with_its_place() {
    let refuse = |set: AnnotationSet, expected: &str| {
        let error = dataset(set).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    };
    refuse(set(vec![annotation(5, 1, 8, BOX)]), "annotation 5: category_id 8");
    refuse(set(vec![annotation(5, 9, 7, BOX)]), "annotation 5: image_id 9");
    refuse(set(vec![annotation(5, 1, 7, [0.0, f64::NAN, 1.0, 1.0])]), "annotation 5: bbox");
    refuse(set(vec![annotation(5, 1, 7, BOX), annotation(5, 2, 7, BOX)]), "annotation 5: its id is repeated");
    refuse(AnnotationSet { images: vec![], ..set(vec![]) }, "has no images");
    refuse(AnnotationSet { categories: vec![], ..set(vec![]) }, "has no categories");
    refuse(AnnotationSet { images: vec![image(1), image(1)], ..set(vec![]) }, "image 1: its id is repeated");
}

#[test]
fn boxes_without_area_inside_are_dropped_and_counted() {
    let boxes = [[5.0, 5.0, 0.0, 9.0], [50.0, 5.0, 4.0, 4.0], [-9.0, 0.0, 5.0, 5.0], BOX];
    let annotations = boxes.iter().enumerate().map(|(i, &b)| annotation(i as i64 + 1, 2, 7, b)).collect();
    let data = dataset(set(annotations)).unwrap();
    assert_eq!(data.dropped_boxes(), 3);
    assert_eq!(data.sample(1).unwrap().targets.boxes.len(), 1);
}

/// 200 images; class 7 in all, 20 in every tenth, 90 in two.
fn long_tail() -> Dataset {
    let mut annotations = Vec::new();
    for i in 1..=200_i64 {
        annotations.push(annotation(3 * i, i, 7, BOX));
        if i % 10 == 0 {
            annotations.push(annotation(3 * i + 1, i, 20, BOX));
        }
        if i % 100 == 0 {
            annotations.push(annotation(3 * i + 2, i, 90, BOX));
        }
    }
    dataset(AnnotationSet { images: (1..=200).map(image).collect(), ..set(annotations) }).unwrap()
}

#[test]
fn groups_and_repeat_factors_follow_their_formulas() {
    let data = long_tail();
    use FrequencyGroup::{Common, Frequent, Rare};
    assert_eq!(data.counts().groups(), [Frequent, Common, Rare]);
    let factors = repeat_factors(&data, 0.4);
    assert_eq!(factors[0], 1.0);
    assert!((factors[9] - 2.0).abs() < 1e-12, "√(0.4 / 0.1)");
    assert!((factors[99] - 40.0_f64.sqrt()).abs() < 1e-12, "√(0.4 / 0.01)");
}

#[test]
fn repeat_factor_sampling_realises_its_factors() {
    let data = long_tail();
    let sampler = Sampler::RepeatFactor { threshold: 0.4 };
    let mut plan = BatchPlan::new(&data, &sampler, 8, 1).unwrap();
    let iterations = plan.iterations_per_epoch() * 200;
    let mut drawn = vec![0_u32; 200];
    for iteration in 0..iterations {
        for draw in plan.batch(iteration) {
            drawn[draw.index] += 1;
        }
    }
    let factors = repeat_factors(&data, 0.4);
    let total: f64 = factors.iter().sum();
    let images: u32 = drawn.iter().sum();
    for image in [0, 9, 99] {
        let (found, expected) = (f64::from(drawn[image]), factors[image] / total * f64::from(images));
        assert!((found / expected - 1.0).abs() < 0.05, "image {image}: {found} instead of {expected}");
    }
}

/// How often each image comes in so many epochs.
fn drawn(data: &Dataset, sampler: &Sampler, epochs: u64) -> Vec<u32> {
    let mut plan = BatchPlan::new(data, sampler, 10, 1).unwrap();
    let mut drawn = vec![0_u32; data.len()];
    for iteration in 0..plan.iterations_per_epoch() * epochs {
        plan.batch(iteration).into_iter().for_each(|draw| drawn[draw.index] += 1);
    }
    drawn
}

#[test]
fn instance_aware_factors_use_both_shares() {
    let data = long_tail();
    // Class 90: 2 of 200 images, 2 of 222 boxes.
    let share = (0.01_f64 * 2.0 / 222.0).sqrt();
    let factors = sampler::instance_aware_repeat_factors(&data, 0.4);
    assert!((factors[99] - (0.4 / share).sqrt()).abs() < 1e-12);
    let drawn = drawn(&data, &Sampler::InstanceAwareRepeatFactor { threshold: 0.4 }, 100);
    let total: f64 = factors.iter().sum();
    let expected = factors[99] / total * f64::from(drawn.iter().sum::<u32>());
    assert!((f64::from(drawn[99]) / expected - 1.0).abs() < 0.05);
}

#[test]
fn class_aware_sampling_draws_classes_alike() {
    // Class 90 is in two of the images: a third of the draws are theirs, and a share of the other classes'.
    let drawn = drawn(&long_tail(), &Sampler::ClassAware, 100);
    let images: u32 = drawn.iter().sum();
    let expected = (1.0 / 3.0 + 1.0 / 3.0 / 10.0 + 1.0 / 3.0 / 100.0) * f64::from(images);
    let found = f64::from(drawn[99] + drawn[199]);
    assert!((found / expected - 1.0).abs() < 0.05, "{found} instead of {expected}");
}

#[test]
fn instance_balanced_sampling_draws_boxes_alike() {
    // Image 1 has one box, image 2 five of one class; the rest have none.
    let mut annotations = vec![annotation(1, 1, 7, BOX)];
    annotations.extend((2..7).map(|id| annotation(id, 2, 7, BOX)));
    let drawn = drawn(&dataset(set(annotations)).unwrap(), &Sampler::InstanceBalanced, 2000);
    let images: u32 = drawn.iter().sum();
    assert_eq!(drawn[2] + drawn[3], 0);
    assert!((f64::from(drawn[1]) / f64::from(images) - 5.0 / 6.0).abs() < 0.02, "{drawn:?}");
}

#[test]
fn samplers_that_draw_boxes_need_some() {
    let data = dataset(set(vec![])).unwrap();
    for sampler in [Sampler::ClassAware, Sampler::InstanceBalanced] {
        let error = BatchPlan::new(&data, &sampler, 2, 1).unwrap_err().to_string();
        assert!(error.contains("sampler.kind") && error.contains("shuffled"), "{error}");
    }
}

#[test]
fn every_image_comes_once_an_epoch_in_an_order_of_the_seed() {
    let data = long_tail();
    let epoch = |seed: u64, epoch: u64| -> Vec<usize> {
        let mut plan = BatchPlan::new(&data, &Sampler::Shuffled, 8, seed).unwrap();
        (epoch * 25..(epoch + 1) * 25).flat_map(|i| plan.batch(i)).map(|draw| draw.index).collect()
    };
    let first = epoch(1, 0);
    let mut sorted = first.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..200).collect::<Vec<_>>());
    assert_eq!(first, epoch(1, 0));
    assert_ne!(first, epoch(2, 0));
    assert_ne!(first, epoch(1, 1));
    // Random access gives what walking gives.
    let mut plan = BatchPlan::new(&data, &Sampler::Shuffled, 8, 1).unwrap();
    let far = plan.batch(60);
    assert_eq!(far, BatchPlan::new(&data, &Sampler::Shuffled, 8, 1).unwrap().batch(60));
    assert_eq!(plan.batch(3), BatchPlan::new(&data, &Sampler::Shuffled, 8, 1).unwrap().batch(3));
}

#[test]
fn batches_do_not_depend_on_the_workers() {
    let data = Arc::new(long_tail());
    let transform = Transform { resize: Resize::Keep, ..Transform::default() };
    let batches = |workers: usize, start: u64, count: usize| -> Vec<Batch> {
        let plan = BatchPlan::new(&data, &Sampler::Shuffled, 4, 9).unwrap();
        let loader = Loader::train(Arc::clone(&data), plan, transform.clone(), start, workers).unwrap();
        loader.take(count).map(Result::unwrap).collect()
    };
    let expected = batches(1, 0, 7);
    assert_eq!(batches(3, 0, 7), expected);
    assert_eq!(batches(2, 4, 3), expected[4..]);
    assert!(expected.iter().flat_map(|b| &b.images).any(|i| i.flipped));
    let sequential: Vec<i64> = Loader::sequential(Arc::clone(&data), transform, 16, 3)
        .flat_map(|batch| batch.unwrap().images)
        .map(|image| image.image_id)
        .collect();
    assert_eq!(sequential, (1..=200).collect::<Vec<_>>());
}

/// Panics at an image, as a decoder with a mistake would.
struct Panics(i64);

impl ImageSource for Panics {
    fn load(&self, record: &ImageRecord) -> Result<RgbImage, DataError> {
        assert!(record.id != self.0, "no such Huffman table");
        Flat.load(record)
    }
}

#[test]
fn a_panic_of_a_worker_is_an_error_that_names_the_image_and_not_the_end() {
    for workers in [1, 3] {
        let data = Arc::new(Dataset::new(set(Vec::new()), Arc::new(Panics(3))).unwrap());
        let found: Vec<Result<i64, String>> =
            Loader::sequential(Arc::clone(&data), Transform::default(), 1, workers)
                .map(|batch| batch.map(|batch| batch.images[0].image_id).map_err(|error| error.to_string()))
                .collect();
        assert_eq!(found.len(), 4, "{workers} workers: {found:?}");
        assert_eq!((&found[0], &found[1], &found[3]), (&Ok(1), &Ok(2), &Ok(4)));
        let error = found[2].as_ref().unwrap_err();
        assert!(error.contains("3.png") && error.contains("no such Huffman table"), "{error}");

        let plan = BatchPlan::new(&data, &Sampler::Sequential, 2, 1).unwrap();
        let mut training = Loader::train(Arc::clone(&data), plan, Transform::default(), 0, workers).unwrap();
        assert!(training.next().unwrap().is_ok());
        let error = training.next().unwrap().unwrap_err().to_string();
        assert!(error.contains("3.png, 4.png") && error.contains("no such Huffman table"), "{error}");
    }
}

#[test]
fn pixels_are_normalised_and_padded() {
    let data = long_tail();
    let transform =
        Transform { resize: Resize::Keep, mean: [1.0, 2.0, 3.0], std: [2.0; 3], ..Transform::default() };
    let batch = Batch::load(&data, &[(8, false)], &transform, &PixelPool::default()).unwrap();
    assert_eq!(batch.shape, [1, 3, 32, 64]);
    // Image 9: every byte is 9.
    assert_eq!((batch.pixels[0], batch.pixels[32 * 64], batch.pixels[2 * 32 * 64]), (4.0, 3.5, 3.0));
    assert_eq!((batch.pixels[39], batch.pixels[40], batch.pixels[30 * 64]), (4.0, 0.0, 0.0));
    assert_eq!((batch.images[0].width, batch.images[0].height), (40, 30));
}

#[test]
fn bad_samplers_are_refused() {
    let data = long_tail();
    assert!(BatchPlan::new(&data, &Sampler::Shuffled, 0, 1).is_err());
    let error =
        BatchPlan::new(&data, &Sampler::RepeatFactor { threshold: 0.0 }, 2, 1).unwrap_err().to_string();
    assert!(error.contains("sampler.threshold"), "{error}");
}

#[test]
fn label_maps_survive_any_ids() {
    let mut generator = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    for _ in 0..50 {
        let categories: Vec<Category> = (0..20).map(|_| category(generator.random_range(-50..50))).collect();
        let map = LabelMap::new(&categories);
        for label in 0..map.len() as u32 {
            assert_eq!(map.label(map.category_id(label)), Some(label));
        }
        assert_eq!(map.label(1000), None);
    }
}
