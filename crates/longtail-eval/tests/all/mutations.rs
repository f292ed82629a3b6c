//! Files with random bytes changed, cut out, doubled or cut off: every reader gives a result or an error, and
//! never panics. The fuzz targets do this for longer and with more wit; this runs with every test.

use std::{
    fs,
    path::{Path, PathBuf},
};

use longtail_eval::{Detections, GroundTruth, Partial, Protocol, Settings, Shard, evaluate, read_detections};
use longtail_formats::open_images::{
    Hierarchy, Prediction, read_boxes, read_classes, read_image_labels, read_predictions,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Mutants of a file.
const MUTANTS: u64 = 150;

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

/// Changes a few places.
fn mutate(bytes: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..rng.random_range(1..6) {
        if bytes.is_empty() {
            break;
        }
        let place = rng.random_range(0..bytes.len());
        let end = (place + rng.random_range(1..20)).min(bytes.len());
        match rng.random_range(0..7) {
            0 => bytes[place] = rng.random(),
            1 => bytes[place] ^= 1 << rng.random_range(0..8),
            2 => drop(bytes.drain(place..end)),
            3 => {
                let part = bytes[place..end].to_vec();
                bytes.splice(place..place, part);
            }
            4 => bytes[place] = *b"\"{}[],:-.eE0919 \n\r\\"[..].get(rng.random_range(0..20)).unwrap_or(&b'9'),
            5 => bytes[place..end].fill(if rng.random() { 0 } else { 0xff }),
            _ if rng.random_bool(0.2) => bytes.truncate(place),
            _ => {}
        }
    }
    bytes
}

/// Reads mutants of `bytes`; one at least must be accepted and one refused, or nothing was tried.
fn try_mutants(name: &str, bytes: &[u8], read: impl Fn(&Path) -> bool) {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    assert!(read(&path), "{name} itself is refused");
    let mut refused = 0;
    for seed in 0..MUTANTS {
        fs::write(&path, mutate(bytes, &mut ChaCha8Rng::seed_from_u64(seed))).unwrap();
        refused += u64::from(!read(&path));
    }
    assert!(refused > 0, "{name}: nothing was refused");
}

#[test]
fn detections() {
    let few =
        br#"[{"image_id": 1, "category_id": 2, "bbox": [0, 1.5, 1e1, 1], "score": 0.5, "x": {"a": [1]}},
        {"image_id":2,"category_id":2,"bbox":[0,0,1,1],"score":1}]"#;
    let lines = few.strip_prefix(b"[").unwrap().strip_suffix(b"]").unwrap();
    let lines = String::from_utf8_lossy(lines).replace("}},", "}}");
    let read = |path: &Path| read_detections(path).is_ok();
    try_mutants("list.json", few, read);
    try_mutants("lines.jsonl", lines.as_bytes(), read);
    try_mutants("list.json.zst", &zstd::encode_all(&few[..], 1).unwrap(), read);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, few).unwrap();
    try_mutants("list.json.gz", &gzip.finish().unwrap(), read);
}

#[test]
fn parquet() {
    for codec in ["snappy", "zstd", "gzip", "lz4"] {
        let bytes = fixture(&format!("parquet/{codec}.parquet"));
        try_mutants("d.parquet", &bytes, |path| read_detections(path).is_ok());
    }
}

#[test]
fn annotations() {
    for name in ["lvis/tiny_gt.json", "coco/small_gt_dataset.json"] {
        try_mutants("truth.json", &fixture(name), |path| match longtail_formats::read_annotations(path) {
            Ok(set) => {
                // Scoring may refuse what reading lets pass.
                Protocol::ALL.into_iter().for_each(|protocol| drop(evaluate(protocol, &set, &[])));
                true
            }
            Err(_) => false,
        });
    }
}

#[test]
fn partial_results() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truth.json");
    fs::write(&path, fixture("coco/small_gt_dataset.json")).unwrap();
    let truth = GroundTruth::new(&longtail_formats::read_annotations(&path).unwrap()).unwrap();
    let mut all = Detections::new(&truth, Shard::WHOLE);
    fs::write(&path, fixture("coco/small_dt_dataset.json")).unwrap();
    all.read(&path).unwrap();
    Partial::new(&all, Shard::WHOLE, &Settings::strict(Protocol::Coco)).unwrap().write(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    try_mutants("1.safetensors", &bytes, |path| match Partial::read(path) {
        Ok(part) => {
            drop(Partial::merge(vec![part]).map(|whole| whole.report(None)));
            true
        }
        Err(_) => false,
    });
}

#[test]
fn open_images() {
    let boxes = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf\n1,x,/m/1,1,0.1,0.2,0,1,-1\r\n\
                 \"2\",,\"a,b\",0.5,1e-3,2,0,1,0\n";
    try_mutants("boxes.csv", boxes.as_bytes(), |path| read_boxes(path).is_ok());
    let labels = "ImageID,Source,LabelName,Confidence\n1,verification,/m/1,1\n2,machine,/m/2,0.7\n";
    try_mutants("labels.csv", labels.as_bytes(), |path| read_image_labels(path).is_ok());
    let classes = "LabelName,DisplayName\n/m/1,Cat\n/m/2,\"a \"\"b\"\", c\"\n";
    try_mutants("classes.csv", classes.as_bytes(), |path| read_classes(path).is_ok());
    let map = "# x\nitem {\n name: \"/m/1\" id: 1, display_name: 'a\\\"b' }\nitem < name: \"x\"; id: 2 other: 3.5 >";
    try_mutants("map.pbtxt", map.as_bytes(), |path| read_classes(path).is_ok());
    let predictions = "ImageID,LabelName,Score,XMin,XMax,YMin,YMax\n1,/m/1,0.5,0,1,0,1\n2,/m/2,1e-3,0.1,0.25,.5,1\r\n\n3,x,1,0,1,0,1\n";
    let row = |p: &Prediction<'_>| Ok(Some(p.score));
    try_mutants("predictions.csv", predictions.as_bytes(), |path| read_predictions(path, row).is_ok());
    let tree = r#"{"LabelName":"a","Subcategory":[{"LabelName":"b"},{"LabelName":"c","Part":[{"LabelName":"w"}],
        "Subcategory":[{"LabelName":"d"},{"LabelName":"b"}]}]}"#;
    try_mutants("tree.json", tree.as_bytes(), |path| Hierarchy::read(path).is_ok());
}
