//! The Open Images protocol: the challenge's own cases, and a slow implementation of the rules on random
//! sets.

use crate::common::named;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use longtail_formats::open_images::{ImageLabel, OpenImagesBox, OpenImagesClass};
use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::common::open_images::{Corners, Found, by_label, found, image_label, score, truth_box};
// The challenge's own cases.

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn the_challenges_own_cases_come_out_equal() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/oid/cases.json");
    let cases: Vec<Value> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let mut scored = 0;
    for case in cases.iter().filter(|case| case["groundtruth"].is_array()) {
        let mut label_of = BTreeMap::new();
        let mut label_map = Vec::new();
        for category in list(case, "categories") {
            let (id, name) =
                (category["id"].as_i64().unwrap(), category["name"].as_str().unwrap().to_owned());
            label_map.push(OpenImagesClass { id, label: name.clone(), name: name.clone() });
            label_of.insert(id, name);
        }
        let (mut boxes, mut labels, mut predictions) = (Vec::new(), Vec::new(), Vec::new());
        // y min, x min, y max, x max.
        let corners = |value: &Value| {
            let v = numbers(value);
            [v[1], v[0], v[3], v[2]]
        };
        for image in list(case, "groundtruth") {
            let id = image["image"].as_str().unwrap();
            for (place, label) in list(image, "labels").iter().enumerate() {
                let group = image["is_group_of"][place].as_bool().unwrap_or(false);
                let label = &label_of[&label.as_i64().unwrap()];
                boxes.push(truth_box(id, label, corners(&image["boxes"][place]), group));
            }
            for label in list(image, "verified_labels") {
                labels.push(image_label(id, &label_of[&label.as_i64().unwrap()], true));
            }
        }
        for image in list(case, "detections") {
            for (place, label) in list(image, "labels").iter().enumerate() {
                let score = image["scores"][place].as_f64().unwrap();
                let label = &label_of[&label.as_i64().unwrap()];
                predictions.push(found(
                    image["image"].as_str().unwrap(),
                    label,
                    score,
                    corners(&image["boxes"][place]),
                ));
            }
        }
        let name = case["name"].as_str().unwrap();
        let weight = if name.ends_with("0.5") { 0.5 } else { 0.0 };
        let report = score(&boxes, &labels, Some(label_map), &predictions, weight).unwrap();
        // The tests of the original compare seven places.
        let near = |value: Option<f64>, expected: &Value| {
            assert!(
                (value.unwrap() - expected.as_f64().unwrap()).abs() < 1e-7,
                "{name}: {value:?}, {expected}"
            );
        };
        near(report.metric(&named("mAP50")), &case["expected"]["mAP@0.5"]);
        for (label, average_precision) in by_label(&report) {
            near(average_precision, &case["expected"][format!("AP@0.5/{label}")]);
            scored += 1;
        }
    }
    assert_eq!(scored, 6);
}

// The rules, slowly: written from the description alone, with other data structures.

/// Order of `values` by ascending value, ties as they are; then reversed.
fn reversed_argsort(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::new();
    for place in 0..values.len() {
        let before = order.iter().take_while(|&&other| values[other] <= values[place]).count();
        order.insert(before, place);
    }
    order.reverse();
    order
}

/// NumPy's sum, by its recursion on halves of multiples of 8.
fn numpy_sum(values: &[f64]) -> f64 {
    match values.len() {
        0..8 => values.iter().fold(0.0, |sum, value| sum + value),
        n @ 8..=128 => {
            let lane =
                |k: usize| values[..n - n % 8].iter().skip(k).step_by(8).fold(0.0, |sum, value| sum + value);
            let head =
                ((lane(0) + lane(1)) + (lane(2) + lane(3))) + ((lane(4) + lane(5)) + (lane(6) + lane(7)));
            values[n - n % 8..].iter().fold(head, |sum, value| sum + value)
        }
        n => {
            let half = (n / 2) / 8 * 8;
            numpy_sum(&values[..half]) + numpy_sum(&values[half..])
        }
    }
}

fn box_area(c: Corners) -> f64 {
    (c[3] - c[1]) * (c[2] - c[0])
}

fn shared(a: Corners, b: Corners) -> f64 {
    (a[3].min(b[3]) - a[1].max(b[1])).max(0.0) * (a[2].min(b[2]) - a[0].max(b[0])).max(0.0)
}

fn argmax(values: &[f64]) -> Option<usize> {
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    values.iter().position(|&value| value == most)
}

