//! Augmentations: boxes stay exact, class lists stay true, draws depend on nothing but their key.

use std::sync::Arc;

use longtail_annotations::{
    Annotation, AnnotationSet, Category, ImageRecord, Layout,
    boxes::{area, intersection},
};
use longtail_data::{
    Augmentation, Augmenter, Batch, BatchPlan, DataError, Dataset, Draw, ImageSource, Loader, Outline,
    Outlines, Prepared, Resize, RgbImage, Sampler, Transform,
    augment::{
        ColorJitter, CopyPaste, HorizontalFlip, LargeScaleJitter, MultiScale, PastePool, RandomCrop, Shape,
        color::{ColorChange, change_colors},
    },
    boxes::{BoxPolicy, Cut, Fate},
    canvas::Canvas,
};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Noise that depends on the image.
struct Noise;

impl ImageSource for Noise {
    fn load(&self, record: &ImageRecord) -> Result<RgbImage, DataError> {
        let (width, height) = (record.width, record.height);
        let value = |i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8 ^ record.id as u8;
        Ok(RgbImage { width, height, pixels: (0..width * height * 3).map(value).collect() })
    }
}

fn image(id: i64, width: u32, height: u32) -> ImageRecord {
    let (neg, open) = (Some(vec![3, 4]), Some(vec![]));
    ImageRecord {
        id,
        file_name: format!("{id}.png"),
        width,
        height,
        neg_category_ids: neg,
        not_exhaustive_category_ids: open,
    }
}

fn annotation(id: i64, image_id: i64, category_id: i64, bbox: [f64; 4]) -> Annotation {
    Annotation { id, image_id, category_id, bbox, area: None, iscrowd: false, ignore: false }
}

fn data(images: Vec<ImageRecord>, annotations: Vec<Annotation>) -> Dataset {
    let categories =
        (1..=5).map(|id| Category { id, name: format!("class {id}"), frequency: None }).collect();
    let set = AnnotationSet { path: None, layout: Layout::Lvis, images, annotations, categories };
    Dataset::new(set, Arc::new(Noise)).unwrap()
}

/// Twelve images of several shapes, a few boxes each; class 5 is rare.
fn world() -> Arc<Dataset> {
    let (mut images, mut annotations) = (Vec::new(), Vec::new());
    for id in 1..=12_i64 {
        let (width, height) = [(64, 48), (48, 64), (40, 40)][id as usize % 3];
        images.push(image(id, width, height));
        for k in 0..3 {
            let (x, y) = ((id * 3 + k * 11) % 25, (id * 7 + k * 5) % 25);
            let class = if id == 12 && k == 0 { 5 } else { 1 + k % 2 };
            let bbox = [x as f64 + 0.25, y as f64 + 0.5, 10.0 + k as f64, 12.25];
            annotations.push(annotation(id * 10 + k, id, class, bbox));
        }
    }
    let mut crowd = annotation(1000, 2, 1, [1.0, 1.0, 30.0, 30.0]);
    crowd.iscrowd = true;
    annotations.push(crowd);
    Arc::new(data(images, annotations))
}

/// One of every kind, each always at work.
fn every_kind() -> Vec<Augmentation> {
    let cut = |cut| BoxPolicy { cut, ..BoxPolicy::default() };
    vec![
        Augmentation::HorizontalFlip(HorizontalFlip::default()),
        Augmentation::MultiScale(MultiScale { short: vec![24, 33, 40], max: 90 }),
        Augmentation::LargeScaleJitter(LargeScaleJitter {
            size: 48,
            scale: [0.3, 2.5],
            ..Default::default()
        }),
        Augmentation::RandomCrop(RandomCrop { probability: 1.0, size: [0.3, 0.9], ..Default::default() }),
        Augmentation::RandomCrop(RandomCrop {
            probability: 1.0,
            boxes: cut(Cut::Drop),
            ..Default::default()
        }),
        Augmentation::RandomCrop(RandomCrop {
            probability: 1.0,
            boxes: cut(Cut::Keep),
            ..Default::default()
        }),
        Augmentation::ColorJitter(ColorJitter { probability: 1.0, ..Default::default() }),
        Augmentation::CopyPaste(CopyPaste { probability: 1.0, shape: Shape::Box, ..Default::default() }),
    ]
}

