//! The Open Images protocol: the challenge's own cases, and a slow implementation of the rules on random sets.

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use longtail_data::open_images::{
    Hierarchy, HierarchyNode, ImageLabel, OpenImagesBox, OpenImagesClass, Prediction, expand_boxes,
    expand_image_labels,
};
use longtail_eval::{
    ClassBins, EvalError, EvalReport, OpenImagesEvaluation, OpenImagesPredictions, OpenImagesTruth,
};
use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// x min, y min, x max, y max.
type Corners = [f64; 4];

fn truth_box(image: &str, label: &str, corners: Corners, group: bool) -> OpenImagesBox {
    let [x_min, y_min, x_max, y_max] = corners;
    OpenImagesBox {
        image_id: image.into(),
        label: label.into(),
        source: None,
        confidence: None,
        x_min,
        x_max,
        y_min,
        y_max,
        is_occluded: None,
        is_truncated: None,
        is_group_of: Some(group),
        is_depiction: None,
        is_inside: None,
    }
}

fn image_label(image: &str, label: &str, present: bool) -> ImageLabel {
    let confidence = f64::from(u8::from(present));
    ImageLabel { image_id: image.into(), label: label.into(), source: None, confidence }
}

/// A prediction with its own texts.
#[derive(Debug, Clone)]
struct Found {
    image: String,
    label: String,
    score: f64,
    corners: Corners,
}

impl Found {
    fn borrowed(&self) -> Prediction<'_> {
        let [x_min, y_min, x_max, y_max] = self.corners;
        let (image_id, label, score) = (self.image.as_str(), self.label.as_str(), self.score);
        Prediction { image_id, label, score, x_min, x_max, y_min, y_max }
    }
}

fn found(image: &str, label: &str, score: f64, corners: Corners) -> Found {
    Found { image: image.into(), label: label.into(), score, corners }
}

fn classes(labels: &[&str]) -> Vec<OpenImagesClass> {
    let class = |(label, id): (&&str, i64)| OpenImagesClass {
        id,
        label: (*label).to_owned(),
        name: format!("name of {label}"),
    };
    labels.iter().zip(1..).map(class).collect()
}

fn score(
    boxes: &[OpenImagesBox],
    labels: &[ImageLabel],
    classes: Option<Vec<OpenImagesClass>>,
    predictions: &[Found],
    weight: f64,
) -> Result<EvalReport, EvalError> {
    let truth = OpenImagesTruth::new("truth".into(), boxes, labels, classes)?;
    let mut all = OpenImagesPredictions::new(&truth);
    let borrowed: Vec<Prediction<'_>> = predictions.iter().map(Found::borrowed).collect();
    all.extend(&borrowed)?;
    Ok(OpenImagesEvaluation::new(&all, weight)?.report(None))
}

/// AP50 by label.
fn by_label(report: &EvalReport) -> BTreeMap<String, Option<f64>> {
    report.per_category.iter().map(|c| (c.label.clone().unwrap(), c.ap50)).collect()
}

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
        near(report.metric("mAP50"), &case["expected"]["mAP@0.5"]);
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

/// A set with its predictions: ids of images sort otherwise as text than as numbers, classes have gaps in their ids.
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
            assert_eq!(bits(report.metric("mAP50")), bits(mean), "seed {seed}, weight {weight}");
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

// Single rules.

const A: Corners = [0.0, 0.0, 0.5, 0.5];
const FAR: Corners = [0.6, 0.6, 0.9, 0.9];

#[test]
fn of_equal_scores_the_later_takes_the_box_and_the_earlier_ranks_first() {
    let score = |predictions: &[Found]| {
        score(&[truth_box("1", "a", A, false)], &[], None, predictions, 1.0).unwrap().metric("mAP50")
    };
    // Equal scores are turned round twice: in the image, and in the class.
    assert_eq!(score(&[found("1", "a", 0.5, A), found("1", "a", 0.5, FAR)]), Some(1.0));
    assert_eq!(score(&[found("1", "a", 0.5, FAR), found("1", "a", 0.5, A)]), Some(0.5));
    // Both are on the box; the later takes it, and the other, now wrong, ranks before it.
    assert_eq!(score(&[found("1", "a", 0.5, A), found("1", "a", 0.5, A)]), Some(0.5));
}

