//! Runs the detector over the validation images and scores it. The trunk runs once; any number of classifiers
//! read the same RoI features.

use burn::{
    module::Param,
    nn::Linear,
    tensor::{Device, Tensor, TensorData},
};
use longtail_data::{Batch, Dataset, LabelMap, Loader, Transform};
use longtail_detect::{Detections, FasterRcnn, ImageBatch, ImageMeta, TestConfig};
use longtail_eval::{Detection, EvalReport, evaluate};
use longtail_loss::ClassificationLoss;
use std::sync::Arc;

use crate::{
    data::Validation,
    error::TrainError,
    observer::{Event, Observer},
};

/// Images of an evaluation batch.
pub const BATCH_SIZE: usize = 8;

/// A classifier to evaluate: its layer, without autodiff, and the map from its logits to scores.
pub struct Scored<'a> {
    /// The layer.
    pub linear: Linear,
    /// Gives the scores.
    pub loss: &'a dyn ClassificationLoss,
}

impl<'a> Scored<'a> {
    /// A trained layer with its loss, whose correction of the weights is applied.
    ///
    /// # Errors
    /// If the layer does not fit the loss.
    pub fn new(linear: &Linear, loss: &'a dyn ClassificationLoss) -> Result<Self, TrainError> {
        let weight = linear.weight.val();
        let weight = if weight.is_autodiff() { weight.inner() } else { weight };
        let (dims, device) = (weight.dims(), weight.device());
        let mut values = weight.into_data().try_to_vec::<f32>().unwrap_or_default();
        loss.final_weights(&mut values, dims[1])?;
        let weight = Tensor::from_data(TensorData::new(values, dims), &device);
        let bias = linear.bias.as_ref().map(|bias| {
            let bias = bias.val();
            Param::from_tensor(if bias.is_autodiff() { bias.inner() } else { bias })
        });
        Ok(Self { linear: Linear { weight: Param::from_tensor(weight), bias }, loss })
    }
}

/// Detections of every classifier over a data set, `[classifier][detection]`, images in file order.
///
/// # Errors
/// If an image cannot be read.
pub fn detect(
    detector: &FasterRcnn,
    classifiers: &[Scored<'_>],
    dataset: &Arc<Dataset>,
    labels: &LabelMap,
    transform: &Transform,
    test: &TestConfig,
    workers: usize,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<Vec<Vec<Detection>>, TrainError> {
    let device = device.clone().inner();
    let transform = Transform { horizontal_flip: 0.0, ..transform.clone() };
    let mut results: Vec<Vec<Detection>> = classifiers.iter().map(|_| Vec::new()).collect();
    let total = dataset.len() as u64;
    let mut done = 0;
    for batch in Loader::sequential(Arc::clone(dataset), transform, BATCH_SIZE, workers) {
        let batch = batch?;
        let found = detect_batch(detector, classifiers, &batch, test, &device);
        for (result, images) in results.iter_mut().zip(found) {
            for (image, detections) in batch.images.iter().zip(images) {
                result.extend(to_file_detections(image.image_id, &detections, labels));
            }
        }
        done += batch.images.len() as u64;
        observer.observe(Event::Progress { task: "evaluating", done, total });
    }
    Ok(results)
}

/// Detections of every classifier on one batch, `[classifier][image]`.
pub fn detect_batch(
    detector: &FasterRcnn,
    classifiers: &[Scored<'_>],
    batch: &Batch,
    test: &TestConfig,
    device: &Device,
) -> Vec<Vec<Detections>> {
    let images = image_batch(batch, device);
    let meta: Vec<ImageMeta> = batch.images.iter().map(ImageMeta::from).collect();
    let proposals = detector.propose_features(&images);
    classifiers
        .iter()
        .map(|classifier| {
            let logits = classifier.linear.forward(proposals.features.clone());
            let scores = classifier.loss.scores(logits).into_data();
            let scores = scores.try_to_vec::<f32>().unwrap_or_default();
            detector.detect(&proposals, &scores, &meta, test)
        })
        .collect()
}

/// Moves a batch to the device.
pub fn image_batch(batch: &Batch, device: &Device) -> ImageBatch {
    let pixels = Tensor::from_data(TensorData::new(batch.pixels.to_vec(), batch.shape), device);
    let sizes = batch.images.iter().map(|image| [image.height, image.width]).collect();
    ImageBatch { pixels, sizes }
}

/// Detections as files and evaluators want them: category ids, x, y, width, height.
pub fn to_file_detections(image_id: i64, detections: &Detections, labels: &LabelMap) -> Vec<Detection> {
    let boxes = detections.boxes.iter().zip(&detections.labels).zip(&detections.scores);
    boxes
        .map(|((xyxy, &label), &score)| {
            let [x1, y1, x2, y2] = xyxy.map(f64::from);
            Detection {
                image_id,
                category_id: labels.category_id(label),
                bbox: [x1, y1, x2 - x1, y2 - y1],
                score: f64::from(score),
            }
        })
        .collect()
}

/// Scores detections against every truth of the validation data.
///
/// # Errors
/// If the truth lacks what its protocol needs.
pub fn score(
    validation: &Validation,
    detections: &[Detection],
) -> Result<Vec<(String, EvalReport)>, TrainError> {
    validation
        .truths
        .iter()
        .map(|truth| Ok((truth.name.clone(), evaluate(truth.protocol, &truth.annotations, detections)?)))
        .collect()
}