/// AP of each class by label (`None` without boxes that count), and their mean.
fn slowly(
    boxes: &[OpenImagesBox],
    labels: &[ImageLabel],
    classes: &[OpenImagesClass],
    predictions: &[Found],
    weight: f64,
) -> (BTreeMap<String, Option<f64>>, Option<f64>) {
    let images: BTreeSet<&str> =
        boxes.iter().map(|b| &*b.image_id).chain(labels.iter().map(|l| &*l.image_id)).collect();
    let mut average_precisions = BTreeMap::new();
    for class in classes {
        let (mut scores, mut right, mut countable) = (Vec::new(), Vec::new(), 0.0);
        for &image in &images {
            let here = |b: &&OpenImagesBox| &*b.image_id == image && *b.label == *class.label;
            let corners = |b: &OpenImagesBox| [b.x_min, b.y_min, b.x_max, b.y_max];
            let plain: Vec<Corners> =
                boxes.iter().filter(here).filter(|b| b.is_group_of != Some(true)).map(corners).collect();
            let groups: Vec<Corners> =
                boxes.iter().filter(here).filter(|b| b.is_group_of == Some(true)).map(corners).collect();
            countable += plain.len() as f64 + weight * groups.len() as f64;
            let labelled = labels.iter().any(|l| &*l.image_id == image && *l.label == *class.label);
            if plain.is_empty() && groups.is_empty() && !labelled {
                continue;
            }
            let mut mine: Vec<&Found> = predictions
                .iter()
                .filter(|p| p.image == image && p.label == class.label && p.score > -10.0)
                .filter(|p| p.corners[0] < p.corners[2] && p.corners[1] < p.corners[3])
                .collect();
            let order = reversed_argsort(&mine.iter().map(|p| p.score).collect::<Vec<_>>());
            mine = order.into_iter().take(10_000).map(|place| mine[place]).collect();
            let mut true_positive = vec![false; mine.len()];
            let mut taken = BTreeSet::new();
            for (d, p) in mine.iter().enumerate() {
                let iou = |g: &Corners| {
                    let i = shared(p.corners, *g);
                    i / (box_area(p.corners) + box_area(*g) - i)
                };
                let overlaps: Vec<f64> = plain.iter().map(iou).collect();
                if let Some(g) = argmax(&overlaps) {
                    true_positive[d] = overlaps[g] >= 0.5 && taken.insert(g);
                }
            }
            let mut absorbed = vec![false; mine.len()];
            let mut best_of_group = vec![0.0_f64; groups.len()];
            for (d, p) in mine.iter().enumerate().filter(|(d, _)| !true_positive[*d]) {
                let overlaps: Vec<f64> =
                    groups.iter().map(|g| shared(p.corners, *g) / box_area(p.corners)).collect();
                if let Some(g) = argmax(&overlaps).filter(|&g| overlaps[g] >= 0.5) {
                    absorbed[d] = true;
                    best_of_group[g] = best_of_group[g].max(p.score);
                }
            }
            for (d, p) in mine.iter().enumerate().filter(|(d, _)| !absorbed[*d]) {
                scores.push(p.score);
                right.push(if true_positive[d] { 1.0 } else { 0.0 });
            }
            for best in best_of_group.into_iter().filter(|&best| best > 0.0 && weight > 0.0) {
                scores.push(best);
                right.push(weight);
            }
        }
        let value = (countable > 0.0).then(|| {
            let (mut recall, mut precision) = (vec![0.0], vec![0.0]);
            let (mut t, mut f) = (0.0, 0.0);
            for place in reversed_argsort(&scores) {
                t += right[place];
                f += if right[place] <= 0.0 { 1.0 } else { 0.0 };
                recall.push(t / countable);
                precision.push(t / (t + f));
            }
            recall.push(1.0);
            precision.push(0.0);
            let envelope = |i: usize| precision[i..].iter().copied().fold(0.0, f64::max);
            let changes = (1..recall.len()).filter(|&i| recall[i] != recall[i - 1]);
            numpy_sum(&changes.map(|i| (recall[i] - recall[i - 1]) * envelope(i)).collect::<Vec<_>>())
        });
        average_precisions.insert(class.label.clone(), value);
    }
    let most = classes.iter().map(|class| class.id).max().unwrap();
    let value_of = |id: i64| {
        classes.iter().find(|class| class.id == id).and_then(|class| average_precisions[&class.label])
    };
    let values: Vec<f64> = (1..=most).map(|id| value_of(id).unwrap_or(0.0)).collect();
    let defined = average_precisions.values().flatten().count();
    let mean = (defined > 0).then(|| numpy_sum(&values) / defined as f64);
    (average_precisions, mean)
}

/// A coarse grid makes equal overlaps, and overlaps of exactly 0.5, likely.
fn any_corners(rng: &mut ChaCha8Rng) -> Corners {
    if rng.random_bool(0.7) {
        let (x, y) = (rng.random_range(0..4) as f64 / 8.0, rng.random_range(0..4) as f64 / 8.0);
        let (w, h) = (rng.random_range(1..5) as f64 / 8.0, rng.random_range(1..5) as f64 / 8.0);
        return [x, y, x + w, y + h];
    }
    let (x, y) = (rng.random_range(-0.1..0.9), rng.random_range(-0.1..0.9));
    [x, y, x + rng.random_range(0.0..0.5), y + rng.random_range(0.0..0.5)]
}