#[test]
fn there_is_no_second_choice_of_box() {
    let near = [0.0, 0.0, 0.5, 0.45];
    let boxes = [truth_box("1", "a", A, false), truth_box("1", "a", near, false)];
    // Both prefer the first box; the second overlaps by 0.9 too.
    let predictions = [found("1", "a", 0.9, A), found("1", "a", 0.8, A)];
    assert_eq!(score(&boxes, &[], None, &predictions, 1.0).unwrap().metric("mAP50"), Some(0.5));
}

#[test]
fn groups_absorb_and_count_by_their_weight() {
    let whole = [0.0, 0.0, 1.0, 1.0];
    let boxes = [truth_box("1", "a", whole, true), truth_box("2", "a", A, false)];
    let predictions = [
        found("1", "a", 0.9, A),
        found("1", "a", 0.8, FAR),
        found("2", "a", 0.7, A),
        found("2", "a", 0.95, FAR),
    ];
    // Weight 0: one box, found after a wrong one. Weight 1: two boxes, the group at 0.9 and the box at 0.7.
    assert_eq!(score(&boxes, &[], None, &predictions, 0.0).unwrap().metric("mAP50"), Some(0.5));
    let with_groups = score(&boxes, &[], None, &predictions, 1.0).unwrap();
    assert_eq!(with_groups.metric("mAP50"), Some(2.0 / 3.0));
    assert_eq!(with_groups.per_category[0].ground_truth, 2);
    assert!(score(&boxes, &[], None, &predictions, f64::NAN).unwrap_err().to_string().contains("weight NaN"));
}

#[test]
fn only_verified_classes_are_scored() {
    let boxes = [truth_box("1", "a", A, false), truth_box("2", "b", A, false)];
    let wrong = [found("2", "a", 0.9, A), found("1", "a", 0.5, A), found("none", "a", 1.0, A)];
    let run = |labels: &[ImageLabel]| by_label(&score(&boxes, labels, None, &wrong, 1.0).unwrap())["a"];
    assert_eq!(run(&[]), Some(1.0));
    assert_eq!(run(&[image_label("2", "a", false)]), Some(0.5));
    assert_eq!(run(&[image_label("2", "a", true)]), Some(0.5));
}

#[test]
fn at_most_ten_thousand_of_an_image_and_class_are_scored() {
    let boxes = [truth_box("1", "a", A, false)];
    let mut predictions = vec![found("1", "a", 0.9, FAR); 9_999];
    predictions.push(found("1", "a", 0.5, A));
    let run =
        |predictions: &[Found]| score(&boxes, &[], None, predictions, 1.0).unwrap().metric("mAP50").unwrap();
    assert_eq!(run(&predictions), 1.0 / 10_000.0);
    predictions.insert(0, found("1", "a", 0.9, FAR));
    assert_eq!(run(&predictions), 0.0);
}

#[test]
fn a_class_without_boxes_has_no_value_and_one_without_predictions_has_0() {
    let labels = [image_label("1", "c", false)];
    let report =
        score(&[truth_box("1", "a", A, false)], &labels, Some(classes(&["a", "b", "c"])), &[], 1.0).unwrap();
    assert_eq!(by_label(&report).into_values().collect::<Vec<_>>(), [Some(0.0), None, None]);
    assert_eq!(report.metric("mAP50"), Some(0.0));
    assert_eq!(report.per_category[1].name, "name of b");
    let none = score(&[], &labels, None, &[], 1.0).unwrap();
    assert_eq!(none.metrics["mAP50"], None);
}

