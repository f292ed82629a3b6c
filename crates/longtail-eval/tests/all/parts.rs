//! Images split over machines give the same bits as one run.

use crate::common::named;
use std::path::{Path, PathBuf};

use longtail_eval::{Detections, Evaluation, GroundTruth, Partial, Protocol, Settings, Shard};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn part(truth: &GroundTruth, results: &Path, protocol: Protocol, shard: &str, folder: &Path) -> PathBuf {
    let shard: Shard = shard.parse().unwrap();
    let mut detections = Detections::new(truth, shard);
    detections.read(results).unwrap();
    let path = folder.join(format!("{}.safetensors", shard.to_string().replace('/', "-of-")));
    Partial::new(&detections, shard, &Settings::strict(protocol)).unwrap().write(&path).unwrap();
    path
}

fn merged(paths: &[PathBuf]) -> Result<Evaluation, String> {
    let parts = paths.iter().map(|path| Partial::read(path)).collect::<Result<_, _>>();
    parts.and_then(Partial::merge).map_err(|error| error.to_string())
}

#[test]
fn parts_make_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    for (protocol, truth, results) in [
        (Protocol::Lvis, "lvis/gt_val100_boxes.json", "lvis/dt_b_score_ties.json"),
        (Protocol::Coco, "coco/gt_val2014_100.json", "coco/dt_val2014_fakebbox100.json"),
    ] {
        let truth =
            GroundTruth::new(&longtail_formats::read_annotations(&fixtures().join(truth)).unwrap()).unwrap();
        let results = fixtures().join(results);
        let mut detections = Detections::new(&truth, Shard::WHOLE);
        detections.read(&results).unwrap();
        let whole = Evaluation::new(&detections, &Settings::strict(protocol)).unwrap().report(None);
        assert!(whole.metric(&named("AP")).unwrap() > 0.1);
        for of in [1, 3, 7] {
            // In any order.
            let shards = (1..=of).rev().map(|number| format!("{number}/{of}"));
            let paths: Vec<PathBuf> =
                shards.map(|shard| part(&truth, &results, protocol, &shard, folder.path())).collect();
            assert_eq!(merged(&paths).unwrap().report(None), whole);
        }
    }
}

#[test]
fn parts_that_make_no_whole_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let truth = longtail_formats::read_annotations(&fixtures().join("lvis/gt_val100_boxes.json")).unwrap();
    let results = fixtures().join("lvis/dt_b_score_ties.json");
    let indexed = GroundTruth::new(&truth).unwrap();
    let one = part(&indexed, &results, Protocol::Lvis, "1/3", folder.path());
    let two = part(&indexed, &results, Protocol::Lvis, "2/3", folder.path());
    let fails = |paths: &[&PathBuf], reason: &str| {
        let paths: Vec<PathBuf> = paths.iter().map(|path| (*path).clone()).collect();
        let error = merged(&paths).unwrap_err();
        assert!(error.contains(reason), "{error}");
    };
    fails(&[&one, &two], "3/3 missing");
    fails(&[&one, &two, &two], "part 2/3 is there twice");
    let mut other = truth.clone();
    other.annotations[5].bbox[0] += 1.0;
    let other = GroundTruth::new(&other).unwrap();
    let three = part(&other, &results, Protocol::Lvis, "3/3", folder.path());
    fails(&[&one, &two, &three], "differ in ground truth");

    let bytes = std::fs::read(&one).unwrap();
    let damaged = folder.path().join("damaged.safetensors");
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    std::fs::write(&damaged, &flipped).unwrap();
    fails(&[&damaged], "checksum");
    for length in [0, 7, 100, bytes.len() - 1] {
        std::fs::write(&damaged, &bytes[..length]).unwrap();
        assert!(merged(std::slice::from_ref(&damaged)).is_err(), "{length} bytes");
    }
    let detections = Detections::new(&indexed, Shard::WHOLE);
    let fixed = Partial::new(&detections, Shard::WHOLE, &Settings::strict(Protocol::LvisFixed));
    assert!(fixed.unwrap_err().to_string().contains("run it whole"));
    for text in ["0/3", "4/3", "1", "a/b", "1/0"] {
        assert!(text.parse::<Shard>().is_err(), "{text}");
    }
}
