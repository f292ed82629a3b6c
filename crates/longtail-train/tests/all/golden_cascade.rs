//! A Cascade R-CNN, imported from mmdetection's names, against numbers in float64 (`scripts/golden/cascade_rcnn.py`): logits and
//! boxes of every head, detections, three training steps; and its way back under both frameworks' names.

use std::collections::BTreeMap;

use crate::golden::{
    CLASSES, SIZES, Training, assert_detections, assert_relative, detector, golden, gradients_of, images,
    path, values,
};
use longtail_detect::{ImageMeta, cascade::averaged, config::CascadeHeadConfig};
use longtail_head::SgdConfig;
use longtail_loss::{ClassContext, DrawKey, LossConfig, Reduction};
use longtail_ops::TensorLoss;
use longtail_train::{
    parameters::snapshot,
    sgd::Sgd,
    weights::{Request, import},
};
use longtail_weights::{Array, Arrays, Naming, WeightFile, transfer, write::to_bytes};

const MODEL: &str = "cascade/model.safetensors";

/// Where the script, made of torchvision's parts, is not mmdetection.
const SETTINGS: [&str; 4] = [
    "detector.anchors.rounded=true",
    "detector.anchors.spacing=image-over-map",
    "detector.roi_head.aligned=false",
    "detector.roi_head.sampling_ratio=2",
];

#[test]
fn inference_equals_the_reference() {
    let device = crate::golden::device();
    let (detector, imported) = detector(MODEL, &SETTINGS, &device);
    assert_eq!(imported.description.detector.cascade, CascadeHeadConfig::published());
    let outputs = WeightFile::read(&path("cascade/outputs.safetensors")).unwrap();
    let outputs = outputs.weights().unwrap();
    let proposals = detector.propose_features(&images(&outputs, &device));
    assert_relative("deltas", proposals.deltas(), &outputs["deltas.2"].to_f32(), 1e-4);

    let classifiers: Vec<_> = detector.classifiers().into_iter().cloned().collect();
    let [rows, width] = proposals.features.dims();
    for (head, classifier) in classifiers.iter().enumerate() {
        let side = head * width / 3..(head + 1) * width / 3;
        let found = values(classifier.forward(proposals.features.clone().slice([0..rows, side])));
        // Background comes last there.
        let expected = outputs[format!("logits.{head}").as_str()].to_f32();
        let expected: Vec<f32> = expected
            .chunks_exact(CLASSES + 1)
            .flat_map(|row| [&row[CLASSES..], &row[..CLASSES]].concat())
            .collect();
        assert_relative(&format!("logits of head {head}"), &found, &expected, 1e-4);
    }
    let loss = LossConfig::default().build(&ClassContext::new(CLASSES)).unwrap();
    let scores = loss.scores(&averaged(&classifiers).forward(proposals.features.clone()));
    let meta = SIZES.map(|original_size| ImageMeta { original_size, scale: [1.0; 2] });
    let found = detector.detect(&proposals, &scores, &meta, &imported.description.test);
    assert_detections(&found, &outputs, 0.0);
}

