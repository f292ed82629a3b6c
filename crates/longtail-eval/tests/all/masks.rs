//! Masks and boundaries against the numbers of `pycocotools` 2.0.11 and PyPI `lvis` 0.5.3, bit for bit, from
//! files, in memory, batch by batch and in parts.
//!
//! `LONGTAIL_EVAL_FIXTURES` may name a folder with more cases in the same layout.

use std::{collections::HashMap, fs, path::Path};

use longtail_eval::{
    Chosen, Detections, Evaluation, GroundTruth, IouType, MaskBatch, MaskDetection, MaskedSet, Partial,
    Settings, Shard, StreamingEvaluation, reading::ground_truth::open_masked_ground_truth,
};
use longtail_formats::ReadOptions;
use longtail_mask::Segmentation;
use serde_json::Value;

use crate::references::{assert_arrays, assert_same, folders, json};

struct Case {
    name: String,
    settings: Settings,
    expected: Value,
    folder: tempfile::TempDir,
}

impl Case {
    fn truth(&self) -> MaskedSet {
        open_masked_ground_truth(&self.folder.path().join("truth.json"), &ReadOptions::default()).unwrap()
    }

    fn detections(&self) -> Vec<MaskDetection> {
        serde_json::from_value(self.expected["detections"].clone()).unwrap()
    }

    fn masks(&self) -> Vec<Option<Segmentation>> {
        let annotations = self.expected["truth"]["annotations"].as_array().unwrap();
        annotations.iter().map(|a| Some(serde_json::from_value(a["segmentation"].clone()).unwrap())).collect()
    }

    fn check(&self, how: &str, evaluation: &Evaluation) {
        let name = format!("{} {how}", self.name);
        assert_same(&name, &evaluation.report(None), &self.expected);
        assert_arrays(&name, evaluation, &self.expected);
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for folder in folders() {
        let path = folder.join("masks/cases.json");
        if !path.exists() {
            continue;
        }
        for (index, expected) in json(&path).as_array().unwrap().iter().enumerate() {
            let of = |field: &str| expected[field].as_str().unwrap();
            let mut settings = Settings::strict(of("protocol").parse().unwrap());
            settings.iou_type = of("iou_type").parse().unwrap();
            let folder = tempfile::tempdir().unwrap();
            for field in ["truth", "detections"] {
                let path = folder.path().join(format!("{field}.json"));
                fs::write(path, expected[field].to_string()).unwrap();
            }
            let name = format!("{} {} {index}", of("protocol"), of("iou_type"));
            cases.push(Case { name, settings, expected: expected.clone(), folder });
        }
    }
    assert!(cases.len() >= 12);
    cases
}

fn results(folder: &Path) -> std::path::PathBuf {
    folder.join("detections.json")
}

#[test]
fn files_have_the_references_bits() {
    for case in cases() {
        let truth = GroundTruth::masked(&case.truth(), &Chosen::default()).unwrap();
        let path = results(case.folder.path());
        case.check("streamed", &Evaluation::read(&truth, &path, &case.settings).unwrap());
        let mut whole = Detections::new(&truth, Shard::WHOLE);
        whole.read(&path).unwrap();
        case.check("whole", &Evaluation::new(&whole, &case.settings).unwrap());
    }
}

#[test]
fn memory_and_batches_have_the_same_bits() {
    for case in cases() {
        let (read, detections) = (case.truth(), case.detections());
        let masked = MaskedSet::new(read.set.clone(), case.masks()).unwrap();
        let truth = GroundTruth::masked(&masked, &Chosen::default()).unwrap();
        let mut all = Detections::new(&truth, Shard::WHOLE);
        all.extend_masks(&detections).unwrap();
        case.check("in memory", &Evaluation::new(&all, &case.settings).unwrap());

        let masks = case.masks();
        let mut of_image: HashMap<i64, (Vec<_>, Vec<_>, Vec<_>)> = HashMap::new();
        for (annotation, mask) in read.set.annotations.iter().zip(&masks) {
            let entry = of_image.entry(annotation.image_id).or_default();
            entry.0.push(annotation.clone());
            entry.1.push(mask.clone());
        }
        for detection in &detections {
            of_image.entry(detection.image_id).or_default().2.push(detection.clone());
        }
        let mut arriving = StreamingEvaluation::new(&read.set.categories, &case.settings).unwrap();
        let mut known = StreamingEvaluation::for_truth(&truth, &case.settings).unwrap();
        for image in read.set.images.iter().rev() {
            let (annotations, segmentations, detections) = of_image.remove(&image.id).unwrap_or_default();
            let batch = MaskBatch {
                images: std::slice::from_ref(image),
                annotations: &annotations,
                segmentations: &segmentations,
                detections: &detections,
            };
            arriving.update_masks(&batch).unwrap();
            known.update_known_masks(&truth, &[image.id], &detections).unwrap();
        }
        let arriving = StreamingEvaluation::from_bytes(&arriving.to_bytes().unwrap()).unwrap();
        case.check("arriving", &arriving.finish().unwrap());
        case.check("known", &known.finish().unwrap());
    }
}

#[test]
fn parts_have_the_same_bits() {
    for case in cases() {
        let truth = GroundTruth::masked(&case.truth(), &Chosen::default()).unwrap();
        let part = |number: usize| {
            let shard = Shard { number, of: 2 };
            let mut detections = Detections::new(&truth, shard);
            detections.read(&results(case.folder.path())).unwrap();
            let path = case.folder.path().join(format!("{number}.safetensors"));
            Partial::new(&detections, shard, &case.settings).unwrap().write(&path).unwrap();
            Partial::read(&path).unwrap()
        };
        case.check("in parts", &Partial::merge(vec![part(2), part(1)]).unwrap());
    }
}

#[test]
fn a_wide_boundary_is_the_whole_mask() {
    // Every pixel is near one outside: the boundaries' overlap is the masks'.
    for case in cases().iter().filter(|case| case.settings.iou_type == IouType::Segm) {
        let truth = GroundTruth::masked(&case.truth(), &Chosen::default()).unwrap();
        let mut settings = case.settings.clone();
        settings.iou_type = IouType::Boundary { dilation_ratio: 1.0 };
        let path = results(case.folder.path());
        case.check("wide boundary", &Evaluation::read(&truth, &path, &settings).unwrap());
    }
}
