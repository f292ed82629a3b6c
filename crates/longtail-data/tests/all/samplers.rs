//! How often each class comes under each sampler, against the sampler's formula worked out from the
//! annotations.

use std::{collections::BTreeSet, sync::Arc};

use longtail_annotations::{Annotation, AnnotationSet, Category, ImageRecord, Layout};
use longtail_data::{BatchPlan, DataError, Dataset, Draw, ImageSource, RgbImage, Sampler};

struct Black;

impl ImageSource for Black {
    fn load(&self, record: &ImageRecord) -> Result<RgbImage, DataError> {
        let (width, height) = (record.width, record.height);
        Ok(RgbImage { width, height, pixels: vec![0; (width * height * 3) as usize] })
    }
}

const IMAGES: usize = 300;
const CLASSES: usize = 4;

/// Boxes of each class in an image: class 0 nearly everywhere, 1 in a sixth with many boxes, 2 in five
/// images, 3 in one.
fn boxes(image: usize) -> [usize; CLASSES] {
    [
        usize::from(image % 10 != 3) * (1 + image % 2),
        usize::from(image % 6 == 1) * (1 + image % 4),
        usize::from(image % 60 == 7) * 2,
        usize::from(image == 123),
    ]
}

fn long_tail() -> Dataset {
    let (mut images, mut annotations) = (Vec::new(), Vec::new());
    for place in 0..IMAGES {
        let id = place as i64 + 1;
        let (width, height) = if place % 3 == 0 { (9, 16) } else { (16, 9) };
        let (neg_category_ids, not_exhaustive_category_ids) = (None, None);
        let file_name = format!("{id}.png");
        images.push(ImageRecord {
            id,
            file_name,
            width,
            height,
            neg_category_ids,
            not_exhaustive_category_ids,
        });
        for (class, count) in boxes(place).into_iter().enumerate() {
            for _ in 0..count {
                annotations.push(Annotation {
                    id: annotations.len() as i64,
                    image_id: id,
                    category_id: class as i64 * 10,
                    bbox: [1.0, 1.0, 5.0, 5.0],
                    area: None,
                    iscrowd: false,
                    ignore: false,
                });
            }
        }
    }
    let category =
        |class: usize| Category { id: class as i64 * 10, name: class.to_string(), frequency: None };
    let categories = (0..CLASSES).map(category).collect();
    let set = AnnotationSet { path: None, layout: Layout::Coco, images, annotations, categories };
    Dataset::new(set, Arc::new(Black)).unwrap()
}

/// How often an image comes, up to a common factor.
type Weight<'a> = Box<dyn Fn(usize) -> f64 + 'a>;

/// Every sampler with its formula.
fn formulas() -> Vec<(Sampler, Weight<'static>)> {
    let images_with = |class: usize| (0..IMAGES).filter(|&i| boxes(i)[class] > 0).count() as f64;
    let boxes_of = |class: usize| (0..IMAGES).map(|i| boxes(i)[class]).sum::<usize>() as f64;
    let all_boxes: f64 = (0..CLASSES).map(boxes_of).sum();
    let threshold = 0.3;
    let factor = move |image: usize, share: &dyn Fn(usize) -> f64| {
        let classes = (0..CLASSES).filter(|&class| boxes(image)[class] > 0);
        classes.map(|class| (threshold / share(class)).sqrt().max(1.0)).fold(1.0, f64::max)
    };
    vec![
        (Sampler::Sequential, Box::new(|_| 1.0)),
        (Sampler::Shuffled, Box::new(|_| 1.0)),
        (
            Sampler::RepeatFactor { threshold },
            Box::new(move |image| factor(image, &|class| images_with(class) / IMAGES as f64)),
        ),
        (
            Sampler::InstanceAwareRepeatFactor { threshold },
            Box::new(move |image| {
                let share = |class| (images_with(class) / IMAGES as f64 * boxes_of(class) / all_boxes).sqrt();
                factor(image, &share)
            }),
        ),
        (
            Sampler::ClassAware,
            Box::new(move |image| {
                let classes = (0..CLASSES).filter(|&class| boxes(image)[class] > 0);
                classes.map(|class| 1.0 / CLASSES as f64 / images_with(class)).sum()
            }),
        ),
        (Sampler::InstanceBalanced, Box::new(|image| boxes(image).iter().sum::<usize>() as f64)),
    ]
}

#[test]
fn realised_class_frequencies_are_those_of_the_formulas() {
    let data = long_tail();
    for (sampler, weight) in formulas() {
        for grouped in [false, true] {
            let mut plan = BatchPlan::new(&data, &sampler, 8, 1).unwrap();
            if grouped {
                plan = plan.grouped_by_aspect(&data);
            }
            let mut found = [0.0; CLASSES];
            let mut draws = 0.0;
            for iteration in 0..12_000 {
                for draw in plan.batch(iteration) {
                    draws += 1.0;
                    for (class, count) in boxes(draw.index).into_iter().enumerate() {
                        found[class] += f64::from(u8::from(count > 0));
                    }
                }
            }
            let total: f64 = (0..IMAGES).map(&weight).sum();
            for class in 0..CLASSES {
                let of_class = (0..IMAGES).filter(|&image| boxes(image)[class] > 0).map(&weight).sum::<f64>();
                let (expected, found) = (of_class / total, found[class] / draws);
                // Draws with replacement deviate most; rounding of factors less.
                let deviation = (expected * (1.0 - expected) / draws).sqrt();
                assert!(
                    (found - expected).abs() <= 4.0 * deviation + 1e-3 * expected,
                    "{sampler:?}, grouped {grouped}, class {class}: {found} instead of {expected}"
                );
            }
        }
    }
}

#[test]
fn grouped_batches_are_of_one_kind_and_leave_nothing_out() {
    let data = long_tail();
    let landscape = |draw: &Draw| data.set().images[draw.index].width > data.set().images[draw.index].height;
    let (size, count) = (8, 3000);
    for sampler in [Sampler::Shuffled, Sampler::RepeatFactor { threshold: 0.3 }] {
        let mut plan = BatchPlan::new(&data, &sampler, size, 4).unwrap().grouped_by_aspect(&data);
        let mut plain = BatchPlan::new(&data, &sampler, size, 4).unwrap();
        let stream: Vec<Draw> = (0..count + 4).flat_map(|iteration| plain.batch(iteration)).collect();
        let batches: Vec<Vec<Draw>> = (0..count).map(|iteration| plan.batch(iteration)).collect();
        let mut seen = BTreeSet::new();
        for batch in &batches {
            assert_eq!(batch.len(), size);
            assert!(batch.iter().all(|draw| landscape(draw) == landscape(&batch[0])));
            for draw in batch {
                assert!(seen.insert(draw.position), "{draw:?} comes twice");
                assert_eq!(*draw, stream[draw.position as usize], "the stream is that without groups");
            }
        }
        // What is missing waits: fewer than a batch of each kind.
        let furthest = *seen.last().unwrap();
        assert!(furthest + 1 - seen.len() as u64 <= 2 * (size as u64 - 1));
        // Random access, far and back, gives what walking gives.
        let mut other = BatchPlan::new(&data, &sampler, size, 4).unwrap().grouped_by_aspect(&data);
        for iteration in [2999, 0, 1500, 1023, 1024, 1025, 2, 2048] {
            assert_eq!(other.batch(iteration), batches[iteration as usize], "batch {iteration}");
        }
    }
}
