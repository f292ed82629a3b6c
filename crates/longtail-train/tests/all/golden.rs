//! What the tests against golden vectors of whole detectors share: the settings of the scripts, and comparisons.

use std::{collections::BTreeMap, path::PathBuf};

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Device, Gradients, Tensor, TensorData},
};
use longtail_data::Targets;
use longtail_detect::{Detections, FasterRcnn, ImageBatch};
use longtail_train::{
    DeviceChoice,
    parameters::{enter, leave, restore},
    weights::{Imported, Request, import},
};
use longtail_weights::{Array, Arrays, Fate, ImportOptions, Naming, WeightFile, transfer};
use serde::Deserialize;

/// The device under test: that of `LONGTAIL_TEST_DEVICE`, or the first GPU that this build and machine have, or the processor.
pub fn device() -> Device {
    let name = std::env::var("LONGTAIL_TEST_DEVICE").unwrap_or_else(|_| "auto".into());
    name.parse::<DeviceChoice>().unwrap().open().unwrap()
}

pub const CLASSES: usize = 5;
pub const SIZES: [[u32; 2]; 2] = [[96, 128], [90, 120]];

/// A training step's truth and losses by the script's names.
#[derive(Deserialize)]
pub struct Training {
    targets: Vec<Truth>,
    pub losses: Vec<BTreeMap<String, f64>>,
}

#[derive(Deserialize)]
struct Truth {
    boxes: Vec<[f32; 4]>,
    /// From 1.
    labels: Vec<u32>,
}

impl Training {
    pub fn read(name: &str) -> Self {
        serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap()
    }

    pub fn targets(&self) -> Vec<Targets> {
        let targets = |truth: &Truth| Targets {
            boxes: truth.boxes.clone(),
            labels: truth.labels.iter().map(|label| label - 1).collect(),
            ..Targets::default()
        };
        self.targets.iter().map(targets).collect()
    }
}

pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// A detector of the scripts with their settings and `more`.
pub fn detector(model: &str, more: &[&str], device: &Device) -> (FasterRcnn, Imported) {
    let settings = [
        "detector.rpn.pre_nms_train=100",
        "detector.rpn.post_nms_train=60",
        "detector.rpn.pre_nms_test=80",
        "detector.rpn.post_nms_test=40",
        "detector.rpn.samples=1000000",
        "detector.roi_head.samples=4000",
        "test.max_detections=50",
    ];
    let overrides = settings.iter().chain(more).map(|s| (*s).to_owned()).collect();
    let imported = import(&path(model), &Request { overrides, ..Request::default() }).unwrap();
    assert!(imported.description.complete);
    assert!(imported.rows.iter().all(|row| row.fate == Fate::Loaded), "{:?}", imported.rows);
    let detector = imported.description.detector.init(CLASSES, CLASSES + 1, 0, device);
    (restore(detector, &imported.checkpoint.model).unwrap(), imported)
}

pub fn images(outputs: &BTreeMap<&str, &longtail_weights::Tensor>, device: &Device) -> ImageBatch {
    let pixels: Vec<f32> = outputs["pixels"].to_f32().iter().map(|v| v / 10.0).collect();
    let pixels = Tensor::from_data(TensorData::new(pixels, [2, 3, 96, 128]), device);
    ImageBatch { pixels, sizes: SIZES.to_vec() }
}

pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec::<f32>().unwrap()
}

/// Largest difference over the largest value.
pub fn assert_relative(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let worst = found.iter().zip(expected).fold(0.0_f32, |m, (f, e)| m.max((f - e).abs()));
    assert!(worst <= tolerance * largest, "{what}: off by {worst} where the largest value is {largest}");
}

/// Boxes within 0.05 pixels, scores within 1e-4, the same labels, of which the script's first is `first_label`.
pub fn assert_detections(
    found: &[Detections],
    outputs: &BTreeMap<&str, &longtail_weights::Tensor>,
    first_label: f32,
) {
    for (image, found) in found.iter().enumerate() {
        let expected = |key: &str| outputs[format!("{key}.{image}").as_str()].to_f32();
        assert_eq!(found.scores.len(), expected("scores").len());
        let labels: Vec<f32> = found.labels.iter().map(|&label| label as f32 + first_label).collect();
        assert_eq!(labels, expected("labels"));
        for (f, e) in found.scores.iter().zip(expected("scores")) {
            assert!((f - e).abs() < 1e-4, "{f} is not {e}");
        }
        for (f, e) in found.boxes.iter().flatten().zip(expected("boxes")) {
            assert!((f - e).abs() < 0.05, "{f} is not {e}");
        }
    }
}

/// Gradients by path.
pub fn gradients_of(detector: &FasterRcnn, gradients: &Gradients) -> Arrays {
    struct Collect<'a> {
        path: Vec<String>,
        gradients: &'a Gradients,
        found: Arrays,
    }
    impl ModuleVisitor for Collect<'_> {
        fn enter_module(&mut self, name: &str, container: &str) {
            enter(&mut self.path, name, container);
        }
        fn exit_module(&mut self, _name: &str, container: &str) {
            leave(&mut self.path, container);
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = param.val().grad(self.gradients) {
                let shape = gradient.dims().to_vec();
                self.found.insert(self.path.join("."), Array { shape, values: values(gradient) });
            }
        }
    }
    let mut collect = Collect { path: Vec::new(), gradients, found: Arrays::new() };
    detector.visit(&mut collect);
    collect.found
}

/// The tensors of a golden file in our layout and under our paths.
pub fn golden(name: &str, naming: Naming, wanted: &Arrays) -> Arrays {
    let file = WeightFile::read(&path(name)).unwrap();
    transfer::import(&file, naming, wanted, &ImportOptions::default()).unwrap().arrays
}