fn transform(augmentations: Vec<Augmentation>) -> Transform {
    let resize = Resize::ShortSide { short: 32, max: 60 };
    Transform { resize, augmentations, ..Transform::default() }
}

fn batches(transform: &Transform, workers: usize, start: u64, count: usize) -> Vec<Batch> {
    let data = world();
    let plan = BatchPlan::new(&data, &Sampler::Shuffled, 4, 9).unwrap().grouped_by_aspect(&data);
    let loader = Loader::train(data, plan, transform.clone(), start, workers).unwrap();
    loader.take(count).map(Result::unwrap).collect()
}

#[test]
fn every_augmentation_gives_the_same_bits_for_any_workers_and_from_any_start() {
    let kinds = every_kind();
    let mut lists: Vec<Vec<Augmentation>> = kinds.iter().map(|kind| vec![kind.clone()]).collect();
    lists.push(kinds);
    let plain = batches(&transform(vec![]), 1, 0, 8);
    for list in lists {
        let name: Vec<&str> = list.iter().map(Augmentation::kind).collect();
        let transform = transform(list);
        let expected = batches(&transform, 1, 0, 8);
        assert_ne!(expected, plain, "{name:?} does something");
        assert_eq!(batches(&transform, 3, 0, 8), expected, "{name:?}: three workers");
        assert_eq!(batches(&transform, 2, 5, 3), expected[5..], "{name:?}: from batch 5");
    }
}

#[test]
fn an_image_that_comes_again_is_augmented_anew_and_another_seed_gives_another_stream() {
    let list = every_kind().into_iter().filter(|kind| kind.kind() == "large-scale-jitter").collect();
    let augmenter = Augmenter::new(world(), transform(list)).unwrap();
    let prepare = |position, seed| augmenter.prepare(&Draw { index: 3, position, seed }).unwrap();
    assert_eq!(prepare(7, 1), prepare(7, 1));
    assert_ne!(prepare(7, 1), prepare(19, 1));
    assert_ne!(prepare(7, 1), prepare(7, 2));
}

#[test]
fn an_augmentation_does_not_change_the_draws_of_the_others() {
    let color = Augmentation::ColorJitter(ColorJitter { probability: 1.0, ..Default::default() });
    let crop = |probability| Augmentation::RandomCrop(RandomCrop { probability, ..Default::default() });
    let pixels = |list| {
        let transform = Transform { resize: Resize::Keep, ..transform(list) };
        let augmenter = Augmenter::new(world(), transform).unwrap();
        augmenter.prepare(&Draw { index: 3, position: 7, seed: 1 }).unwrap().sample.image
    };
    // A crop that never happens draws as much or little as it likes.
    assert_eq!(
        pixels(vec![crop(0.0), color.clone()]),
        pixels(vec![Augmentation::HorizontalFlip(HorizontalFlip { probability: 0.0 }), color])
    );
}

#[test]
fn the_size_of_multi_scale_and_jitter_is_not_resized_again() {
    let list = vec![Augmentation::MultiScale(MultiScale { short: vec![24], max: 90 })];
    let augmenter = Augmenter::new(world(), transform(list)).unwrap();
    let prepared = augmenter.prepare(&Draw { index: 0, position: 0, seed: 1 }).unwrap();
    let image = &prepared.sample.image;
    assert_eq!(image.width.min(image.height), 24);
}

