//! A whole Faster R-CNN, imported from torchvision's names, against torchvision's numbers in float64
//! (`scripts/golden/faster_rcnn.py`): features, proposals, head, detections, a training step and five of them.

use std::{collections::BTreeMap, path::PathBuf};

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Device, Gradients, Tensor, TensorData},
};
use longtail_data::Targets;
use longtail_detect::{FasterRcnn, ImageBatch, ImageMeta};
use longtail_loss::{ClassContext, ClassificationLoss, DrawKey, LossConfig, LossState, Reduction};
use longtail_train::{
    parameters::{enter, leave, restore, snapshot},
    sgd::{Sgd, SgdConfig},
    weights::{Imported, Request, import},
};
use longtail_weights::{Array, Arrays, Fate, ImportOptions, Naming, WeightFile, transfer};
use serde::Deserialize;

const CLASSES: usize = 5;
const SIZES: [[u32; 2]; 2] = [[96, 128], [90, 120]];

#[derive(Deserialize)]
struct Training {
    targets: Vec<Truth>,
    losses: Vec<BTreeMap<String, f64>>,
}

#[derive(Deserialize)]
struct Truth {
    boxes: Vec<[f32; 4]>,
    labels: Vec<u32>,
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The detector with the settings of the script.
fn detector(device: &Device) -> (FasterRcnn, Imported) {
    let overrides = [
        "detector.rpn.pre_nms_train=100",
        "detector.rpn.post_nms_train=60",
        "detector.rpn.pre_nms_test=80",
        "detector.rpn.post_nms_test=40",
        "detector.rpn.samples=1000000",
        "detector.roi_head.samples=4000",
        "test.max_detections=50",
    ];
    let overrides = overrides.map(str::to_owned).to_vec();
    let imported = import(&path("model.safetensors"), &Request { overrides, ..Request::default() }).unwrap();
    assert!(imported.description.complete);
    assert!(imported.rows.iter().all(|row| row.fate == Fate::Loaded), "{:?}", imported.rows);
    let detector = imported.description.detector.init(CLASSES, CLASSES + 1, 0, device);
    (restore(detector, &imported.checkpoint.model).unwrap(), imported)
}

fn images(outputs: &BTreeMap<&str, &longtail_weights::Tensor>, device: &Device) -> ImageBatch {
    let pixels: Vec<f32> = outputs["pixels"].to_f32().iter().map(|v| v / 10.0).collect();
    let pixels = Tensor::from_data(TensorData::new(pixels, [2, 3, 96, 128]), device);
    ImageBatch { pixels, sizes: SIZES.to_vec() }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec::<f32>().unwrap()
}

/// Largest difference over the largest value.
fn assert_relative(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let worst = found.iter().zip(expected).fold(0.0_f32, |m, (f, e)| m.max((f - e).abs()));
    assert!(worst <= tolerance * largest, "{what}: off by {worst} where the largest value is {largest}");
}

#[test]
fn inference_equals_torchvision() {
    let device = Device::flex();
    let (detector, imported) = detector(&device);
    let outputs = WeightFile::read(&path("outputs.safetensors")).unwrap();
    let outputs = outputs.weights().unwrap();
    let images = images(&outputs, &device);

    for (level, features) in detector.pyramid_features(&images).into_iter().enumerate() {
        let name = format!("p{}", level + 2);
        assert_relative(&name, &values(features), &outputs[name.as_str()].to_f32(), 1e-4);
    }

    let proposals = detector.propose_features(&images);
    let expected: Vec<f32> =
        [0, 1].iter().flat_map(|i| outputs[format!("proposals.{i}").as_str()].to_f32()).collect();
    assert_eq!(proposals.rois().len(), expected.len() / 4);
    for (place, ((_, found), expected)) in proposals.rois().iter().zip(expected.chunks_exact(4)).enumerate() {
        for (f, e) in found.iter().zip(expected) {
            assert!((f - e).abs() < 0.01, "proposal {place}: {found:?} is not {expected:?}");
        }
    }

    assert_relative("hidden", &values(proposals.features.clone()), &outputs["hidden"].to_f32(), 1e-4);
    let logits = detector.classifier().forward(proposals.features.clone());
    assert_relative("logits", &values(logits.clone()), &outputs["logits"].to_f32(), 1e-4);
    let deltas: Vec<f32> = outputs["deltas"]
        .to_f32()
        .chunks_exact(4 * (CLASSES + 1))
        .flat_map(|row| row[4..].to_vec())
        .collect();
    assert_relative("deltas", proposals.deltas(), &deltas, 1e-4);

    let loss = LossConfig::SoftmaxCrossEntropy.build(&ClassContext::new(CLASSES)).unwrap();
    let meta = SIZES.map(|original_size| ImageMeta { original_size, scale: [1.0; 2] });
    let found = detector.detect(&proposals, &values(loss.scores(logits)), &meta, &imported.description.test);
    for (image, found) in found.iter().enumerate() {
        let expected = |key: &str| outputs[format!("{key}.{image}").as_str()].to_f32();
        assert_eq!(found.scores.len(), expected("scores").len());
        let labels: Vec<f32> = found.labels.iter().map(|&label| label as f32 + 1.0).collect();
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

/// The tensors of a golden file in our layout and under our paths.
fn golden(name: &str, wanted: &Arrays) -> Arrays {
    let file = WeightFile::read(&path(name)).unwrap();
    transfer::import(&file, Naming::Torchvision, wanted, &ImportOptions::default()).unwrap().arrays
}

#[test]
fn training_equals_torchvision() {
    let device = Device::flex().autodiff();
    let (mut detector, _) = detector(&device);
    let outputs = WeightFile::read(&path("outputs.safetensors")).unwrap();
    let images = images(&outputs.weights().unwrap(), &device);
    let training: Training = serde_json::from_slice(&std::fs::read(path("training.json")).unwrap()).unwrap();
    let truth = |truth: &Truth| Targets {
        boxes: truth.boxes.clone(),
        labels: truth.labels.iter().map(|label| label - 1).collect(),
        ..Targets::default()
    };
    let targets: Vec<Targets> = training.targets.iter().map(truth).collect();
    let loss: Box<dyn ClassificationLoss> =
        LossConfig::SoftmaxCrossEntropy.build(&ClassContext::new(CLASSES)).unwrap();
    let config =
        SgdConfig { learning_rate: 0.002, momentum: 0.9, weight_decay: 1e-4, gradient_clip_norm: 0.0 };
    let names = [
        ("rpn_objectness", "loss_objectness"),
        ("rpn_boxes", "loss_rpn_box_reg"),
        ("classification", "loss_classifier"),
        ("boxes", "loss_box_reg"),
    ];
    let mut sgd = Sgd::default();
    for (step, expected) in training.losses.iter().enumerate() {
        let output = detector
            .forward_train(
                &images,
                &targets,
                loss.as_ref(),
                &LossState::default(),
                Reduction::default(),
                DrawKey::default(),
            )
            .unwrap();
        let found: BTreeMap<&str, f32> =
            output.losses.iter().map(|(name, term)| (name, term.clone().into_scalar::<f32>())).collect();
        for (ours, theirs) in names {
            assert_relative(
                &format!("{ours} of step {step}"),
                &[found[ours]],
                &[expected[theirs] as f32],
                1e-3,
            );
        }
        let gradients = output.losses.total().backward();
        if step == 0 {
            let mut collect = Collect { path: Vec::new(), gradients: &gradients, found: Arrays::new() };
            detector.visit(&mut collect);
            let expected = golden("gradients.safetensors", &collect.found);
            assert_eq!(expected.keys().collect::<Vec<_>>(), collect.found.keys().collect::<Vec<_>>());
            assert!(expected.len() > 60, "{}", expected.len());
            for (name, expected) in &expected {
                assert_relative(name, &collect.found[name].values, &expected.values, 1e-3);
            }
        }
        (detector, _) = sgd.step(&config, config.learning_rate, detector, gradients);
    }
    let found: Arrays = snapshot(&detector)
        .into_iter()
        .map(|(name, data)| {
            (name, Array { shape: data.shape().to_vec(), values: data.try_to_vec::<f32>().unwrap() })
        })
        .collect();
    for (name, expected) in golden("after_5_steps.safetensors", &found) {
        assert_relative(&name, &found[&name].values, &expected.values, 1e-3);
    }
}
