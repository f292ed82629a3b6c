//! Detections and scores from stored proposals: what the detector would give, without the images.

use burn::tensor::{Device, Tensor, TensorData, activation::relu};
use longtail_bank::{Bank, BankError, Part, Shard, ShardImage};
use longtail_detect::{TestConfig, decode::detections, layers::Linear};
use longtail_eval::Detection;
use longtail_head::Head;
use longtail_loss::ClassificationLoss;
use longtail_ops::TensorLoss;
use rayon::prelude::*;

use crate::{
    error::TrainError,
    evaluation::{BATCH_SIZE, Scored, file_detections},
    linear::linear,
    parameters::floats,
};

/// Detections of a head over a proposals bank, images in the bank's order.
///
/// # Errors
/// If the bank holds no proposals or features of another layer or width, or a shard is damaged.
///
/// # Panics
/// If the head has another number of classes than the bank; see [`longtail_head::HeadFile::check`].
pub fn detect(
    bank: &Bank,
    head: &Head,
    loss: &dyn ClassificationLoss,
    test: &TestConfig,
) -> Result<Vec<Detection>, TrainError> {
    bank.expect(Part::Proposals)?;
    let header = bank.header();
    if (header.layer, header.width) != (head.layer(), head.inputs()) {
        let (theirs, width, ours, inputs) =
            (header.layer.name(), header.width, head.layer().name(), head.inputs());
        let reason = format!(
            "`layer` is the {theirs}, `width` {width}; the head takes what the {ours} sees, of width {inputs}"
        );
        return Err(BankError::Header { path: bank.folder().join("bank.json"), reason }.into());
    }
    let device = Device::flex();
    let classifier = linear(&head.weight, &head.bias, &device);
    let layers = Layers {
        classifier: Scored::new("head", &[&classifier], loss)?.linear,
        hidden: head.hidden.as_ref().map(|hidden| linear(&hidden.weight, &hidden.bias, &device)),
    };
    let mut found = Vec::new();
    for images in bank.images().chunk_by(|a, b| a.shard == b.shard) {
        let shard = bank.shard(images[0].shard)?;
        // Proposals have one view.
        let views: Vec<&ShardImage> = images.iter().flat_map(|image| &image.views).collect();
        // In the batches of the detector's own evaluation: the same products, to the same bits.
        let groups: Result<Vec<Vec<Detection>>, TrainError> = views
            .par_chunks(BATCH_SIZE)
            .map(|images| of_batch(bank, &shard, images, head, &layers, loss, test))
            .collect();
        found.extend(groups?.into_iter().flatten());
    }
    Ok(found)
}

/// A head as layers of the detector.
struct Layers {
    hidden: Option<Linear>,
    classifier: Linear,
}

fn of_batch(
    bank: &Bank,
    shard: &Shard,
    images: &[&ShardImage],
    head: &Head,
    layers: &Layers,
    loss: &dyn ClassificationLoss,
    test: &TestConfig,
) -> Result<Vec<Detection>, TrainError> {
    let rows: usize = images.iter().map(|image| image.rows.len()).sum();
    if rows == 0 {
        return Ok(Vec::new());
    }
    let tensor = |values: Vec<f32>| {
        let shape = [rows, values.len() / rows];
        Tensor::<2>::from_data(TensorData::new(values, shape), &Device::flex())
    };
    let mut features = vec![0.0; rows * head.inputs()];
    let mut rest = features.as_mut_slice();
    for image in images {
        let (own, later) = rest.split_at_mut(image.rows.len() * head.inputs());
        shard.features(image.rows.clone(), own);
        rest = later;
    }
    if let Some(hidden) = &layers.hidden {
        let outputs = relu(hidden.forward(tensor(features))).into_data();
        features = floats("outputs of the hidden layer", &outputs)?;
    }
    head.prepare(&mut features);
    let scores = loss.scores(&layers.classifier.forward(tensor(features)));
    let classes = bank.header().classes.len();
    let (mut found, mut start) = (Vec::new(), 0);
    for image in images {
        let boxes: Vec<[f32; 4]> =
            shard.regressed(image.rows.clone()).chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]]).collect();
        let end = start + image.rows.len() * classes;
        let of_image = detections(&boxes, &scores[start..end], classes, test);
        start = end;
        found.extend(file_detections(image.image_id, &of_image, &bank.header().classes));
    }
    Ok(found)
}

/// How the bank's header says that detections are made; the defaults if it does not.
///
/// # Errors
/// If the header's words are not those of the settings.
pub fn test_rules(bank: &Bank) -> Result<TestConfig, TrainError> {
    let Some(test) = &bank.header().test else { return Ok(TestConfig::default()) };
    serde_json::from_value(test.clone()).map_err(|e| {
        let path = bank.folder().join("bank.json");
        longtail_bank::BankError::Header { path, reason: format!("`test`: {e}") }.into()
    })
}