/// Boxes of the original that correspond to those of a prepared image, found through the inverse map.
fn close(a: [f32; 4], b: [f32; 4], tolerance: f32) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// Flip, multi-scale, jitter and crops in a row: a box is its original mapped and cut, its area the
    /// original's times the map's scale, and mapping back gives the original where nothing was cut.
    #[test]
    fn boxes_are_exact_under_every_geometric_transform(
        index in 0_usize..12, position in 0_u64..10_000, seed in 0_u64..50, mask in 1_u8..63, drop in any::<bool>(),
    ) {
        let geometric: Vec<Augmentation> = every_kind()
            .into_iter()
            .take(4 + usize::from(drop))
            .enumerate()
            .filter_map(|(bit, kind)| (mask >> bit & 1 == 1).then_some(kind))
            .collect();
        let data = world();
        let original = data.sample(index).unwrap();
        let augmenter = Augmenter::new(Arc::clone(&data), transform(geometric)).unwrap();
        let Prepared { sample, map, .. } = augmenter.prepare(&Draw { index, position, seed }).unwrap();
        let window = [0.0, 0.0, sample.image.width as f32, sample.image.height as f32];
        prop_assert_eq!(sample.targets.boxes.len(), sample.targets.labels.len());
        prop_assert_eq!(sample.image.pixels.len() as f32, window[2] * window[3] * 3.0);
        let factor = (map.scale[0] * map.scale[1]).abs() as f32;
        for (b, label) in sample.targets.boxes.iter().zip(&sample.targets.labels) {
            // Inside the image up to rounding, with area.
            let inside = intersection(b, &window);
            prop_assert!(inside.is_some_and(|inside| close(inside, *b, 1e-4)), "{b:?} in {window:?}");
            let found = original.targets.boxes.iter().zip(&original.targets.labels).any(|(o, l)| {
                let mapped = map.forward(*o);
                let Some(inside) = intersection(&mapped, &window) else { return false };
                let whole = close(inside, mapped, 1e-3);
                l == label
                    && close(*b, inside, 1e-2)
                    && (!whole || ((area(b) / factor / area(o) - 1.0).abs() < 1e-2 && close(map.inverse(*b), *o, 2e-2)))
            });
            prop_assert!(found, "{b:?} of {label} comes from no box of {:?}", original.targets.boxes);
        }
        // Nothing is lost silently: what is not a box any more is out of sight or a region to ignore.
        for (o, label) in original.targets.boxes.iter().zip(&original.targets.labels) {
            let Some(inside) = intersection(&map.forward(*o), &window) else { continue };
            if area(&inside) < 0.05 { continue }
            let listed = sample.targets.boxes.iter().zip(&sample.targets.labels).any(|(b, l)| l == label && close(*b, inside, 1e-2))
                || sample.targets.crowd_boxes.iter().any(|b| close(*b, inside, 1e-2));
            prop_assert!(listed, "{o:?} is at {inside:?} and neither object nor ignored");
        }
    }

    /// The pixels move with the boxes: a bright rectangle on black is where its box says.
    #[test]
    fn pixels_and_boxes_move_alike(position in 0_u64..10_000, kind in 0_usize..4) {
        let geometric = vec![every_kind().swap_remove(kind)];
        struct Marked;
        impl ImageSource for Marked {
            fn load(&self, record: &ImageRecord) -> Result<RgbImage, DataError> {
                let (width, height) = (record.width, record.height);
                let inside = |x: u32, y: u32| (40..100).contains(&x) && (60..110).contains(&y);
                let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| [255 * u8::from(inside(x, y)); 3]));
                Ok(RgbImage { width, height, pixels: pixels.collect() })
            }
        }
        let set = world().set().clone();
        let set = AnnotationSet {
            images: vec![image(1, 160, 140)],
            annotations: vec![annotation(1, 1, 1, [40.0, 60.0, 60.0, 50.0])],
            ..set
        };
        let data = Arc::new(Dataset::new(set, Arc::new(Marked)).unwrap());
        let keep = Transform { resize: Resize::Keep, ..transform(geometric) };
        let sample = Augmenter::new(data, keep).unwrap().prepare(&Draw { index: 0, position, seed: 3 }).unwrap().sample;
        prop_assume!(sample.targets.boxes.len() == 1);
        let b = sample.targets.boxes[0];
        prop_assume!((b[2] - b[0]).min(b[3] - b[1]) > 4.0);
        let width = sample.image.width as usize;
        for (i, pixel) in sample.image.pixels.as_chunks::<3>().0.iter().enumerate() {
            let (x, y) = ((i % width) as f32 + 0.5, (i / width) as f32 + 0.5);
            let distance = |by: f32| x > b[0] + by && x < b[2] - by && y > b[1] + by && y < b[3] - by;
            // Bilinear weights reach less than two pixels over an edge, as no scale here is above 1.
            if distance(2.0) {
                prop_assert_eq!(pixel[0], 255, "{} {} in {:?}", x, y, b);
            } else if !distance(-2.0) {
                prop_assert_eq!(pixel[0], 0, "{} {} in {:?}", x, y, b);
            }
        }
    }

    /// Pasted and covered boxes stay inside and have area; nothing is both verified absent and there.
    #[test]
    fn copy_paste_keeps_boxes_inside_and_lists_true(
        index in 0_usize..12, position in 0_u64..10_000, masks in any::<bool>(), max_objects in 1_u32..6,
    ) {
        let outlines: Outlines = if masks {
            // A diamond in every box.
            let diamond = |a: &Annotation| {
                let [x, y, w, h] = a.bbox.map(|v| v as f32);
                (a.id, Outline::Polygons(vec![vec![x + w / 2.0, y, x + w, y + h / 2.0, x + w / 2.0, y + h, x, y + h / 2.0]]))
            };
            world().set().annotations.iter().map(diamond).collect()
        } else {
            Outlines::default()
        };
        let data = Arc::new(Dataset::new(world().set().clone(), Arc::new(Noise)).unwrap().with_outlines(outlines));
        let before = data.sample(index).unwrap();
        let paste = CopyPaste { probability: 1.0, companions: 1.0, max_objects, ..Default::default() };
        let keep = Transform { resize: Resize::Keep, horizontal_flip: 0.0, ..transform(vec![Augmentation::CopyPaste(paste)]) };
        let sample = Augmenter::new(data, keep).unwrap().prepare(&Draw { index, position, seed: 3 }).unwrap().sample;
        let window = [0.0, 0.0, sample.image.width as f32, sample.image.height as f32];
        let targets = &sample.targets;
        prop_assert_eq!(targets.boxes.len(), targets.labels.len());
        for b in targets.boxes.iter().chain(&targets.crowd_boxes) {
            let inside = intersection(b, &window);
            prop_assert!(inside.is_some_and(|inside| close(inside, *b, 1e-3)), "{b:?}");
        }
        for label in &targets.labels {
            prop_assert!(!targets.federated.verified_absent.contains(label));
            let searched = before.targets.labels.contains(label) || before.targets.federated.verified_absent.contains(label);
            prop_assert!(searched || targets.federated.not_exhaustive.contains(label), "{label} is not known to be all there");
        }
        // A box of the image itself that nothing touches is as it was.
        let changed: Vec<usize> = (0..before.image.pixels.len() / 3)
            .filter(|i| before.image.pixels[i * 3..i * 3 + 3] != sample.image.pixels[i * 3..i * 3 + 3])
            .collect();
        for (b, label) in before.targets.boxes.iter().zip(&before.targets.labels) {
            let touched = changed.iter().any(|i| {
                let (x, y) = ((i % window[2] as usize) as f32, (i / window[2] as usize) as f32);
                intersection(b, &[x, y, x + 1.0, y + 1.0]).is_some()
            });
            if !touched {
                prop_assert!(targets.boxes.iter().zip(&targets.labels).any(|(t, l)| t == b && l == label), "{b:?}");
            }
        }
    }
}