/// A set with its predictions: ids of images sort otherwise as text than as numbers, classes have gaps in
/// their ids.
struct Case {
    boxes: Vec<OpenImagesBox>,
    labels: Vec<ImageLabel>,
    classes: Vec<OpenImagesClass>,
    predictions: Vec<Found>,
}

fn any_case(rng: &mut ChaCha8Rng) -> Case {
    let count = *[1, 3, 8, 200].choose(rng).unwrap();
    let mut id = 0;
    let mut classes = Vec::new();
    for k in 0..count {
        id += rng.random_range(1..4);
        classes.push(OpenImagesClass {
            id,
            label: format!("/m/{}", 7 * k % count),
            name: format!("class {k}"),
        });
    }
    let images: Vec<String> = (0..rng.random_range(1..9)).map(|n| format!("{}", 3 * n + 5)).collect();
    let few: Vec<f64> = vec![0.0, -0.0, 0.25, 0.5, 0.5, 1.0, -0.5, -10.0, -9.5];
    let any_label = |rng: &mut ChaCha8Rng| {
        // The first classes occur often.
        let place = (rng.random_range(0.0..1.0_f64).powi(3) * count as f64) as usize;
        classes[place].label.clone()
    };
    let any_image = |rng: &mut ChaCha8Rng| images.choose(rng).unwrap().clone();
    let boxes: Vec<OpenImagesBox> = (0..rng.random_range(1..60))
        .map(|_| truth_box(&any_image(rng), &any_label(rng), any_corners(rng), rng.random_bool(0.3)))
        .collect();
    let labels = (0..rng.random_range(0..20))
        .map(|_| image_label(&any_image(rng), &any_label(rng), rng.random_bool(0.5)))
        .collect();
    let predictions = (0..rng.random_range(0..300))
        .map(|_| {
            let near = boxes.choose(rng).unwrap();
            let fits = rng.random_bool(0.7);
            let mut corners =
                if fits { [near.x_min, near.y_min, near.x_max, near.y_max] } else { any_corners(rng) };
            if rng.random_bool(0.5) {
                corners = corners.map(|v| v + rng.random_range(-0.05..0.05));
            }
            Found {
                image: if fits { near.image_id.to_string() } else { format!("{}", rng.random_range(0..30)) },
                label: if rng.random_bool(0.8) { near.label.to_string() } else { any_label(rng) },
                score: if rng.random_bool(0.5) { *few.choose(rng).unwrap() } else { rng.random() },
                corners,
            }
        })
        .collect();
    Case { boxes, labels, classes, predictions }
}

#[test]
fn random_sets_have_the_bits_of_the_slow_rules() {
    let (mut defined, mut right) = (0, 0);
    for seed in 0..1500 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let Case { boxes, labels, classes, predictions } = any_case(&mut rng);
        for weight in [0.0, 1.0, 0.3] {
            let report = score(&boxes, &labels, Some(classes.clone()), &predictions, weight).unwrap();
            let (expected, mean) = slowly(&boxes, &labels, &classes, &predictions, weight);
            let bits = |value: Option<f64>| value.map(f64::to_bits);
            for (label, value) in by_label(&report) {
                assert_eq!(
                    bits(value),
                    bits(expected[&label]),
                    "seed {seed}, weight {weight}, {label}: {value:?}, {:?}",
                    expected[&label]
                );
                defined += usize::from(value.is_some());
                right += usize::from(value.is_some_and(|value| value > 0.0));
            }
            assert_eq!(bits(report.metric(&named("mAP50"))), bits(mean), "seed {seed}, weight {weight}");
        }
    }
    assert!(defined > 10_000 && right > 5_000, "{defined}, {right}");
}

#[test]
fn the_number_of_threads_changes_nothing() {
    for seed in 0..20 {
        let Case { boxes, labels, classes, predictions } = any_case(&mut ChaCha8Rng::seed_from_u64(seed));
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| score(&boxes, &labels, Some(classes.clone()), &predictions, 1.0).unwrap())
        };
        assert_eq!(with(1), with(5));
    }
}

#[test]
fn the_order_of_images_changes_nothing() {
    for seed in 0..50 {
        let mut case = any_case(&mut ChaCha8Rng::seed_from_u64(seed));
        let run = |case: &Case| {
            score(&case.boxes, &case.labels, Some(case.classes.clone()), &case.predictions, 1.0).unwrap()
        };
        let first = run(&case);
        // Rows of an image stay in order.
        case.boxes.sort_by(|a, b| b.image_id.cmp(&a.image_id));
        case.labels.reverse();
        case.predictions.sort_by_key(|p| p.image.len());
        assert_eq!(run(&case), first);
    }
}