#[test]
fn expansion_and_frequency_groups_change_what_is_meant() {
    let node =
        |label: &str, subcategories| HierarchyNode { label: label.into(), subcategories, parts: vec![] };
    let root = node("entity", vec![node("animal", vec![node("cat", vec![]), node("dog", vec![])])]);
    let tree = Hierarchy::new(root).unwrap();
    let boxes = [truth_box("1", "cat", A, false), truth_box("1", "dog", A, false)];
    let boxes = expand_boxes(&tree, &boxes).unwrap();
    let labels = expand_image_labels(&tree, &[image_label("2", "animal", false)]).unwrap();
    let predictions = [found("1", "animal", 0.9, A), found("1", "cat", 0.9, A), found("2", "cat", 0.95, A)];
    let mut truth = OpenImagesTruth::new("x".into(), &boxes, &labels, None).unwrap();
    let training: Vec<OpenImagesBox> = (0..20).map(|n| truth_box(&n.to_string(), "cat", A, n > 14)).collect();
    let counts = truth.image_counts(&training);
    truth.set_frequencies(&counts).unwrap();
    let mut all = OpenImagesPredictions::new(&truth);
    all.extend(&predictions.iter().map(Found::borrowed).collect::<Vec<_>>()).unwrap();
    let bins = ClassBins::new(counts, vec![10]).unwrap();
    let report = OpenImagesEvaluation::new(&all, 1.0).unwrap().report(Some(&bins));
    // Two boxes of an animal, one found; the cat of image 2 is verified absent; no dog was found.
    let expected = BTreeMap::from([("animal", Some(0.5)), ("cat", Some(0.5)), ("dog", Some(0.0))]);
    assert_eq!(by_label(&report), expected.into_iter().map(|(l, v)| (l.to_owned(), v)).collect());
    // Fifteen training images of cats without groups; none of the others.
    assert_eq!(report.metric("mAP50c"), Some(0.5));
    assert_eq!((report.metric("mAP50r"), report.metrics.get("mAP50f")), (Some(0.25), None));
    assert_eq!((report.metric("mAP50[0-10]"), report.metric("mAP50[>10]")), (Some(0.25), Some(0.5)));
    let error = truth.set_frequencies(&truth.image_counts(&[])).unwrap_err().to_string();
    assert!(error.contains("same data set"), "{error}");
}

#[test]
fn bad_input_is_named() {
    let good = truth_box("1", "a", A, false);
    let says = |result: Result<EvalReport, EvalError>, parts: &[&str]| {
        let error = result.unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in `{error}`");
        }
    };
    let swapped = truth_box("1", "a", [0.5, 0.0, 0.1, 1.0], false);
    says(score(&[good.clone(), swapped], &[], None, &[], 1.0), &["box 1", "XMin 0.5 is above XMax 0.1"]);
    let infinite = truth_box("1", "a", [0.0, 0.0, f64::INFINITY, 1.0], false);
    says(score(&[infinite], &[], None, &[], 1.0), &["box 0", "not all finite"]);
    let machine = ImageLabel { confidence: 0.7, ..image_label("1", "a", true) };
    says(
        score(std::slice::from_ref(&good), &[machine], None, &[], 1.0),
        &["image-level label 0", "0.7", "machines"],
    );
    says(score(&[], &[], None, &[], 1.0), &["neither boxes nor image-level labels"]);
    let known = || Some(classes(&["a"]));
    says(
        score(&[good.clone(), truth_box("1", "b", A, false)], &[], known(), &[], 1.0),
        &["box 1", "`b` is not among the classes"],
    );
    says(
        score(std::slice::from_ref(&good), &[image_label("1", "b", true)], known(), &[], 1.0),
        &["image-level label 0", "`b`"],
    );
    let boxes = std::slice::from_ref(&good);
    says(
        score(boxes, &[], known(), &[found("1", "a", 0.5, A), found("1", "b", 0.5, A)], 1.0),
        &["detection 1", "`b`"],
    );
    assert!(score(boxes, &[], None, &[found("1", "b", 0.5, A)], 1.0).is_ok());
    says(score(boxes, &[], None, &[found("1", "a", f64::NAN, A)], 1.0), &["detection 0", "not finite"]);
    let huge = vec![OpenImagesClass { id: i64::MAX, label: "a".into(), name: "a".into() }];
    says(score(boxes, &[], Some(huge), &[], 1.0), &["id 9223372036854775807", "too large"]);
}