#[test]
fn a_crop_clips_keeps_or_drops_and_remembers_what_it_left_behind() {
    let policy = |min_visible, cut| BoxPolicy { min_visible, cut };
    // 40 % of the box lie in the window 10 × 10.
    let b = [6.0, 0.0, 16.0, 10.0];
    let clipped = [6.0, 0.0, 10.0, 10.0];
    assert_eq!(policy(0.4, Cut::Clip).fate(b, 10.0, 10.0), Fate::Kept(clipped));
    assert_eq!(policy(0.4, Cut::Keep).fate(b, 10.0, 10.0), Fate::Kept(b));
    assert_eq!(policy(0.4, Cut::Drop).fate(b, 10.0, 10.0), Fate::Remnant(clipped));
    for cut in [Cut::Clip, Cut::Keep, Cut::Drop] {
        assert_eq!(policy(0.41, cut).fate(b, 10.0, 10.0), Fate::Remnant(clipped));
        assert_eq!(policy(1.0, cut).fate(clipped, 10.0, 10.0), Fate::Kept(clipped));
        assert_eq!(policy(0.0, cut).fate([10.0, 0.0, 20.0, 5.0], 10.0, 10.0), Fate::Gone);
    }
}

#[test]
fn a_crop_says_what_is_known_of_classes_out_of_sight() {
    // Label 0 stays whole, 1 is cut to a sliver, 2 goes. 3 and 4 (ids 4, 5): verified absent and unknown.
    let boxes = [[2.0, 2.0, 6.0, 6.0], [19.0, 2.0, 18.0, 6.0], [30.0, 20.0, 6.0, 6.0]];
    let annotations = (0..3).map(|i| annotation(i + 1, 1, i + 1, boxes[i as usize])).collect();
    let mut record = image(1, 40, 30);
    record.neg_category_ids = Some(vec![4]);
    let data = data(vec![record], annotations);
    let mut canvas = Canvas::new(data.sample(0).unwrap(), true);
    canvas.scale_and_crop([40, 30], [0, 0], [20, 15], &BoxPolicy::default());
    let targets = &canvas.sample.targets;
    assert_eq!(
        (targets.boxes.as_slice(), targets.labels.as_slice()),
        ([[2.0, 2.0, 8.0, 8.0]].as_slice(), [0].as_slice())
    );
    assert_eq!(targets.crowd_boxes, [[19.0, 2.0, 20.0, 8.0]]);
    assert_eq!(targets.federated.not_exhaustive, [1]);
    assert_eq!(targets.federated.verified_absent, [3, 2]);
    assert_eq!((canvas.size(), canvas.original_size()), ([20, 15], [40, 30]));
    // Where everything is annotated (COCO) there is no list to keep.
    let mut canvas = Canvas::new(data.sample(0).unwrap(), false);
    canvas.sample.targets.federated.verified_absent.clear();
    canvas.scale_and_crop([40, 30], [0, 0], [20, 15], &BoxPolicy::default());
    assert!(canvas.sample.targets.federated.verified_absent.is_empty());
}

