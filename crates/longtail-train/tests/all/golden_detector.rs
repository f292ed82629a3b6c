//! A whole Faster R-CNN, imported from torchvision's names, against torchvision's numbers in float64
//! (`scripts/golden/faster_rcnn.py`): features, proposals, head, detections, a training step and five of them.

use std::collections::BTreeMap;

use crate::golden::{
    CLASSES, SIZES, Training, assert_detections, assert_relative, detector, golden, gradients_of, images,
    path, values,
};
use longtail_detect::ImageMeta;
use longtail_head::SgdConfig;
use longtail_loss::{ClassContext, ClassificationLoss, DrawKey, LossConfig, Reduction};
use longtail_ops::TensorLoss;
use longtail_train::{parameters::snapshot, sgd::Sgd};
use longtail_weights::{Array, Arrays, Naming, WeightFile};

#[test]
fn inference_equals_torchvision() {
    let device = crate::golden::device();
    let (detector, imported) = detector("model.safetensors", &[], &device);
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
    let logits = detector.classifiers()[0].forward(proposals.features.clone());
    assert_relative("logits", &values(logits.clone()), &outputs["logits"].to_f32(), 1e-4);
    let deltas: Vec<f32> = outputs["deltas"]
        .to_f32()
        .chunks_exact(4 * (CLASSES + 1))
        .flat_map(|row| row[4..].to_vec())
        .collect();
    assert_relative("deltas", proposals.deltas(), &deltas, 1e-4);

    let loss = LossConfig::default().build(&ClassContext::new(CLASSES)).unwrap();
    let meta = SIZES.map(|original_size| ImageMeta { original_size, scale: [1.0; 2] });
    let found = detector.detect(&proposals, &loss.scores(&logits), &meta, &imported.description.test);
    assert_detections(&found, &outputs, 1.0);
}

#[test]
fn training_equals_torchvision() {
    let device = crate::golden::device().autodiff();
    let (mut detector, _) = detector("model.safetensors", &[], &device);
    let outputs = WeightFile::read(&path("outputs.safetensors")).unwrap();
    let images = images(&outputs.weights().unwrap(), &device);
    let training = Training::read("training.json");
    let targets = training.targets();
    let loss: Box<dyn ClassificationLoss> = LossConfig::default().build(&ClassContext::new(CLASSES)).unwrap();
    let config =
        SgdConfig { learning_rate: 0.002, momentum: 0.9, weight_decay: 1e-4, gradient_clip_norm: 0.0 };
    let names = [
        ("loss_objectness", "loss_objectness"),
        ("loss_rpn_box_reg", "loss_rpn_box_reg"),
        ("loss_classifier", "loss_classifier"),
        ("loss_box_reg", "loss_box_reg"),
    ];
    let mut sgd = Sgd::default();
    for (step, expected) in training.losses.iter().enumerate() {
        let output = detector
            .forward_train(&images, &targets, loss.as_ref(), &[], Reduction::default(), DrawKey::default())
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
            let found = gradients_of(&detector, &gradients);
            let expected = golden("gradients.safetensors", Naming::Torchvision, &found);
            assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
            assert!(expected.len() > 60, "{}", expected.len());
            for (name, expected) in &expected {
                assert_relative(name, &found[name].values, &expected.values, 1e-3);
            }
        }
        (detector, _) = sgd.step(&config, config.learning_rate, detector, gradients).unwrap();
    }
    let found: Arrays = snapshot(&detector)
        .into_iter()
        .map(|(name, data)| {
            (name, Array { shape: data.shape().to_vec(), values: data.try_to_vec::<f32>().unwrap() })
        })
        .collect();
    for (name, expected) in golden("after_5_steps.safetensors", Naming::Torchvision, &found) {
        assert_relative(&name, &found[&name].values, &expected.values, 1e-3);
    }
}