// Files of predictions.

const HEADER: &str = "ImageID,LabelName,Score,XMin,XMax,YMin,YMax\n";

fn read(text: &[u8], rows: &mut u64) -> Result<EvalReport, EvalError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("predictions.csv");
    fs::write(&path, text).unwrap();
    let boxes = [truth_box("1", "a", A, false), truth_box("2", "b,c", A, false)];
    let truth = OpenImagesTruth::new("x".into(), &boxes, &[], Some(classes(&["a", "b,c", "d"]))).unwrap();
    let mut all = OpenImagesPredictions::new(&truth);
    all.read(&path)?;
    *rows = all.len() as u64;
    Ok(OpenImagesEvaluation::new(&all, 1.0)?.report(None))
}

#[test]
fn large_files_are_read_in_parts_with_the_same_result() {
    // Several parts of 1 MiB; among them rows that are not scored.
    let mut text = HEADER.to_owned();
    for n in 0..120_000 {
        let label = if n % 3 == 0 { "d" } else { "a" };
        text.push_str(&format!("1,{label},0.{},0,0.5,0,0.{}\n", n * 7919 % 100_000, 1 + n % 7));
    }
    assert!(text.len() > 2_500_000);
    let mut rows = 0;
    let plain = read(text.as_bytes(), &mut rows).unwrap();
    assert_eq!(rows, 80_000);
    let value = plain.per_category[0].ap50.unwrap();
    assert!(value > 0.0);
    // Quotes, and other line ends, take the other way of reading.
    let quoted = text.replace("\n1,", "\n\"1\",");
    assert_eq!(read(quoted.as_bytes(), &mut rows).unwrap(), plain);
    let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    assert_eq!(read(windows.as_bytes(), &mut rows).unwrap(), plain);
    let old_mac = text.replace('\n', "\r");
    assert_eq!(read(old_mac.as_bytes(), &mut rows).unwrap(), plain);
    // A mistake far inside is found with its line.
    let mut lines: Vec<&str> = text.lines().collect();
    lines[90_000] = "1,x,0.5,0,0.5,0,0.5";
    for end in ["\n", "\r\n", "\n\n"] {
        let error = read(lines.join(end).as_bytes(), &mut rows).unwrap_err().to_string();
        let line = if end == "\n\n" { 180_001 } else { 90_001 };
        let expected = format!("predictions.csv, line {line}: label `x` is not among");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn broken_predictions_are_named_with_their_line() {
    let mut rows = 0;
    for (text, parts) in [
        (String::new(), vec!["line 1", "the file is empty"]),
        ("ImageID,LabelName,Conf,XMin,XMax,YMin,YMax\n".into(), vec!["column `Score` is missing", "Conf"]),
        (format!("{HEADER}1,a,0.5,0,0.5,0\n"), vec!["line 2", "6 fields"]),
        (format!("{HEADER}1,a,0,5,0,0.5,0,0.5\n"), vec!["line 2", "8 fields", "decimal commas"]),
        (format!("{HEADER}1,a,0.5,0,0.5,0,0.5\n\n1,a,nan,0,0.5,0,0.5\n"), vec!["line 4", "`Score` is `nan`"]),
        (format!("{HEADER}1,a,1e999,0,0.5,0,0.5\n"), vec!["line 2", "`Score`"]),
        (
            format!("{HEADER}1,\"b,c\",0.5,0,0.5,0,0.5\n1,e,0.5,0,0.5,0,0.5\n"),
            vec!["line 3", "`e` is not among"],
        ),
        (format!("{HEADER},a,0.5,0,0.5,0,0.5\n"), vec!["line 2", "`ImageID` is empty"]),
    ] {
        let error = read(text.as_bytes(), &mut rows).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in `{error}`");
        }
    }
    // No row at all: every class with boxes scores 0.
    assert_eq!(read(HEADER.as_bytes(), &mut rows).unwrap().metric("mAP50"), Some(0.0));
    assert_eq!(read(HEADER.trim_end().as_bytes(), &mut rows).unwrap().metric("mAP50"), Some(0.0));
}