#[test]
fn rare_classes_are_pasted_as_often_as_the_formula_says() {
    let data = world();
    // 36 boxes: label 4 has one, label 0 23, label 1 12.
    let counts = [23.0_f64, 12.0, 1.0];
    assert_eq!(data.counts().instances, [23, 12, 0, 0, 1]);
    for rarity in [0.0, 0.5, 1.0, 2.0] {
        let pool = PastePool::new(&data, rarity).unwrap();
        let mut generator = ChaCha8Rng::seed_from_u64(5);
        let mut drawn = [0_u32; 5];
        let draws = 40_000;
        for _ in 0..draws {
            let (image, place) = pool.draw(&mut generator);
            drawn[data.labels_of_boxes(image).nth(place).unwrap() as usize] += 1;
        }
        let weights = counts.map(|n| n.powf(1.0 - rarity));
        let sum: f64 = weights.iter().sum();
        for (label, weight) in [0, 1, 4].into_iter().zip(weights) {
            let (found, expected) = (f64::from(drawn[label]) / f64::from(draws), weight / sum);
            let deviation = (expected * (1.0 - expected) / f64::from(draws)).sqrt();
            assert!(
                (found - expected).abs() < 4.0 * deviation,
                "rarity {rarity}, label {label}: {found}, {expected}"
            );
        }
    }
}

