//! Detectors against each other.

use crate::common::{annotation, detection, image, named, set};
use longtail_eval::{
    Bootstrap, Comparison, Detection, Detections, Evaluation, GroundTruth, Protocol, Settings, Shard,
    compare, compare_runs,
};

/// Forty images with a box of each class.
fn truth() -> GroundTruth {
    let annotations =
        (1..=40).flat_map(|i| (1..=3).map(move |class| annotation(3 * i + class, i, class, BOX)));
    GroundTruth::new(&set((1..=40).map(image).collect(), annotations.collect())).unwrap()
}

const BOX: [f64; 4] = [10.0, 10.0, 100.0, 100.0];

/// Finds class 2 and 3 everywhere, and class 1 in the first `found` images.
fn detector(found: i64) -> Vec<Detection> {
    let score = |image: i64| 0.5 + image as f64 / 100.0;
    let common = (1..=40).flat_map(|i| [2, 3].map(|class| detection(i, class, BOX, score(i))));
    common.chain((1..=found).map(|i| detection(i, 1, BOX, score(i)))).collect()
}

fn comparisons(settings: &Settings, found: &[i64], bootstrap: Bootstrap) -> Vec<Comparison> {
    let truth = truth();
    let evaluation = |found: &i64| {
        let mut detections = Detections::new(&truth, Shard::WHOLE);
        detections.extend(&detector(*found)).unwrap();
        Evaluation::new(&detections, settings).unwrap()
    };
    let evaluations: Vec<Evaluation> = found.iter().map(evaluation).collect();
    compare(&evaluations, bootstrap, &|| {}).unwrap()
}

#[test]
fn a_detector_equals_itself() {
    let settings = Settings::strict(Protocol::Lvis);
    let found = comparisons(&settings, &[20, 20], Bootstrap { resamples: 50, seed: 1 });
    for difference in found[0].metrics.values().chain(found[0].classes.iter().map(|c| &c.difference)) {
        assert_eq!((difference.value, difference.low, difference.high, difference.won), (0.0, 0.0, 0.0, 0.5));
        assert!(!difference.is_certain());
    }
    assert_eq!(found[0].metrics.len(), 4);
    assert_eq!(found[0].classes.len(), 3);
}

#[test]
fn a_gain_of_one_class_shows_where_it_is() {
    for protocol in [Protocol::Lvis, Protocol::LvisFixed, Protocol::Coco] {
        let found =
            comparisons(&Settings::strict(protocol), &[10, 30, 5], Bootstrap { resamples: 200, seed: 1 });
        let (better, worse) = (&found[0], &found[1]);
        let rare = better.metrics[&named("APr")];
        // Recall goes from 10 to 30 of 40: of 101 recall thresholds 26 are reached, then 76.
        assert!((rare.value - 50.0 / 101.0).abs() < 1e-9, "{}", rare.value);
        assert!(rare.is_certain() && rare.won == 1.0 && rare.low < rare.value && rare.value < rare.high);
        // A binomial share of 20 images in 40 has a standard deviation of 0.079: 95 % lie within 0.31.
        assert!((0.15..0.5).contains(&(rare.high - rare.low)), "{}", rare.high - rare.low);
        assert_eq!(better.metrics[&named("APf")].value, 0.0);
        assert_eq!((better.classes[0].category_id, better.classes[0].ground_truth), (1, 40));
        assert!(worse.metrics[&named("APr")].high <= 0.0 && worse.metrics[&named("APr")].won < 0.05);
        assert_eq!(worse.classes[2].category_id, 1);
    }
}

#[test]
fn the_seed_decides_and_threads_do_not() {
    let settings = Settings::strict(Protocol::Lvis);
    let run = |seed, threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| comparisons(&settings, &[10, 12], Bootstrap { resamples: 40, seed }))
    };
    assert_eq!(run(3, 1), run(3, 4));
    assert_ne!(run(3, 1)[0].metrics[&named("APr")], run(4, 1)[0].metrics[&named("APr")]);
}

#[test]
fn runs_are_averaged() {
    let truth = truth();
    let run = |found: [i64; 2]| -> Vec<Evaluation> {
        let evaluation = |found: i64| {
            let mut detections = Detections::new(&truth, Shard::WHOLE);
            detections.extend(&detector(found)).unwrap();
            Evaluation::new(&detections, &Settings::strict(Protocol::Lvis)).unwrap()
        };
        found.map(evaluation).into()
    };
    let bootstrap = Bootstrap { resamples: 100, seed: 2 };
    let alone = compare_runs(&[run([10, 30])], bootstrap).unwrap();
    let pair = compare(&run([10, 30]), bootstrap, &|| {}).unwrap();
    assert_eq!(alone[0], pair[0].metrics);
    // One run gains what the other loses.
    let both = compare_runs(&[run([10, 30]), run([30, 10])], bootstrap).unwrap();
    let rare = both[0][&named("APr")];
    assert!(rare.value.abs() < 1e-12 && rare.low < 0.0 && rare.high > 0.0 && !rare.is_certain());
    assert_eq!(rare.images, 80);
    assert!(compare_runs(&[run([10, 30]), vec![]], bootstrap).is_err());
    assert!(compare_runs(&[], bootstrap).is_err());
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let truth = truth();
    let detections = Detections::new(&truth, Shard::WHOLE);
    let evaluation = |protocol| Evaluation::new(&detections, &Settings::strict(protocol)).unwrap();
    let fails = |protocols: &[Protocol]| {
        let evaluations: Vec<Evaluation> = protocols.iter().map(|p| evaluation(*p)).collect();
        compare(&evaluations, Bootstrap::default(), &|| {}).unwrap_err().to_string()
    };
    assert!(fails(&[Protocol::Lvis]).contains("two or more"));
    assert!(fails(&[Protocol::Lvis, Protocol::Coco]).contains("same protocol"));
    assert!(fails(&[Protocol::LvisPooled; 2]).contains("cannot be resampled"));
}