#[test]
fn training_equals_the_reference() {
    let device = crate::golden::device().autodiff();
    let (mut detector, _) = detector(MODEL, &SETTINGS, &device);
    let outputs = WeightFile::read(&path("cascade/outputs.safetensors")).unwrap();
    let images = images(&outputs.weights().unwrap(), &device);
    let training = Training::read("cascade/training.json");
    let targets = training.targets();
    let loss = LossConfig::default().build(&ClassContext::new(CLASSES)).unwrap();
    let config =
        SgdConfig { learning_rate: 0.002, momentum: 0.9, weight_decay: 1e-4, gradient_clip_norm: 0.0 };
    let names = [
        ("loss_objectness", "loss_objectness"),
        ("loss_rpn_box_reg", "loss_rpn_box_reg"),
        ("loss_classifier", "0.classification"),
        ("loss_box_reg", "0.boxes"),
        ("loss_classifier_2", "1.classification"),
        ("loss_box_reg_2", "1.boxes"),
        ("loss_classifier_3", "2.classification"),
        ("loss_box_reg_3", "2.boxes"),
    ];
    let mut sgd = Sgd::default();
    for (step, expected) in training.losses.iter().enumerate() {
        let draw = DrawKey::default();
        let output = detector
            .forward_train(&images, &targets, loss.as_ref(), &[], Reduction::default(), draw)
            .unwrap();
        let found: BTreeMap<&str, f32> =
            output.losses.iter().map(|(name, term)| (name, term.clone().into_scalar::<f32>())).collect();
        assert_eq!(found.len(), names.len());
        for (ours, theirs) in names {
            let what = format!("{ours} of step {step}");
            assert_relative(&what, &[found[ours]], &[expected[theirs] as f32], 1e-3);
        }
        let gradients = output.losses.total().backward();
        if step == 0 {
            let found = gradients_of(&detector, &gradients);
            let expected = golden("cascade/gradients.safetensors", Naming::Mmdetection, &found);
            assert_eq!(expected.keys().filter(|name| name.starts_with("cascade.")).count(), 16);
            assert!(expected.contains_key("backbone.stages.3.blocks.2.convolutions.2.weight"));
            for (name, expected) in &expected {
                assert_relative(name, &found[name].values, &expected.values, 1e-3);
            }
        }
        (detector, _) = sgd.step(&config, config.learning_rate, detector, gradients).unwrap();
    }
}

/// Layers that are not matrices, as a damaged or foreign file has them.
#[test]
fn tensors_of_the_wrong_number_of_sides_are_refused() {
    let file = WeightFile::read(&path(MODEL)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, shape, reason) in [
        ("roi_head.bbox_head.0.shared_fcs.0.weight", &[6272][..], "not a matrix"),
        ("roi_head.bbox_head.1.fc_reg.weight", &[], "shape []"),
    ] {
        let mut arrays: Arrays = file
            .weights()
            .unwrap()
            .into_iter()
            .map(|(name, tensor)| {
                (name.to_owned(), Array { shape: tensor.shape().to_vec(), values: tensor.to_f32() })
            })
            .collect();
        let values = vec![0.5; shape.iter().product()];
        arrays.insert(name.into(), Array { shape: shape.to_vec(), values });
        let wrong = folder.path().join("wrong.safetensors");
        std::fs::write(&wrong, to_bytes(&arrays, &BTreeMap::new()).unwrap()).unwrap();
        let Err(error) = import(&wrong, &Request::default()) else { panic!("{name} was taken") };
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn what_was_imported_is_exported_to_the_bit() {
    let (detector, _) = detector(MODEL, &[], &crate::golden::device());
    let arrays: Arrays = snapshot(&detector)
        .into_iter()
        .map(|(name, data)| {
            (name, Array { shape: data.shape().to_vec(), values: data.try_to_vec::<f32>().unwrap() })
        })
        .collect();
    let (named, left) = transfer::export(&arrays, Naming::Mmdetection).unwrap();
    assert!(left.is_empty(), "{left:?}");
    let file = WeightFile::read(&path(MODEL)).unwrap();
    let weights = file.weights().unwrap();
    assert_eq!(
        named.keys().map(String::as_str).collect::<Vec<_>>(),
        weights.keys().copied().collect::<Vec<_>>()
    );
    for (name, array) in &named {
        assert_eq!(array.values, weights[name.as_str()].to_f32(), "{name}");
    }
    let (named, left) = transfer::export(&arrays, Naming::Detectron2).unwrap();
    assert!(left.is_empty() && named.contains_key("roi_heads.box_predictor.2.cls_score.weight"));
    let (named, left) = transfer::export(&arrays, Naming::Mmdetection1).unwrap();
    assert!(left.is_empty());
    // One regression for all classes there too.
    assert_eq!(named["bbox_head.1.fc_reg.weight"].shape, [4, 16]);
    // torchvision has no cascade.
    let (_, left) = transfer::export(&arrays, Naming::Torchvision).unwrap();
    assert_eq!(left.len(), 16, "{left:?}");
}