#[test]
fn a_covered_box_ends_where_it_is_last_seen() {
    // One object to paste, 10 × 30 at full height; the target's box is 20 × 30.
    let images = vec![image(1, 40, 30), image(2, 10, 30)];
    let annotations =
        vec![annotation(1, 1, 1, [10.0, 0.0, 20.0, 30.0]), annotation(2, 2, 2, [0.0, 0.0, 10.0, 30.0])];
    let data = Arc::new(data(images, annotations));
    let paste =
        CopyPaste { probability: 1.0, max_objects: 1, scale: [1.0, 1.0], rarity: 0.0, ..Default::default() };
    let keep = Transform {
        resize: Resize::Keep,
        horizontal_flip: 0.0,
        ..transform(vec![Augmentation::CopyPaste(paste)])
    };
    let augmenter = Augmenter::new(data, keep).unwrap();
    let mut seen = [0; 4];
    for position in 0..400 {
        let targets = augmenter.prepare(&Draw { index: 0, position, seed: 1 }).unwrap().sample.targets;
        // Only draws of the narrow object; the other is the image's own box.
        let Some(place) = targets.labels.iter().position(|label| *label == 1) else { continue };
        let [left, _, right, _] = targets.boxes[place];
        assert_eq!(targets.boxes[place], [left, 0.0, left + 10.0, 30.0]);
        let expected = if left <= 10.0 && right > 10.0 {
            seen[0] += 1;
            [right, 0.0, 30.0, 30.0]
        } else if left < 30.0 && right >= 30.0 {
            seen[1] += 1;
            [10.0, 0.0, left, 30.0]
        } else if right <= 10.0 || left >= 30.0 {
            seen[2] += 1;
            [10.0, 0.0, 30.0, 30.0]
        } else {
            // In the middle: seen on both sides.
            seen[3] += 1;
            [10.0, 0.0, 30.0, 30.0]
        };
        let own = targets.labels.iter().position(|label| *label == 0).unwrap();
        assert_eq!(targets.boxes[own], expected, "pasted from {left} to {right}");
    }
    assert!(seen.iter().all(|count| *count > 5), "{seen:?}");
}

#[test]
fn a_masked_object_is_pasted_without_its_surroundings() {
    // The lender's left half is the object, by polygon and by runs (down the columns) alike.
    let outline = [
        Outline::Polygons(vec![vec![0.0, 0.0, 5.0, 0.0, 5.0, 8.0, 0.0, 8.0]]),
        Outline::Runs { height: 8, counts: vec![0, 40, 40] },
    ];
    let frame = [0, 0, 10, 8];
    assert_eq!(outline[0].rasterize(frame), outline[1].rasterize(frame));
    assert_eq!(outline[0].rasterize([3, 2, 4, 1]), [255, 255, 0, 0]);
    assert_eq!(outline[1].rasterize([3, 2, 4, 1]), [255, 255, 0, 0]);
    let images = vec![image(1, 40, 30), image(2, 10, 8)];
    let lent = annotation(2, 2, 2, [0.0, 0.0, 10.0, 8.0]);
    for outline in outline {
        let data =
            data(images.clone(), vec![lent.clone()]).with_outlines([(2, outline)].into_iter().collect());
        let before = data.sample(0).unwrap();
        let paste =
            CopyPaste { probability: 1.0, scale: [1.0, 1.0], horizontal_flip: 0.0, ..Default::default() };
        let keep = Transform {
            resize: Resize::Keep,
            horizontal_flip: 0.0,
            ..transform(vec![Augmentation::CopyPaste(paste)])
        };
        let lender = data.sample(1).unwrap().image;
        let sample = Augmenter::new(Arc::new(data), keep)
            .unwrap()
            .prepare(&Draw { index: 0, position: 1, seed: 1 })
            .unwrap()
            .sample;
        let [x, y, ..] = sample.targets.boxes[0].map(|v| v as usize);
        for row in 0..8 {
            for column in 0..10 {
                let at = ((y + row) * 40 + x + column) * 3;
                let expected = if column < 5 {
                    &lender.pixels[(row * 10 + column) * 3..][..3]
                } else {
                    &before.image.pixels[at..at + 3]
                };
                assert_eq!(&sample.image.pixels[at..at + 3], expected);
            }
        }
        assert_eq!(sample.targets.federated.not_exhaustive, [1], "nobody looked for class 2 in image 1");
        assert_eq!(sample.targets.federated.verified_absent, [2, 3], "its surroundings stay as they were");
    }
}

#[test]
fn a_pasted_box_brings_its_content_and_takes_back_what_was_only_verified_in_one_image() {
    // Class 1 fills the lender; class 2 lies in it. The lender was searched for class 3 alone, the target for
    // 3, 4.
    let mut lender = image(2, 20, 20);
    lender.neg_category_ids = Some(vec![3]);
    lender.not_exhaustive_category_ids = Some(vec![5]);
    let boxes = vec![annotation(1, 2, 1, [0.0, 0.0, 20.0, 20.0]), annotation(2, 2, 2, [5.0, 5.0, 10.0, 5.0])];
    let data = data(vec![image(1, 40, 30), lender], boxes);
    let pool = PastePool::new(&data, 0.0).unwrap();
    let paste = CopyPaste {
        probability: 1.0,
        companions: 0.0,
        shape: Shape::Box,
        scale: [1.0, 1.0],
        horizontal_flip: 0.0,
        ..Default::default()
    };
    for seed in 0..20 {
        let mut canvas = Canvas::new(data.sample(0).unwrap(), true);
        paste.apply(&mut canvas, &data, &pool, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
        let targets = &canvas.sample.targets;
        if targets.labels == [0, 1] {
            let [x, y, ..] = targets.boxes[0];
            assert_eq!(targets.boxes[1], [x + 5.0, y + 5.0, x + 15.0, y + 10.0]);
            assert_eq!(targets.federated.verified_absent, [2]);
            assert_eq!(targets.federated.not_exhaustive, [0, 1, 4]);
            return;
        }
    }
    panic!("the large object was never drawn");
}

#[test]
fn settings_out_of_range_name_their_entry() {
    for (augmentation, part) in [
        (Augmentation::HorizontalFlip(HorizontalFlip { probability: 1.5 }), "probability is 1.5"),
        (Augmentation::MultiScale(MultiScale { short: vec![], max: 9 }), "short is empty"),
        (Augmentation::MultiScale(MultiScale { short: vec![10], max: 9 }), "short ≤ max"),
        (
            Augmentation::LargeScaleJitter(LargeScaleJitter { scale: [0.0, 1.0], ..Default::default() }),
            "scale is 0 to 1",
        ),
        (
            Augmentation::LargeScaleJitter(LargeScaleJitter { size: 1 << 20, ..Default::default() }),
            "size is 1048576",
        ),
        (
            Augmentation::RandomCrop(RandomCrop { size: [0.5, 1.5], ..Default::default() }),
            "size is 0.5 to 1.5",
        ),
        (Augmentation::ColorJitter(ColorJitter { hue: 0.6, ..Default::default() }), "hue is 0.6"),
        (Augmentation::CopyPaste(CopyPaste { max_objects: 0, ..Default::default() }), "max_objects is 0"),
        (Augmentation::CopyPaste(CopyPaste { rarity: f64::NAN, ..Default::default() }), "rarity is NaN"),
    ] {
        let flip = Augmentation::HorizontalFlip(HorizontalFlip::default());
        let kind = augmentation.kind();
        let error = transform(vec![flip, augmentation]).validate().unwrap_err().to_string();
        assert!(error.contains("transform.augmentations") && error.contains("entry 1"), "{error}");
        assert!(error.contains(kind) && error.contains(part), "{error}");
    }
    let empty = Arc::new(data(vec![image(1, 8, 8)], vec![]));
    let paste = transform(vec![Augmentation::CopyPaste(CopyPaste::default())]);
    let error = Augmenter::new(empty, paste).err().unwrap().to_string();
    assert!(error.contains("copy-paste") && error.contains("no box"), "{error}");
}

#[test]
fn colors_change_as_torchvision_changes_them() {
    // scripts/golden/color_jitter.py: torchvision's functions on floats, rounded once.
    #[derive(serde::Deserialize)]
    struct Golden {
        pixels: Vec<u8>,
        width: u32,
        height: u32,
        cases: Vec<Case>,
    }
    #[derive(serde::Deserialize)]
    struct Case {
        changes: Vec<(String, f32)>,
        expected: Vec<u8>,
    }
    let golden: Golden = serde_json::from_str(include_str!("../fixtures/color_jitter.json")).unwrap();
    for Case { changes, expected } in golden.cases {
        let parsed: Vec<ColorChange> = changes
            .iter()
            .map(|(name, amount)| match name.as_str() {
                "brightness" => ColorChange::Brightness(*amount),
                "contrast" => ColorChange::Contrast(*amount),
                "saturation" => ColorChange::Saturation(*amount),
                "hue" => ColorChange::Hue(*amount),
                other => panic!("{other}"),
            })
            .collect();
        let mut image =
            RgbImage { width: golden.width, height: golden.height, pixels: golden.pixels.clone() };
        change_colors(&mut image, &parsed);
        let worst = image.pixels.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(1), "{changes:?}: {worst:?}");
    }
}
